"""How many visits a FHIR Timing means, as a range (hl7.org/fhir/R4/datatypes.html#Timing)."""

from __future__ import annotations

from math import ceil, floor

from cds.fhir.elements import Quantity, TimingRepeat, TimingShape
from cds.fhir.reading import Reading
from cds.model import Days, Span, Timing

# Days in a unit. A month is 30 days and 10.5 hours: "2 months" is not 8 weeks.
_UNIT_DAYS = {"h": 1 / 24, "d": 1.0, "wk": 7.0, "mo": 30.4375, "a": 365.25}
_UNIT_NAMES = {"d": "day", "wk": "week", "mo": "month", "a": "year", "h": "hour"}


def read_timing(reading: Reading, source: str, shape: TimingShape | None) -> Timing | None:
    """Visits and bounds of a Timing; visits are None where frequency or duration are not said."""
    if shape is None or shape.repeat is None:
        return None
    repeat = shape.repeat
    bounds = reading.period(source, repeat.boundsPeriod)
    return Timing(visits=_visits(repeat, bounds), bounds=bounds, says=_says(repeat))


def _visits(repeat: TimingRepeat, bounds: Days | None) -> Span | None:
    if repeat.count is not None:
        return Span(repeat.count, repeat.countMax or repeat.count)
    unit = _UNIT_DAYS.get(repeat.periodUnit)
    if repeat.frequency is None or repeat.period is None or unit is None or repeat.period <= 0:
        return None
    lengths = _lengths(repeat, bounds)
    if lengths is None:
        return None
    longest, shortest = (repeat.periodMax or repeat.period) * unit, repeat.period * unit
    low = max(1, floor(lengths[0] / longest)) * repeat.frequency
    high = max(1, ceil(lengths[1] / shortest)) * (repeat.frequencyMax or repeat.frequency)
    return Span(low, max(low, high))


def _lengths(repeat: TimingRepeat, bounds: Days | None) -> tuple[float, float] | None:
    """Fewest and most days that the bounds may mean.

    People write four weeks as 28 days or as 29, with both ends counted or one: 13 March to 8 May is eight
    weeks. So whole periods are counted down from both ends included, and up from one end.
    """
    if bounds is not None and bounds.first and bounds.last:
        days = (bounds.last - bounds.first).days
        if days < 0:
            return None
        return float(days + 1), float(max(days, 1))
    low, high = duration_days(repeat.boundsDuration), duration_days(repeat.boundsDuration)
    if repeat.boundsRange is not None:
        low, high = duration_days(repeat.boundsRange.low), duration_days(repeat.boundsRange.high)
    return (low, high) if low is not None and high is not None else None


def duration_days(quantity: Quantity | None) -> float | None:
    """The days of a Duration; None where it has no unit of time."""
    if quantity is None or quantity.value is None or quantity.value < 0 or quantity.comparator:
        return None
    unit = next((u for u in (quantity.code, quantity.unit.rstrip("s")) if u in _UNIT_DAYS), None)
    named = {name: unit_days for short, unit_days in _UNIT_DAYS.items() for name in (short, _UNIT_NAMES[short])}
    days = named.get(unit or quantity.unit.rstrip("s").lower())
    return None if days is None else quantity.value * days


def _says(repeat: TimingRepeat) -> str:
    """`1 to 2 visits per week`."""
    if repeat.frequency is None or repeat.period is None:
        return "no frequency"
    often = Span(repeat.frequency, repeat.frequencyMax or repeat.frequency)
    unit = _UNIT_NAMES.get(repeat.periodUnit, repeat.periodUnit)
    each = unit if repeat.period == 1 else f"{repeat.period:g} {unit}s"
    return f"{often} {'visit' if often.exact == 1 else 'visits'} per {each}"
