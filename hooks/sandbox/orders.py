"""A draft order as the order form shows it, and the form's changes put back into the order.

A line is one billable service. Orders carry them as CPT or HCPCS codings, in `code` or in `orderDetail`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from hooks.sandbox.labels import LABELS

Json = dict[str, Any]
CPT = "http://www.ama-assn.org/go/cpt"
UNITS = {"d": "day", "wk": "week", "mo": "month", "h": "hour", "a": "year", "min": "minute", "s": "second"}


@dataclass(frozen=True)
class Line:
    """One service on the order, and what the order says of it in words, such as its units."""

    code: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Form:
    """What the order form shows of one draft order."""

    reference: str
    title: str
    lines: tuple[Line, ...]
    visits: str
    unit: str
    frequency: str
    diagnosis: str
    dates: str


def form_of(order: Json) -> Form:
    """Read a draft order into the order form."""
    return Form(
        reference=f"{order.get('resourceType')}/{order.get('id')}",
        title=title_of(order),
        lines=tuple(lines_of(order)),
        visits=visits_of(order),
        unit=unit_of(order),
        frequency=frequency_of(order),
        diagnosis="; ".join(text for item in order.get("reasonCode") or [] if (text := words_of(item))),
        dates=dates_of(order),
    )


def title_of(order: Json) -> str:
    """Name the order: the text of its code, or the display of the first coding that is no line."""
    code = order.get("code") or order.get("medicationCodeableConcept") or {}
    others = [item for item in codings_of(code) if not _is_line(item)]
    named = code.get("text") or next((item.get("display") for item in others if item.get("display")), None)
    return str(named or order.get("resourceType", "Order"))


def codings_of(concept: object) -> list[Json]:
    """List a CodeableConcept's codings, tolerating what is none."""
    codings = concept.get("coding") if isinstance(concept, dict) else None
    return [item for item in codings if isinstance(item, dict)] if isinstance(codings, list) else []


def words_of(concept: object) -> str:
    """Say a CodeableConcept in words, with its code.

    >>> words_of({"coding": [{"code": "M25.552", "display": "Pain in left hip"}]})
    'Pain in left hip (M25.552)'
    """
    if not isinstance(concept, dict):
        return ""
    first = next(iter(codings_of(concept)), {})
    text = str(concept.get("text") or first.get("display") or "")
    code = str(first.get("code") or "")
    return f"{text} ({code})" if text and code and code not in text else text or code


def lines_of(order: Json) -> list[Line]:
    """List the services of an order, each once, in the order they are written."""
    found: dict[str, Line] = {}
    for concept in (order.get("code"), *(order.get("orderDetail") or [])):
        for coding in codings_of(concept):
            if _is_line(coding):
                code = str(coding["code"])
                label, note = LABELS.get(code) or str(coding.get("display") or ""), _note(concept, code)
                found.setdefault(code, Line(code, label, note))
    return list(found.values())


def _note(concept: object, code: str) -> str:
    text = str(concept.get("text") or "") if isinstance(concept, dict) and len(codings_of(concept)) == 1 else ""
    return text.removeprefix(code).lstrip(" ,:")


def _is_line(coding: Json) -> bool:
    system = str(coding.get("system", ""))
    return bool(coding.get("code")) and (system == CPT or "HCPCS" in system)


def visits_of(order: Json) -> str:
    """Say how many visits are asked for, as the form's field holds it; empty when the order does not say."""
    quantity = order.get("quantityQuantity")
    if isinstance(quantity, dict) and quantity.get("value") is not None:
        return f"{quantity['value']:g}"
    repeat = _repeat(order)
    return f"{repeat['count']:g}" if isinstance(repeat.get("count"), int) else ""


def unit_of(order: Json) -> str:
    """Say what the quantity counts.

    >>> unit_of({"quantityQuantity": {"value": 17, "unit": "day"}}), unit_of({"quantityQuantity": {"value": 2}})
    ('days', 'visits')
    """
    quantity = order.get("quantityQuantity")
    unit = str(quantity.get("unit") or "visit") if isinstance(quantity, dict) else "visit"
    return unit if unit.endswith("s") or not unit.isalpha() else f"{unit}s"


def _repeat(order: Json) -> Json:
    timing = order.get("occurrenceTiming")
    repeat = timing.get("repeat") if isinstance(timing, dict) else None
    return repeat if isinstance(repeat, dict) else {}


def frequency_of(order: Json) -> str:
    """Say how often, for anything with an `occurrenceTiming`.

    >>> frequency_of(
    ...     {"occurrenceTiming": {"repeat": {"frequency": 1, "frequencyMax": 2, "period": 1, "periodUnit": "wk"}}}
    ... )
    '1 to 2 times a week'
    """
    repeat = _repeat(order)
    low, high = repeat.get("frequency"), repeat.get("frequencyMax")
    if low is None:
        return ""
    often = f"{low} to {high}" if high and high != low else str(low)
    times = "time" if often == "1" else "times"
    period, unit = repeat.get("period", 1), UNITS.get(str(repeat.get("periodUnit")), "")
    return f"{often} {times} a {unit}" if period == 1 else f"{often} {times} every {period} {unit}s"


def dates_of(order: Json) -> str:
    """Say when the services are to be given.

    >>> dates_of({"occurrenceTiming": {"event": ["2025-03-10", "2025-03-12"]}})
    '2025-03-10, 2025-03-12'
    """
    timing = order.get("occurrenceTiming")
    if isinstance(timing, dict) and timing.get("event"):
        return ", ".join(str(event)[:10] for event in timing["event"])
    bounds = _repeat(order).get("boundsPeriod") or order.get("occurrencePeriod") or {}
    start, end = bounds.get("start", ""), bounds.get("end", "")
    if start or end:
        return f"{start[:10]} to {end[:10]}".strip() if end else f"from {start[:10]}"
    return str(order.get("occurrenceDateTime") or "")[:10]


def with_visits(order: Json, visits: float) -> Json:
    """Ask for another number of visits, in the element where the order says it."""
    changed = copy.deepcopy(order)
    value = int(visits) if visits == int(visits) else visits
    if "quantityQuantity" not in order and isinstance(_repeat(order).get("count"), int):
        _repeat(changed)["count"] = value
    else:
        changed["quantityQuantity"] = {**(order.get("quantityQuantity") or {}), "value": value}
    return changed


def without_lines(order: Json, codes: set[str]) -> Json:
    """Remove lines from an order.

    >>> line = {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "20561"}]}
    >>> without_lines({"code": {"text": "Therapy"}, "orderDetail": [line]}, {"20561"})
    {'code': {'text': 'Therapy'}}
    """
    changed = {key: value for key, value in order.items() if key not in ("code", "orderDetail")}
    code = _without(order.get("code") or {}, codes)
    details = [
        kept for item in order.get("orderDetail") or [] if (kept := _without(item, codes)).get("coding") or kept == item
    ]
    return changed | ({"code": code} if code else {}) | ({"orderDetail": details} if details else {})


def _without(concept: Json, codes: set[str]) -> Json:
    kept = [item for item in codings_of(concept) if not (_is_line(item) and str(item["code"]) in codes)]
    if len(kept) == len(codings_of(concept)):
        return concept
    rest = {key: value for key, value in concept.items() if key != "coding"}
    return rest | ({"coding": kept} if kept else {})
