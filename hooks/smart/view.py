"""What the page says, taken from the ledger's entry alone: no words of its own but headings. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cds.model import Result
from cds.rules.explain import RESULT_WORDS
from hooks.smart.record import Shown
from hooks.smart.scopes import missing, sentences
from hooks.smart.session import Session

Json = dict[str, Any]
# A shape beside the word, so that nothing hangs on colour: as cards have them.
_SHAPES = {Result.MET: "✓", Result.NOT_MET: "✗", Result.UNKNOWN: "?", Result.NOT_APPLICABLE: "–"}


@dataclass(frozen=True)
class Row:
    """One criterion: its result as a word and a shape, what was found, on what grounds, and what would settle it."""

    id: str
    statement: str
    result: str
    word: str
    shape: str
    required: bool
    says: str
    evidence: Sequence[str]
    missing: Sequence[str]
    would_change: Sequence[str]
    cite: str


@dataclass(frozen=True)
class View:
    """What the template shows."""

    shown: Shown
    rows: Sequence[Row]
    safety: Sequence[Row]
    gaps: Sequence[str]
    notes: Sequence[Json]
    limits: Sequence[str]
    recorded: str

    @property
    def assessment(self) -> Json:
        """The assessment as the ledger keeps it."""
        return self.shown.assessment


def view_of(shown: Shown, session: Session) -> View:
    """The page of one assessment for one session."""
    told = shown.assessment
    return View(
        shown=shown,
        rows=[_row(each) for each in told["criteria"]],
        safety=[_row(each) for each in told["safety"]],
        gaps=list(dict.fromkeys(gap["reason"] for gap in told["gaps"])),
        notes=told["notes"],
        limits=limits_of(session),
        recorded=shown.entry.recorded[:16].replace("T", " "),
    )


def limits_of(session: Session) -> Sequence[str]:
    """What the page cannot show or do, since the EHR granted less than was asked for."""
    return sentences(missing(session.asked.split(), session.granted.split()))


def _row(told: Json) -> Row:
    result = Result(told["result"])
    return Row(
        id=told["id"],
        statement=told["statement"],
        result=result.value,
        word=RESULT_WORDS[result],
        shape=_SHAPES[result],
        required=told["required"],
        says=told["says"],
        evidence=told["evidence"],
        missing=told["missing"],
        would_change=told["wouldChange"],
        cite=told["cite"],
    )
