"""The lines of the order: which are on a plan's list, which services are asked for."""

from __future__ import annotations

from cds.rules.case import Case
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.words import listed, plural
from cds.rules.finding import Finding, met, not_applicable, not_met


@kind("services-listed")
def services_listed(case: Case, params: Params) -> Finding:
    """Whether every billing line is on the plan's list. A line that is not concerns that line only."""
    if not case.order.lines:
        return not_applicable("the order names no billing codes")
    plan_list = case.terms.valueset(params["set"])
    unlisted = [line.label for line in case.order.lines if not plan_list.has_code(line.code)]
    facts = {
        "unlisted": unlisted,
        "listed": [line.label for line in case.order.lines if line.label not in unlisted],
    }
    if not unlisted:
        return met(f"{plural(len(case.order.lines), 'line')} on the plan's list", [case.order.reference], facts=facts)
    which = "line" if len(unlisted) == 1 else "lines"
    return not_met(
        f"{which} {listed(unlisted)} not on the plan's list ({plan_list.title})",
        [case.order.reference],
        [f"met if {which} {listed(unlisted)} is taken off the order" if len(unlisted) == 1
         else f"met if {which} {listed(unlisted)} are taken off the order"],
        facts=facts,
    )  # fmt: skip


@kind("service-ordered")
def service_ordered(case: Case, params: Params) -> Finding:
    """Whether the order asks for a service of a set."""
    codes = case.ordered(params["set"])
    name = case.terms.valueset(params["set"]).title
    if codes:
        return met(f"the order asks for {listed(codes)} ({name})", [case.order.reference])
    return not_met(f"the order does not ask for {name[:1].lower()}{name[1:]}", [case.order.reference])
