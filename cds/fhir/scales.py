"""On which scale a score is told. Pure: by its unit, its code, and the catalogue's other scales.

A score whose scale cannot be told, or that is of a scale without an important change of its own, is on file but
not used: it is kept in words, and never compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cds.instruments import Instrument

USUAL = ""
_SAY_NOTHING = ("", "1", "score", "{score}", "{#}", "{points}", "{grade}")


@dataclass(frozen=True)
class Told:
    """How a score is told: its scale (empty for the usual one), and why it is not used where it is not.

    One that is out of range is no score at all; one of another scale was taken, but stays in words (`text`).
    """

    scale: str = USUAL
    problem: str = ""
    text: str = ""

    @property
    def impossible(self) -> bool:
        """Whether there can be no such score."""
        return bool(self.problem) and not self.text


PLAINLY = Told()


def scale_of(
    instrument: Instrument, subscale: str | None, score: float, unit: str = "", said: str | None = None
) -> Told:
    """The scale of a score; `said` is the scale that the score's own code names."""
    others = instrument.other_scales(subscale)
    scale = _named(instrument, others, unit, said)
    if scale is None:
        if (doubtful := _confusable(others, score)) is not None:
            other = _words(doubtful["scale"])
            why = f"a {instrument.name} score that may be {other} or not, with no unit that says so, was not used"
            return Told(USUAL, why, f"{score:g} (scale not told)")
        scale = USUAL
    if problem := out_of_range(instrument.on_scale(scale, subscale), subscale, score):
        elsewhere = next((e["scale"] for e in others if e["scale"] != scale and _within(e, score)), None)
        return Told(scale, f"{problem}{f'; it may be on another scale ({_words(elsewhere)})' if elsewhere else ''}")
    if scale and instrument.on_scale(scale, subscale).important_change(None) is None:
        why = f"a {instrument.name} score on another scale ({_words(scale)}) was not used"
        return Told(scale, why, f"{score:g} ({_words(scale)})")
    return Told(scale)


def out_of_range(instrument: Instrument, subscale: str | None, score: float) -> str:
    """Why a score cannot be one of this scale; empty where it can."""
    limits = instrument.range(subscale)
    if limits is None or limits[0] <= score <= limits[1]:
        return ""
    return f"a {instrument.name} score outside its range of {limits[0]:g} to {limits[1]:g} was not used"


def _named(instrument: Instrument, others: list[Mapping[str, Any]], unit: str, said: str | None) -> str | None:
    """The scale that the unit names, else the code; None where neither does."""
    bare = unit.strip().lower()
    by_unit = next((str(e["scale"]) for e in others if bare and bare in map(str, e.get("units") or ())), None)
    if by_unit is not None:
        return by_unit
    if bare not in _SAY_NOTHING and bare in (str(instrument.data.get("unit", "")).lower(), *_usual_units(instrument)):
        return USUAL
    return USUAL if said == "usual" else said


def _usual_units(instrument: Instrument) -> tuple[str, ...]:
    return tuple(str(unit) for unit in instrument.data.get("usual-units") or ())


def _confusable(others: list[Mapping[str, Any]], score: float) -> Mapping[str, Any] | None:
    return next((entry for entry in others if entry.get("confusable") and _within(entry, score)), None)


def _words(scale: str) -> str:
    return scale.replace("-", " ")


def _within(entry: Mapping[str, Any], score: float) -> bool:
    return float(entry["low"]) <= score <= float(entry["high"])
