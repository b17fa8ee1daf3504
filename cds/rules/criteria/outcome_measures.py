"""Outcome measures: is one on file, at the start and now; did it change as a clinician would call change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta

from cds.instruments import Instrument
from cds.model import Fact, Measure, Result
from cds.rules.case import Case
from cds.rules.change import changes, read_change, sources_of, told
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.words import because, listed
from cds.rules.episode import earliest_current
from cds.rules.finding import Finding, any_of, met, not_applicable, not_met, unknown


def suited(case: Case) -> tuple[Instrument, ...]:
    """The questionnaires that suit the order's body region and diagnosis, the preferred first."""
    instruments = case.terms.suited_instruments(case.order.sites, case.order.reasons)
    return tuple(i for i in instruments if not i.impairment and i.measures == "function")


def names(instruments: Sequence[Instrument], most: int = 3) -> str:
    """The usual names of the first few: `HAGOS, iHOT-33 or iHOT-12`."""
    return listed([instrument.name for instrument in instruments[:most]], last="or")


def _window(case: Case, params: Params) -> tuple[date, date, str]:
    """First and last day of the policy's window, and how to call it."""
    if params["window"] == "baseline":
        before, after = case.number(params["days-before"]), case.number(params["days-after"])
        first = case.start - timedelta(days=before or 0)
        return first, min(case.as_of, case.start + timedelta(days=after or 0)), "at the start of care"
    visits = case.number(params["visits"]) if "visits" in params else None
    return (
        earliest_current(case.spell, case.as_of, case.number(params["days"]) or 0, visits),
        case.as_of,
        "lately",
    )


@kind("outcome-measure-on-file", Fact.MEASURES, Fact.VISITS, Fact.TASKS)
def outcome_measure_on_file(case: Case, params: Params) -> Finding:
    """Whether a suited instrument has a score in the window (`baseline` or `current`)."""
    instruments = suited(case)
    first, last, when = _window(case, params)
    wanted = {instrument.id for instrument in instruments}
    mine = [m for m in case.record.measures if m.instrument in wanted and m.day.within(None, case.as_of) is not False]
    inside = [m for m in mine if m.day.within(first, last)]
    final = [measure for measure in inside if not measure.preliminary]
    facts = _facts(case, instruments, mine, params["window"])
    unsure = case.doubts(Fact.VISITS) if final and not _surely(case, params, final) else ()
    if unsure:
        says = f"{told(case, final[-1])}, but not all visits could be read: {because(unsure)}"
        return unknown(says, ["the therapy visits of this episode in full"], sources_of(final), facts=facts)
    if final:
        return met(f"{told(case, final[-1])} {when}", sources_of(final), facts=facts)
    maybe = [m for m in mine if m.day.within(first, last) is None]
    asked = f"{names(instruments)} between {first} and {last}"
    if inside or maybe:
        why = "is preliminary" if inside else f"is dated only {maybe[-1].day}"
        return unknown(
            f"a score on file {why}", [f"a final, dated score of {asked}"], sources_of(inside or maybe), facts=facts
        )
    doubts = case.doubts(Fact.MEASURES)
    if params["window"] == "baseline":
        doubts += case.doubts(Fact.VISITS)
    if doubts:
        return unknown(f"outcome measures could not be read in full: {because(doubts)}", [asked], facts=facts)
    seen = f" (last seen {told(case, mine[-1])})" if mine else ""
    return not_met(
        f"no {names(instruments)} on file {when}, {first} to {last}{seen}",
        change=[
            f"met if {names(instruments)} that was taken between {first} and {last} is found and filed"
            if params["window"] == "baseline"
            else f"met if {names(instruments)} is taken and recorded now"
        ],
        facts=facts,
    )  # fmt: skip


def _surely(case: Case, params: Params, inside: Sequence[Measure]) -> bool:
    """Whether a score lies in the window even if there were more visits than could be read."""
    if params["window"] == "baseline":
        return False
    since = earliest_current(case.spell, case.as_of, case.number(params["days"]) or 0, None)
    return any(measure.day.within(since, case.as_of) for measure in inside)


def _facts(case: Case, instruments: Sequence[Instrument], mine: Sequence[Measure], window: str) -> dict[str, object]:
    return {
        "instruments": [instrument.name for instrument in instruments],
        "instrument_ids": [instrument.id for instrument in instruments],
        "forms": forms_of(case, instruments),
        "last_seen": str(mine[-1].day) if mine else None,
        "already_asked": is_asked_for(case, instruments),
        f"{window}_on_file": bool(mine),
    }


def forms_of(case: Case, instruments: Iterable[Instrument]) -> dict[str, str]:
    """The shipped Questionnaires of some instruments, by the instrument's name: `{"PHQ-9": "phq-9|1.0.0"}`."""
    return {i.name: form for i in instruments if (form := case.terms.form_of(i)) is not None}


def is_asked_for(case: Case, instruments: Iterable[Instrument]) -> bool:
    """Whether an open task asks for one of the instruments, by its name or by its Questionnaire's canonical."""
    if not case.record.tasks:
        return False  # before the names of all instruments become one expression
    wanted = {instrument.id: instrument for instrument in instruments}
    names = [name for i in wanted.values() for name in (i.name, i.data.get("title"), *(i.data.get("aliases") or ()))]
    named = re.compile(rf"(?<!\w)(?:{'|'.join(re.escape(str(name)) for name in names if name)})(?!\w)", re.IGNORECASE)
    for task in case.record.tasks:
        asked = [case.terms.measure_for_questionnaire(word) for word in task.text.split() if "://" in word]
        if any(i and i.id in wanted for i in asked) or (wanted and named.search(task.text)):
            return True
    return False


# ------------------------------------------------------------------------------------------------ change


@kind("outcome-measure-improved", Fact.MEASURES, Fact.VISITS)
def outcome_measure_improved(case: Case, params: Params) -> Finding:
    """Whether any suited instrument improved by its important change between baseline and latest."""
    return improvement(case, params, suited(case), "outcome measure")


def improvement(case: Case, params: Params, wanted: Sequence[Instrument], what: str) -> Finding:
    """The best of the comparable changes; where there is none, unknown or, if the policy says so, not met.

    `when-absent: not-met` is for criteria that demand the documentation itself; it holds only where the
    search was whole.
    """
    found = [read_change(change) for change in changes(case, wanted)]
    if any(finding.result is not Result.NOT_APPLICABLE for finding in found):
        return _with_worse(any_of(found), found)
    known = {instrument.id for instrument in wanted}
    # A score of another time may belong to the episode, if that is older than the visits that could be read.
    elsewhere = any(m.instrument in known for m in case.record.measures)
    doubts = case.doubts(Fact.MEASURES) + (case.doubts(Fact.VISITS) if elsewhere else ())
    says = f"no comparable {what}s in this episode"
    asked = [f"the same {what} at the start of care and now"]
    if found:
        return not_applicable("; ".join(finding.says for finding in found))
    if unscored := _unscored(case, known):
        says = f"{says}: {'; '.join(told(case, m) for m in unscored)}"
        return unknown(says, ["the score of these answers"], sources_of(unscored))
    if doubts or params.get("when-absent") != "not-met":
        return unknown(f"{says} ({because(doubts)})" if doubts else says, asked)
    return not_met(says, change=[f"met if {asked[0]} are on file and show an important change"])


def _with_worse(joined: Finding, found: Sequence[Finding]) -> Finding:
    """A join that is met, with the words of the changes for the worse that it leaves out."""
    worse = [finding.says for finding in found if finding.facts.get("worse") and finding.says not in joined.says]
    return replace(joined, says="; but ".join((joined.says, *worse))) if joined.result is Result.MET else joined


def _unscored(case: Case, wanted: set[str]) -> list[Measure]:
    """Answers to questionnaires within the episode whose score is not known."""
    first = case.start - timedelta(days=14)
    return [
        m
        for m in case.record.measures
        if m.instrument in wanted
        and m.score is None
        and m.day.within(first, case.as_of) is not False
        and not case.terms.instruments[m.instrument].impairment
    ]
