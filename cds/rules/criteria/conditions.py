"""Conditions that must not be there, or that must."""

from __future__ import annotations

from collections.abc import Iterable

from cds.model import Condition, Fact
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
    names = listed((valueset.title.lower() for valueset in sets), "or")
    for valueset in sets:
        for reason in case.order.reasons:
            if valueset.matches(reason) and not params.get("new-only"):
                present.append((reason.label, case.order.reference))
    if present:
        says = f"on file: {listed(dict.fromkeys(label for label, _ in present))}"
        return not_met(says, [source for _, source in present], facts={"conditions": [label for label, _ in present]})
    if possible:
        labels = listed(dict.fromkeys(label for label, _ in possible))
        says = f"whether {labels} is active now is not recorded"
        return unknown(says, [f"the clinical status of {labels}"], [source for _, source in possible])
    if doubts := case.doubts(Fact.CONDITIONS):
        return unknown(f"conditions could not be read in full: {because(doubts)}", ["the patient's problem list"])
    return met(f"no {names} is active on file")


Labelled = list[tuple[str, str]]


def _found(case: Case, sets: Iterable[ValueSet], params: Params) -> tuple[Labelled, Labelled]:
    """Conditions that are active, and those that may be."""
    present: Labelled = []
    possible: Labelled = []
    for condition in case.record.conditions:
        if condition.active is False or not any(valueset.matches(condition.concept) for valueset in sets):
            continue
        if params.get("of-region") and condition.sites and case.order.sites and not _same_region(case, condition):
            continue
        when = condition.onset or condition.recorded
        new = None if when is None else when.within(case.spell.start or case.as_of, case.as_of)
        if params.get("new-only") and new is False:
            continue
        sure = condition.active and (new or not params.get("new-only"))
        (present if sure else possible).append((condition.concept.label, condition.source))
    return present, possible


def _same_region(case: Case, condition: Condition) -> bool:
    return any(site.may_be(mine) for site in condition.sites for mine in case.order.sites)
