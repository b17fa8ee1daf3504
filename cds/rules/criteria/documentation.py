"""What is documented in structured form: exercise prescriptions, and statements that somebody made."""

from __future__ import annotations

from cds.model import Fact, Statement
from cds.rules.case import Case
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.words import because, listed
from cds.rules.finding import Finding, met, not_met, unknown

_NO = frozenset(("no", "false", "n", "absent", "negative", "none"))


@kind("exercise-prescribed", Fact.PLANS, Fact.STATEMENTS)
def exercise_prescribed(case: Case, params: Params) -> Finding:
    """Whether every part of an exercise prescription in the set is recorded in structured form."""
    wanted = case.terms.valueset(params["set"])
    labels = {code: str(entry.get("label", code)) for (_, code), entry in wanted.codes.items()}
    found: dict[str, str] = {}
    for statement in case.record.statements:
        found |= {
            c.code: statement.source
            for c in statement.concept.codes
            if c.code in labels and statement.value is not None
        }
    for plan in case.record.plans:
        found |= dict.fromkeys(plan.exercise & labels.keys(), plan.source)
    missing = [label.lower() for code, label in labels.items() if code not in found]
    if not missing:
        return met(
            f"{listed(label.lower() for label in labels.values())} are recorded",
            dict.fromkeys(found.values()),
        )
    doubts = case.doubts(Fact.PLANS, Fact.STATEMENTS)
    if not found or doubts:
        why = f" ({because(doubts)})" if doubts else "; a note may tell it"
        return unknown(
            f"no structured exercise prescription is on file{why}",
            [f"{listed(labels.values())} of the exercises"],
        )
    return not_met(
        f"the exercise prescription does not record {listed(missing, 'or')}",
        dict.fromkeys(found.values()),
        [f"met if {listed(missing)} of the exercises are recorded"],
    )


@kind("stated", Fact.STATEMENTS)
def stated(case: Case, params: Params) -> Finding:
    """Whether somebody stated something of the set in structured form; silence is unknown, never not met."""
    wanted = case.terms.valueset(params["set"])
    title = wanted.title[:1].lower() + wanted.title[1:]
    told = [
        s
        for s in case.record.statements
        if s.day.within(None, case.as_of) is not False
        and (wanted.matches(s.concept) or (s.value_concept is not None and wanted.matches(s.value_concept)))
    ]
    if told:
        latest = told[-1]
        says = f"{latest.concept.label}: {_value(latest)} ({latest.day})"
        return (not_met if _denied(latest) else met)(says, [latest.source])
    doubts = case.doubts(Fact.STATEMENTS)
    return unknown(
        f"{title} is not recorded" + (f" ({because(doubts)})" if doubts else ""),
        [f"a recorded statement: {title}"],
    )


def _denied(statement: Statement) -> bool:
    return statement.value is False or str(statement.value).strip().lower() in _NO


def _value(statement: Statement) -> str:
    if statement.value is None or statement.value is True:
        return "yes"
    return "no" if statement.value is False else str(statement.value)
