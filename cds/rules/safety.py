"""What must be asked of the patient at once, whatever the policy: a positive answer on thoughts of self-harm.

It stands beside the criteria and never bears on their outcome.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from cds.instruments import Instrument
from cds.model import CriterionResult, Result, Statement
from cds.terminology import Terminology

LOOK_BACK = timedelta(days=90)


def safety_of(statements: Iterable[Statement], as_of: date, terms: Terminology) -> tuple[CriterionResult, ...]:
    """A result for each instrument whose safety item was last answered with more than none.

    Answers within 90 days before `as_of` count, as do those whose date may lie there. A later answer of
    none settles an earlier positive one only where it is surely later.
    """
    asked: dict[str, tuple[Instrument, list[Statement]]] = {}
    for statement in statements:
        instrument = terms.asks_safety(statement.concept)
        if instrument and statement.day.within(as_of - LOOK_BACK, as_of) is not False:
            asked.setdefault(instrument.id, (instrument, []))[1].append(statement)
    return tuple(
        _result(instrument, positive)
        for instrument, told in asked.values()
        if (positive := [s for s in told if is_positive(s, instrument) and not _settled(s, told, instrument)])
    )


def is_positive(statement: Statement, instrument: Instrument) -> bool:
    """Whether an answer to a safety item is more than none; an answer that nobody can read is not."""
    points = instrument.worth(statement)
    return points is not None and points > 0


def _settled(positive: Statement, told: Iterable[Statement], instrument: Instrument) -> bool:
    """Whether a later answer says none."""
    last = positive.day.last
    later = [s for s in told if last is not None and s.day.surely_after(last)]
    return any(instrument.worth(s) == 0 for s in later)


def _result(instrument: Instrument, positive: list[Statement]) -> CriterionResult:
    days = sorted(s.day.exact for s in positive if s.day.exact)
    when = f" on {days[-1]}" if days else ""
    sources = dict.fromkeys(s.source for s in positive)
    return CriterionResult(
        id=f"{instrument.id}-safety-item",
        statement=f"{instrument.name} item on thoughts of death or self-harm",
        required=False,
        result=Result.NOT_MET,
        says=f"{instrument.name} item 9, thoughts of death or self-harm, was answered above none{when}",
        card="ask-now",
        evidence=tuple(sources),
        would_change=("a clinician asks about safety now and records what was found",),
        cite=str(instrument.data.get("cite", "")),
        facts={"instrument": instrument.name, "item": "item 9", "day": days[-1].isoformat() if days else None},
    )
