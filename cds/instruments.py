"""One instrument of the catalogue: its scale, its answers, and what it counts as change.

An instrument is its file in `fhir_profiles/instruments/` (`data`); everything here only asks of that data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any

from cds.model import Concept, Statement


@dataclass(frozen=True)
class Instrument:
    """One outcome measure or impairment measure of the catalogue, as its file says (`data`)."""

    id: str
    name: str
    data: Mapping[str, Any]

    @cached_property
    def impairment(self) -> bool:
        """Whether it measures an impairment (range of motion, strength, a task), not a questionnaire."""
        return self.data.get("kind") == "impairment"

    @property
    def measures(self) -> str:
        """`function`, `pain`, `mental-health`, `range-of-motion`, …."""
        return str(self.data.get("measures", ""))

    @property
    def higher_is_better(self) -> bool:
        """The direction of the scale."""
        return bool(self.data.get("better", "higher") == "higher")

    def part(self, subscale: str | None) -> Mapping[str, Any]:
        """The subscale's own entry, else the instrument's."""
        for entry in self.data.get("subscales") or ():
            if entry.get("id") == subscale:
                return {**self.data, **entry}
        return self.data

    def range(self, subscale: str | None) -> tuple[float, float] | None:
        """Lowest and highest possible score."""
        limits = self.part(subscale).get("range")
        return (float(limits["low"]), float(limits["high"])) if limits else None

    def important_change(self, subscale: str | None) -> tuple[float, str, bool] | None:
        """Change that matters: amount, kind (MCII, SDC, …), whether somebody verified the figure.

        A verified figure goes before an unverified one, and the important change before the smallest
        detectable one, which is all that is published for impairments.
        """
        part = self.part(subscale)
        figures = [f for f in (part.get("important-change"), part.get("detectable-change")) if f]
        known = [figure for figure in figures if figure.get("value") is not None]
        best = next((figure for figure in known if figure.get("verified")), next(iter(known), None))
        return None if best is None else (float(best["value"]), str(best.get("kind", "")), bool(best.get("verified")))

    # --------------------------------------------------------------------------------------------- scales

    def other_scales(self, subscale: str | None) -> list[Mapping[str, Any]]:
        """The other scales on which some systems report this score."""
        entries = self.data.get("other-scales") or ()
        return [entry for entry in entries if entry.get("subscale", subscale) == subscale]

    def on_scale(self, scale: str, subscale: str | None) -> Instrument:
        """The same instrument as it is on another scale: with that scale's range, direction and important change."""
        entry = next((e for e in self.other_scales(subscale) if e["scale"] == scale), None)
        if entry is None:
            return self
        figures = {"important-change": entry.get("important-change"), "detectable-change": None}
        limits = {"low": entry["low"], "high": entry["high"]}
        own = {"range": limits, "better": entry["better"], "subscales": [], "bands": [], **figures}
        return Instrument(self.id, self.name, {**self.data, **own})

    def grade(self, text: str) -> float | None:
        """The rank of a grade that is told in signs or words (`3-/5`, `good plus`); None for a deficit in words."""
        told = re.sub(r"\s*/\s*5\b", "", text.strip().lower())
        told = re.sub(r"\s+", " ", told.removeprefix("grade ").removeprefix("mmt "))
        for entry in self.data.get("ordinal") or ():
            if told in (str(entry["grade"]), *entry.get("words", ())):
                return float(entry["value"])
        return None

    # -------------------------------------------------------------------------------------------- answers

    def worth(self, statement: Statement) -> float | None:
        """The points of an answer: a number, a coded answer, its weight in the form, or its words."""
        value = statement.value
        if statement.value_concept is not None:
            known = self.points(statement.value_concept)
            return statement.points if known is None else known
        if isinstance(value, str):
            number = number_in(value)
            return self.points(Concept(text=value)) if number is None else number
        return None if value is None else float(value)

    def points(self, answer: Concept) -> float | None:
        """What a coded answer of this instrument is worth: by its code, else by its words; None where not known."""
        for code in answer.codes:
            if (value := self._points_by_code.get((code.system, code.code))) is not None:
                return value
        texts = [answer.text, *(code.display for code in answer.codes), *(code.code for code in answer.codes)]
        return next((v for text in texts if (v := self._points_by_word.get(_bare_words(text))) is not None), None)

    @cached_property
    def _points_by_code(self) -> dict[tuple[str, str], float]:
        return {(e["system"], str(e["code"])): float(e["value"]) for e in self.data.get("answers") or () if "code" in e}

    @cached_property
    def _points_by_word(self) -> dict[str, float]:
        entries = self.data.get("answers") or ()
        return {_bare_words(str(word)): float(e["value"]) for e in entries for word in e.get("words") or ()}

    def asks_safety(self, question: Concept) -> bool:
        """Whether a question (a code, a linkId, its words) is this instrument's safety item."""
        item = self.data.get("safety-item")
        if not item:
            return False
        wanted = {str(item["code"]), *map(str, item.get("also") or ())}
        if any(c.system in ("", item["system"]) and link_code(c.code) in wanted for c in question.codes):
            return True
        texts = [question.text, *(code.display for code in question.codes)]
        return any(word in _bare_words(text) for word in item.get("words") or () for text in texts if text)


def number_in(text: str) -> float | None:
    """The number that a text is, and nothing but it."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def link_code(link: str) -> str:
    """The code that a linkId ends with: forms write `/44260-8`, `44249-1/44260-8` or the code alone.

    >>> link_code("/44249-1/44260-8")
    '44260-8'
    """
    return link.rstrip("/").rsplit("/", 1)[-1]


def _bare_words(text: str) -> str:
    """Words as they are compared: lower case, one space, no punctuation."""
    return " ".join(re.sub(r"[^a-z0-9]+", " ", text.lower()).split())
