"""Conditions that must not be there, or that must."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta

from cds.model import Condition, Days, Fact, add_months
from cds.rules.case import Case
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.words import because, listed
from cds.rules.finding import Finding, met, not_met, unknown
from cds.terminology import ValueSet


@kind("no-active-condition", Fact.CONDITIONS, Fact.VISITS)
def no_active_condition(case: Case, params: Params) -> Finding:
    """Whether no condition of these sets is active: in the problem list, or as the order's own reason.

    `new-only`: only conditions that began, or were recorded, after the episode began count.
    `of-region`: only conditions of the order's body region count (those that name none count too).
    """
    sets = [case.terms.valueset(name) for name in params["sets"]]
    present, possible = _found(case, sets, params)
    names = tuple(valueset.title[:1].lower() + valueset.title[1:] for valueset in sets)
    for valueset in sets:
        for reason in case.order.reasons:
            if valueset.matches(reason) and not params.get("new-only"):
                present.append((reason.label, case.order.reference))
    if present:
        says = f"on file: {listed(dict.fromkeys(label for label, _ in present))}"
        return not_met(says, [source for _, source in present], facts={"conditions": [label for label, _ in present]})
    if possible:
        labels = listed(dict.fromkeys(label for label, _ in possible))
        new = " and new" if params.get("new-only") else ""
        says = f"whether {labels} is active{new} is not sure"
        return unknown(says, [f"the clinical status of {labels}"], [source for _, source in possible])
    if doubts := case.doubts(Fact.CONDITIONS):
        return unknown(f"conditions could not be read in full: {because(doubts)}", ["the patient's problem list"])
    return replace(met(f"none active on file: {'; '.join(names)}"), listed=names)


Labelled = list[tuple[str, str]]


def _found(case: Case, sets: Iterable[ValueSet], params: Params) -> tuple[Labelled, Labelled]:
    """Conditions that are active, and those that may be."""
    present: Labelled = []
    possible: Labelled = []
    for condition in case.record.conditions:
        if condition.active is False:
            continue
        matching = next((valueset for valueset in sets if valueset.matches(condition.concept)), None)
        if matching is None:
            if _unreadable(condition):
                possible.append((f"a condition that no code or word names ({condition.source})", condition.source))
            continue
        if params.get("of-region") and condition.sites and case.order.sites and not _same_region(case, condition):
            continue
        when = condition.onset or condition.recorded
        new = None if when is None else when.within(case.spell.start or case.as_of, case.as_of)
        if params.get("new-only") and new is False:
            if not case.doubts(Fact.VISITS) or (when is not None and when.surely_after(case.as_of)):
                continue
            new = None  # with visits that could not be read, the episode may be older than it seems
        sure = condition.active and (new or not params.get("new-only"))
        label = condition.concept.label
        if label in {code.code for code in condition.concept.codes}:  # a bare code says nothing to a reader
            label = f"{label} ({matching.title[:1].lower()}{matching.title[1:]})"
        (present if sure else possible).append((label, condition.source))
    return present, possible


def _unreadable(condition: Condition) -> bool:
    """Whether nothing in a condition tells what it is: no ICD-10-CM code to look up, and no word."""
    concept = condition.concept
    worded = concept.text or any(code.display for code in concept.codes)
    return not worded and not any(code.system.startswith("icd-") for code in concept.codes)


def _same_region(case: Case, condition: Condition) -> bool:
    return any(site.may_be(mine) for site in condition.sites for mine in case.order.sites)


@kind("symptoms-for", Fact.CONDITIONS)
def symptoms_for(case: Case, params: Params) -> Finding:
    """Whether the condition treated began at least `days` or `months` ago.

    The conditions meant are those of `set` where it is given; else those of the order's region and side, or
    with one of the order's own codes. The earliest onset counts, whole days from it to the evaluation date.
    """
    days, months = params.get("days"), params.get("months")
    figure = case.number(str(days or months))
    if figure is None:
        return unknown("the policy states no duration for this date", ["the policy's figure"])
    mark = case.as_of - timedelta(days=figure) if days else add_months(case.as_of, -figure)
    length = f"{figure} {'days' if days else 'months'}"
    treated = _treated(case, params)
    dated = [(c.onset, c) for c in treated if c.onset is not None and c.onset.first is not None]
    began = [(onset, c, onset.within(None, mark)) for onset, c in sorted(dated, key=lambda pair: _earliest(*pair))]
    for onset, condition, long_enough in began:
        if long_enough:
            return met(f"{condition.concept.label} since {onset}, {length} or more", [condition.source])
    if vague := [(onset, c) for onset, c, long_enough in began if long_enough is None]:
        onset, condition = vague[0]
        says = f"the onset of {condition.concept.label} is dated only {onset}"
        return unknown(says, ["the day of onset"], [c.source for _, c in vague])
    doubts = case.doubts(Fact.CONDITIONS)
    if not began or doubts:
        why = f" ({because(doubts)})" if doubts else ""
        return unknown(f"no onset of the condition is on file{why}", ["the date on which the symptoms began"])
    onset, condition, _ = began[0]
    return not_met(
        f"{condition.concept.label} since {onset}, less than {length}",
        [condition.source],
        [f"met when the symptoms have lasted {length}"],
    )


def _earliest(onset: Days, condition: Condition) -> tuple[date, str]:
    return onset.first or date.min, condition.source


def _treated(case: Case, params: Params) -> list[Condition]:
    if "set" in params:
        wanted = case.terms.valueset(params["set"])
        return [c for c in case.record.conditions if c.active is not False and wanted.matches(c.concept)]
    codes = {code for reason in case.order.reasons for code in reason.codes}
    keys = {(code.system, code.code) for code in codes}
    return [
        c
        for c in case.record.conditions
        if c.active is not False
        and (_same_region(case, c) or any((code.system, code.code) in keys for code in c.concept.codes))
    ]


@kind("reason-not-in")
def reason_not_in(case: Case, params: Params) -> Finding:
    """Whether none of the order's reasons is in the set; unknown where the order names no reason."""
    wanted = case.terms.valueset(params["set"])
    title = wanted.title.lower()
    found = [reason.label for reason in case.order.reasons if wanted.matches(reason)]
    if found:
        return not_met(f"the order's reason is {title}: {listed(found)}", [case.order.reference])
    if not case.order.reasons:
        return unknown("the order names no reason", ["the diagnosis that the order is for"])
    return met(f"none of the order's reasons is among: {title}", [case.order.reference])
