"""Scores of QuestionnaireResponses. Pure: answers in, a score or a raw sum in words out.

A score that the response itself holds (under its LOINC code) is taken. Otherwise the answers are added up as
the instrument's file says (`scoring:`), where its published scoring is free and known. What cannot be scored
keeps its raw sum in words, and is never compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cds.fhir.scales import PLAINLY, Told, scale_of
from cds.instruments import Instrument, link_code
from cds.model import Code, Concept, Statement
from cds.terminology import Terminology


@dataclass(frozen=True)
class Scored:
    """What a response came to: a score, or in words (`text`) what could not be scored; how it is told."""

    instrument: Instrument
    subscale: str | None = None
    score: float | None = None
    text: str = ""
    told: Told = PLAINLY


def scores_told(told: Iterable[Statement], terms: Terminology) -> list[Scored]:
    """The scores that stand in the response as answers to items that are scores by their code."""
    found: list[Scored] = []
    for statement in told:
        for code in item_codes(statement):
            match = terms.measure_for_code(code)
            score = match and not match[0].impairment and match[0].worth(statement)
            if match and isinstance(score, float):
                told_so = scale_of(*match, score, said=terms.scale_of_code(Concept((code,))))
                found.append(Scored(*match, score, told=told_so))
                break
    return found


def item_codes(statement: Statement) -> Iterable[Code]:
    """The codes that an answer's item goes by: its definition's, and the code that its linkId ends with."""
    for code in statement.concept.codes:
        yield Code("loinc", link_code(code.code)) if not code.system else code


def sum_up(told: Sequence[Statement], instrument: Instrument) -> Scored | None:
    """The score of an instrument's answers; in words only where its scoring is not known or too few answered."""
    scoring = instrument.data.get("scoring")
    points = _points(told, instrument, scoring)
    if scoring is None or not _complete(points, scoring):
        if not points:
            return None
        some = f" of {len(points)} answers" if scoring else ""
        return Scored(instrument, text=f"raw sum {sum(points):g}{some}, not scored")
    score = sum(points) if scoring["method"] == "sum" else sum(points) / len(points)
    return Scored(instrument, None, score, told=scale_of(instrument, None, score, said=""))


def _points(told: Sequence[Statement], instrument: Instrument, scoring: Mapping[str, Any] | None) -> list[float]:
    wanted = (scoring or {}).get("items")
    names = set(map(str, wanted)) if isinstance(wanted, list) else None
    by_item: dict[str, float] = {}
    for statement in told:
        item = next((c for c in (code.code for code in item_codes(statement)) if names is None or c in names), None)
        worth = instrument.worth(statement)
        if item is not None and worth is not None:
            by_item[item] = worth
    return list(by_item.values())


def _complete(points: Sequence[float], scoring: Mapping[str, Any]) -> bool:
    """Whether enough items were answered, each within its limits."""
    limits = scoring["each"]
    right = all(limits["low"] <= value <= limits["high"] for value in points)
    wanted = scoring["items"]
    most = len(wanted) if isinstance(wanted, list) else int(wanted)
    return right and int(scoring["least"]) <= len(points) <= most
