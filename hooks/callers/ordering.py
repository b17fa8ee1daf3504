"""order-sign and order-select: orders in the context itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from cds.errors import UnusableOrder
from cds.fhir.elements import local_reference
from cds.fhir.orders import read_orders
from cds.model import Assessment, Result
from cds.service import Ports
from hooks.asking import FIRST, Draft, Tools
from hooks.callers.bounds import MOST_ORDERS, each_once, without_copies
from hooks.callers.caller import Caller, Question
from hooks.callers.quiet import unread
from hooks.cards import View
from hooks.drafts import drafts_of
from hooks.protocol import HookRequest

# What matters before the details of an order are filled in.
EARLY = frozenset(("contraindication", "limits", "outcome-measure", "safety"))


def sign(hook: HookRequest, ports: Ports, today: date) -> Question:
    """Every draft order; UnusableOrder (422) where there is not one that can be read."""
    drafts, aliases = without_copies(hook.drafts()), hook.aliases()
    read, problems = read_orders(drafts, ports.terms, hook.patient, aliases)
    orders, again = each_once(read, MOST_ORDERS, "context.draftOrders")
    if problems and not orders:
        raise _unusable(problems[0])
    return Question(orders, (*problems, *again), view=View(among=len(drafts)), aliases=aliases)


def _unusable(problem: str) -> UnusableOrder:
    """The error of a request without one usable order; the problem says where it is and what to do by itself."""
    error = UnusableOrder(problem)
    found = re.search(r"context\.draftOrders\S*?(?=\.? |$)", problem)
    error.where = found.group() if found else "context.draftOrders"
    return error


def select(hook: HookRequest, ports: Ports, today: date) -> Question:
    """The draft orders that were just selected. One that is not finished yet is no error: it is signed later."""
    aliases = hook.aliases()
    chosen = {aliases.get(name) or local_reference(name) for name in hook.context["selections"]}
    sent = without_copies(hook.drafts())
    drafts = [
        (where, draft)
        for where, draft in sent
        if f"{draft['resourceType']}/{draft.get('id', '')}" in chosen and _has_subject(draft)
    ]
    read, _ = read_orders(drafts, ports.terms, hook.patient, aliases)
    orders, again = each_once(read, MOST_ORDERS, "context.draftOrders")
    view = View(_early, most=1, opens=False, whole=False, among=len(sent))
    return Question(orders, again, view=view, aliases=aliases)


def _has_subject(draft: Mapping[str, Any]) -> bool:
    subject = draft.get("subject")
    return isinstance(subject, dict) and bool(subject.get("reference") or subject.get("identifier"))


def _early(assessment: Assessment, tools: Tools) -> Sequence[Draft]:
    """What is plain already: a contraindication, a score to ask about, a limit that is passed, no outcome measure."""
    plain = [r for r in assessment.criteria if r.result is Result.NOT_MET and r.card in EARLY]
    told = tuple(result for result in plain if "share" not in result.facts)
    drafts = drafts_of(replace(assessment, criteria=told), tools)
    return [*(draft for draft in drafts if told or draft.rank == FIRST), *unread(assessment)]


SIGN = Caller(
    title="Therapy orders against necessity criteria",
    description=(
        "Weighs physical, occupational and rehabilitation therapy orders against dated, cited criteria: "
        "visits against limits, outcome measures, lines on the plan's list, reassessment, contraindications"
    ),
    ask=sign,
)
SELECT = Caller(
    title="Therapy orders as they are chosen",
    description=(
        "Tells early what is plain before a therapy order is filled in: a visit limit that is passed already, "
        "a missing outcome measure, a possible contraindication; at most one card for an order"
    ),
    ask=select,
    kinds=EARLY,
)
