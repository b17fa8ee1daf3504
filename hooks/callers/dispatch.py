"""order-dispatch: orders that are already on file go to a performer, and are weighed as of today or their first day."""

from __future__ import annotations

from datetime import date

from cds.errors import MissingData
from cds.fhir.elements import local_reference
from cds.fhir.orders import ACTIVE_ORDERS, first_proposed
from cds.service import Ports
from hooks.callers.bounds import MOST_ORDERS, check_number
from hooks.callers.caller import Caller, Question
from hooks.callers.on_file import referred
from hooks.cards import View
from hooks.protocol import HookRequest


def dispatch(hook: HookRequest, ports: Ports, today: date) -> Question:
    """The dispatched therapy orders, by either shape of the context (library 1.1 `dispatchedOrders`, 1.0 `order`).

    One that cannot be read is told in a card. MissingData (412) where there is none and nobody can be asked.
    """
    named = hook.context.get("dispatchedOrders") or [hook.context["order"]]
    references = list(dict.fromkeys(map(local_reference, named)))
    found = referred(references, ports, hook.patient)
    check_number(len(found.orders), MOST_ORDERS, "context.dispatchedOrders")
    if found.lacking and not found.orders and not found.problems:
        raise MissingData(
            "The dispatched orders cannot be had: they were not sent, and no FHIR server can be asked",
            where=f"prefetch.{ACTIVE_ORDERS.key}",
            remedy="Satisfy this prefetch key, or send fhirServer and fhirAuthorization of an allowed FHIR server",
        )
    lacking = [f"{reference} was not sent, and no FHIR server can be asked" for reference in found.lacking]
    # Not before the first service: what pays and applies today may not on that day.
    days = {order.reference: max(today, first_proposed(order) or today) for order in found.orders}
    return Question(found.orders, (*found.problems, *lacking), days=days, view=View(among=len(references)))


DISPATCH = Caller(
    title="Therapy orders as they go to a performer",
    description=(
        "Weighs therapy orders that are dispatched, as of today or of their first day: what has changed since they "
        "were signed, such as visits done elsewhere, counts"
    ),
    ask=dispatch,
    queries=(ACTIVE_ORDERS,),
)
