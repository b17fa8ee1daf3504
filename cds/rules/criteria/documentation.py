"""What is documented in structured form: exercise prescriptions, and statements that somebody made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from cds.model import Days, Fact, Statement, add_months
from cds.rules.case import Case
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.words import because, listed
from cds.rules.finding import Finding, met, not_met, unknown
from cds.terminology import ValueSet

# Answers that deny, and those that are no answer: words, HL7 yes/no and null flavours, and SNOMED CT codes.
_NO = frozenset(("no", "false", "n", "absent", "negative", "none", "373067005", "2667000", "260385009"))
_NO_ANSWER = frozenset(("unknown", "not asked", "unk", "asku", "nask", "261665006", "asked-unknown", "not-asked"))


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
            if c.code in labels and statement.value is not None and statement.day.within(None, case.as_of) is not False
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
    """Whether somebody stated something of the set in structured form; the latest word on each question holds.

    Silence is unknown; only `when-absent: not-met`, for criteria that ask for the statement itself, makes
    it not met, and only after a whole search.
    """
    latest = _latest(case, params)
    title = _title(case, params)
    doubts = case.doubts(Fact.STATEMENTS)
    wanted = f"a recorded statement: {title}"
    denied = [s for s in latest if _denied(case.terms.valueset(params["set"]), s)]
    why = f" ({because(doubts)})" if doubts else ""
    yes = [s for s in latest if s not in denied]
    agreed = [s for s in yes if not any(_asks(s) == _asks(no) for no in denied)]
    if doubts and latest:
        return unknown(f"{_tell(latest[-1])}; a later statement may be on file{why}", [wanted], _sources(latest))
    if agreed:
        return met("; ".join(map(_tell, agreed)), _sources(agreed))
    if yes:
        says = f"{yes[-1].concept.label}: both yes and no are recorded ({yes[-1].day})"
        return unknown(says, ["which of the two statements holds"], _sources(latest))
    if latest:
        return not_met(_tell(latest[-1]), _sources(latest[-1:]))
    if doubts or params.get("when-absent") != "not-met":
        return unknown(f"not recorded: {title}{why}", [wanted])
    return not_met(f"not recorded: {title}", change=[f"met if it is recorded: {title}"])


@kind("not-stated", Fact.STATEMENTS, Fact.CONDITIONS)
def not_stated(case: Case, params: Params) -> Finding:
    """Whether nobody stated, and no active condition says, something of the set; the latest word holds.

    Silence is met; with `when-absent: unknown`, each statement of the set has to be denied.
    """
    wanted = case.terms.valueset(params["set"])
    title = _title(case, params)
    latest = _latest(case, params)
    said = [s for s in latest if not _denied(wanted, s)]
    active = [c for c in case.record.conditions if c.active is not False and wanted.matches(c.concept)]
    if said or active:
        labels = [s.concept.label for s in said] + [c.concept.label for c in active]
        sources = [s.source for s in said] + [c.source for c in active]
        return not_met(f"on file: {listed(dict.fromkeys(labels))}", sources, facts={"conditions": labels})
    if doubts := case.doubts(Fact.STATEMENTS, Fact.CONDITIONS):
        says = f"whether this is on file could not be read in full: {title} ({because(doubts)})"
        return unknown(says, [f"a recorded statement: {title}"])
    if params.get("when-absent") == "unknown" and (silent := _not_asked(wanted, latest)):
        says = f"not recorded either way: {listed(silent, 'or')}"
        return unknown(says, [f"a recorded statement, yes or no: {each}" for each in silent], _sources(latest))
    return met(f"nothing on file says: {title}", _sources(latest))


def _not_asked(wanted: ValueSet, latest: Sequence[Statement]) -> list[str]:
    """The statements of a set to which nobody gave an answer."""
    answered = {(code.system, code.code) for statement in latest for code in statement.concept.codes}
    labels = [str(entry.get("label", key[1])) for key, entry in wanted.codes.items() if key not in answered]
    return [label[:1].lower() + label[1:] for label in labels]


@kind("document-on-file", Fact.DOCUMENTS, Fact.IMAGING)
def document_on_file(case: Case, params: Params) -> Finding:
    """Whether a document, study, report or procedure of the set is dated within the last `months`."""
    wanted = case.terms.valueset(params["set"])
    dated = [(d.day, d.source) for d in case.record.documents if wanted.matches(d.concept)]
    dated += [
        (i.day, i.source) for i in case.record.images if wanted.matches(i.concept) or _modality(wanted, i.modality)
    ]
    dated += [(p.day, p.source) for p in case.record.procedures if wanted.matches(p.concept)]
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
    dated = sorted(dated, key=lambda item: (item[0].first or date.min, item[1]))
    recent = [(day, source) for day, source in dated if day.within(since, case.as_of)]
    if recent:
        return met(f"{title}: on file, {recent[-1][0]}", [source for _, source in recent])
    wanted = f"{title} since {since}"
    if maybe := [source for day, source in dated if day.within(since, case.as_of) is None]:
        return unknown(f"{wanted}: on file, but its date is not exact", [f"the day of {title}"], maybe)
    if doubts := case.doubts(*facts):
        return unknown(f"{wanted} was not seen: {because(doubts)}", [wanted])
    last = f" (the last is of {dated[-1][0]})" if dated else ""
    return not_met(f"{wanted}: none on file{last}", [s for _, s in dated[-1:]], [f"met if it is on file: {wanted}"])


def _title(case: Case, params: Params) -> str:
    title = case.terms.valueset(params["set"]).title
    return title[:1].lower() + title[1:]


def _latest(case: Case, params: Params) -> list[Statement]:
    """The latest word on each question of the set, oldest first; more than one where a day has several."""
    wanted = case.terms.valueset(params["set"])
    told = [
        s
        for s in case.record.statements
        if _about(wanted, s) and s.day.within(None, case.as_of) is not False and not _unanswered(s)
    ]
    newest: dict[frozenset[str], date] = {}
    for statement in told:
        newest[_asks(statement)] = max(_day(statement), newest.get(_asks(statement), date.min))
    last = [s for s in told if _day(s) == newest[_asks(s)]]
    return sorted(last, key=lambda s: (_day(s), s.source))


def _about(wanted: ValueSet, statement: Statement) -> bool:
    """Whether a statement is of the set: by what was asked, or by what was answered."""
    return wanted.is_said_by(statement.concept) or _answered_with(wanted, statement)


def _answered_with(wanted: ValueSet, statement: Statement) -> bool:
    value = statement.value_concept
    return value is not None and wanted.is_said_by(value)


def _asks(statement: Statement) -> frozenset[str]:
    """What a statement is about, so that a later one on the same is known as such."""
    return frozenset(code.code for code in statement.concept.codes) or frozenset((statement.concept.text,))


def _day(statement: Statement) -> date:
    return statement.day.first or date.min


def _sources(statements: Sequence[Statement]) -> list[str]:
    return [statement.source for statement in statements]


def _answer(statement: Statement) -> set[str]:
    """The answer as words and codes, in small letters."""
    codes = statement.value_concept.codes if statement.value_concept else ()
    words = (str(statement.value), *(part for code in codes for part in (code.code, code.display)))
    return {word.strip().lower() for word in words if word}


def _denied(wanted: ValueSet, statement: Statement) -> bool:
    """Whether the answer is no; where the set says of a code that the value tells, any other value is one."""
    entries = [wanted.codes.get((code.system, code.code), {}) for code in statement.concept.codes]
    if any(entry.get("value-tells") for entry in entries) and not _answered_with(wanted, statement):
        return True
    return statement.value is False or bool(_answer(statement) & _NO)


def _unanswered(statement: Statement) -> bool:
    return bool(_answer(statement) & _NO_ANSWER)


def _tell(statement: Statement) -> str:
    """`Sleep disturbed by pain: yes (2025-09-03)`."""
    said = "yes" if statement.value in (None, True) else "no" if statement.value is False else str(statement.value)
    return f"{statement.concept.label}: {said} ({statement.day})"
