"""What is documented in structured form: exercise prescriptions, and statements that somebody made."""

from __future__ import annotations

from datetime import date

from cds.model import Days, Fact, Statement, add_months
from cds.rules.case import Case
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.words import because, listed
from cds.rules.finding import Finding, met, not_met, unknown
from cds.terminology import ValueSet

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
    """Whether somebody stated something of the set in structured form.

    Silence is unknown; only `when-absent: not-met`, for criteria that ask for the statement itself, makes
    it not met, and only after a whole search.
    """
    told = _told(case, params)
    title = _title(case, params)
    if told:
        latest = told[-1]
        says = f"{latest.concept.label}: {_value(latest)} ({latest.day})"
        return (not_met if _denied(latest) else met)(says, [latest.source])
    doubts = case.doubts(Fact.STATEMENTS)
    wanted = f"a recorded statement: {title}"
    if doubts or params.get("when-absent") != "not-met":
        return unknown(f"{title} is not recorded" + (f" ({because(doubts)})" if doubts else ""), [wanted])
    return not_met(f"{title} is not recorded", change=[f"met if it is recorded: {title}"])


@kind("not-stated", Fact.STATEMENTS, Fact.CONDITIONS)
def not_stated(case: Case, params: Params) -> Finding:
    """Whether nobody stated, and no active condition says, something of the set.

    Silence is met, or unknown where the policy wants it said (`when-absent: unknown`).
    """
    wanted = case.terms.valueset(params["set"])
    title = _title(case, params)
    said = [s for s in _told(case, params) if not _denied(s)]
    active = [c for c in case.record.conditions if c.active is not False and wanted.matches(c.concept)]
    if said or active:
        labels = [s.concept.label for s in said] + [c.concept.label for c in active]
        sources = [s.source for s in said] + [c.source for c in active]
        return not_met(f"on file: {listed(dict.fromkeys(labels))}", sources, facts={"conditions": labels})
    doubts = case.doubts(Fact.STATEMENTS, Fact.CONDITIONS)
    if doubts or (params.get("when-absent") == "unknown" and not _told(case, params)):
        why = f" ({because(doubts)})" if doubts else ""
        return unknown(f"nothing is recorded either way: {title}{why}", [f"a recorded statement: {title}"])
    return met(f"nothing on file says: {title}")


@kind("document-on-file", Fact.DOCUMENTS, Fact.IMAGING)
def document_on_file(case: Case, params: Params) -> Finding:
    """Whether a document or report of the set is dated within the last `months`."""
    wanted = case.terms.valueset(params["set"])
    dated = [(d.day, d.source) for d in case.record.documents if wanted.matches(d.concept)]
    dated += [
        (i.day, i.source) for i in case.record.images if wanted.matches(i.concept) or _modality(wanted, i.modality)
    ]
    return _on_file(case, params, dated, (Fact.DOCUMENTS, Fact.IMAGING))


@kind("procedure-on-file", Fact.PROCEDURES, Fact.VISITS)
def procedure_on_file(case: Case, params: Params) -> Finding:
    """Whether a procedure of the set was done within the last `months`."""
    wanted = case.terms.valueset(params["set"])
    dated = [(p.day, p.source) for p in case.record.procedures if wanted.matches(p.concept)]
    return _on_file(case, params, dated, (Fact.PROCEDURES,))


def _modality(wanted: ValueSet, modality: str | None) -> bool:
    return modality is not None and ("dicom", modality) in wanted.codes


def _on_file(case: Case, params: Params, dated: list[tuple[Days, str]], facts: tuple[Fact, ...]) -> Finding:
    months, title = case.number(params["months"]), _title(case, params)
    if months is None:
        return unknown("the policy states no window for this date", ["the policy's figure"])
    since = add_months(case.as_of, -months)
    recent = [(day, source) for day, source in dated if day.within(since, case.as_of)]
    if recent:
        return met(f"{title}: on file, {recent[-1][0]}", [source for _, source in recent])
    wanted = f"{title} since {since}"
    if maybe := [source for day, source in dated if day.within(since, case.as_of) is None]:
        return unknown(f"{wanted}: on file, but its date is not exact", [f"the day of {title}"], maybe)
    if doubts := case.doubts(*facts):
        return unknown(f"{wanted} was not seen: {because(doubts)}", [wanted])
    return not_met(f"{wanted}: none on file", [s for _, s in dated[-1:]], [f"met if it is on file: {wanted}"])


def _title(case: Case, params: Params) -> str:
    title = case.terms.valueset(params["set"]).title
    return title[:1].lower() + title[1:]


def _told(case: Case, params: Params) -> list[Statement]:
    """Statements of the set, by what was asked or by what was answered, oldest first."""
    wanted = case.terms.valueset(params["set"])
    told = [
        s
        for s in case.record.statements
        if s.day.within(None, case.as_of) is not False
        and (wanted.matches(s.concept) or (s.value_concept is not None and wanted.matches(s.value_concept)))
    ]
    return sorted(told, key=lambda s: s.day.first or date.min)


def _denied(statement: Statement) -> bool:
    return statement.value is False or str(statement.value).strip().lower() in _NO


def _value(statement: Statement) -> str:
    if statement.value is None or statement.value is True:
        return "yes"
    return "no" if statement.value is False else str(statement.value)
