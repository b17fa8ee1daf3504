"""Orders that a context names by reference, or does not name at all: from prefetch, else from the FHIR server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cds.errors import InputError
from cds.fhir.bookings import Booking, order_of
from cds.fhir.orders import ACTIVE_ORDERS, read_order
from cds.model import Evidence, EvidenceState, Order, Resource
from cds.rules.episode import belongs
from cds.service import TECHNICAL, Ports
from hooks.callers.bounds import MOST_REFERENCES, check_number
from hooks.callers.problem import problem_of

# Keys under which clients send the orders that a context refers to, beside the one that discovery asks for.
_KEYS = (ACTIVE_ORDERS.key, "dispatchedOrders", "order", "serviceRequestBundle")
# What may be read by a reference: anything else in its place could turn a read into another search.
_READABLE = re.compile(r"ServiceRequest/[A-Za-z0-9.-]{1,64}")


@dataclass(frozen=True)
class Found:
    """What came of some references: therapy orders, and in words why others could not be read.

    `lacking`: those that were neither sent nor could be asked for.
    """

    orders: tuple[Order, ...] = ()
    problems: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()


def referred(references: Sequence[str], ports: Ports, patient: str) -> Found:
    """The therapy orders among some references (`ServiceRequest/1`); others than ServiceRequests are none of ours."""
    wanted = [reference for reference in dict.fromkeys(references) if _READABLE.fullmatch(reference)]
    check_number(len(wanted), MOST_REFERENCES, "context")  # each may be a request to the EHR
    queries = {key: replace(ACTIVE_ORDERS, key=key) for key in _KEYS} if wanted else {}
    sent = {r.reference: r for each in ports.source.held(queries) for r in each.resources}
    rest = [reference for reference in wanted if reference not in sent]
    asked = {each.query.key: each for each in (ports.source.read(rest) if rest else ())}
    orders: list[Order] = []
    problems: list[str] = []
    lacking: list[str] = []
    for reference in wanted:
        resource = sent.get(reference) or _only(asked[reference], reference)
        if resource is not None:
            order, problem = _read(resource, ports, patient)
            orders += [order] if order is not None and order.is_therapy else []
            problems += [problem] if problem else []
        elif asked[reference].state is EvidenceState.NOT_ASKED:
            lacking.append(reference)
        else:
            problems.append(f"{reference} is not known: {asked[reference].reason or 'the server holds no such order'}")
    return Found(tuple(orders), tuple(problems), tuple(lacking))


def _only(evidence: Evidence, reference: str) -> Resource | None:
    return next((resource for resource in evidence.resources if resource.reference == reference), None)


def _read(resource: Resource, ports: Ports, patient: str) -> tuple[Order | None, str]:
    try:
        request = json.loads(bytes(resource.payload))
        return read_order(request, ports.terms, patient, resource.reference, {}), ""
    except InputError as problem:
        return None, str(problem)
    except (ValueError, RecursionError):
        return None, f"{resource.reference} is no JSON that can be read"


def active_orders(ports: Ports, patient: str) -> tuple[tuple[Order, ...], str]:
    """The patient's active therapy orders that can be read, and why there may be more: another system failed."""
    (evidence,) = ports.source.gather({ACTIVE_ORDERS.key: ACTIVE_ORDERS})
    found = [_read(resource, ports, patient)[0] for resource in evidence.resources]
    is_active = [order for order in found if order is not None and order.resource.get("status") == "active"]
    broken = evidence.state in TECHNICAL and not evidence.absent
    return tuple(order for order in is_active if order.is_therapy), evidence.reason if broken else ""


@dataclass(frozen=True)
class Planned:
    """The order by which some bookings are weighed: on file, or (`made`) made of the bookings themselves.

    `why`: the orders on file could not be looked through, for another system failed. `taken`: in words, for what
    therapy it is taken where nothing but the record could tell.
    """

    order: Order
    bookings: tuple[Booking, ...]
    made: bool
    why: str = ""
    taken: str = ""


def plans_for(
    bookings: Sequence[Booking], ports: Ports, patient: str, aliases: Mapping[str, str] | None = None
) -> tuple[tuple[Planned, ...], tuple[str, ...]]:
    """Bookings with the order of each: the one they name, the one active order that fits, or one made of them.

    A missing order is no error. Problems are told only of bookings that nothing but their order could tell about.
    `aliases` name what bookings refer to by their entry's URL.
    """
    found = referred([ref for booking in bookings for ref in booking.orders], ports, patient)
    named = {order.reference: order for order in found.orders}
    is_unnamed = any(named.keys().isdisjoint(booking.orders) for booking in bookings)
    active, why = active_orders(ports, patient) if is_unnamed else ((), "")
    groups: dict[str, tuple[Order | None, list[Booking]]] = {}
    for booking in bookings:
        order = next((named[ref] for ref in booking.orders if ref in named), None)
        if order is None and booking.is_therapy:
            order = _only_fitting(active, booking)
        if order is not None or booking.is_therapy:
            key = order.reference if order else _kind_of(booking)
            groups.setdefault(key, (order, []))[1].append(booking)
    making = _Making(ports, patient, aliases or {}, active, why)
    plans = [making.planned(order, several) for order, several in groups.values()]
    unknown = any(not booking.is_therapy and named.keys().isdisjoint(booking.orders) for booking in bookings)
    return tuple(plan for plan in plans if plan is not None), found.problems if unknown else ()


@dataclass(frozen=True)
class _Making:
    """What orders are made with that are not on file; `active` are those that are, `why` they may not be all."""

    ports: Ports
    patient: str
    aliases: Mapping[str, str]
    active: tuple[Order, ...]
    why: str

    def planned(self, order: Order | None, bookings: Sequence[Booking]) -> Planned | None:
        """The order on file, or one made of the bookings and, where they do not say what for, of the record."""
        if order is not None:
            return Planned(order, tuple(bookings), made=False)
        made = order_of(bookings, self.ports.terms, self.patient, self.aliases)
        if made is None:
            return None
        days = [booking.day.exact for booking in bookings if booking.day and booking.day.exact]
        if not days or self.why or made.reasons or any(ref.startswith("Condition/") for ref in made.supporting):
            return Planned(made, tuple(bookings), made=True, why=self.why)
        problem = problem_of(made, min(days), self.active, self.ports, self.patient)
        if problem is not None:
            made = order_of(bookings, self.ports.terms, self.patient, self.aliases, problem.conditions) or made
        return Planned(made, tuple(bookings), made=True, taken=problem.why if problem else "")


def _only_fitting(active: Sequence[Order], booking: Booking) -> Order | None:
    """The active order of the booking's discipline and body site, where there is just one."""
    fitting = [o for o in active if belongs(o, booking.sites, booking.discipline, elsewhere=False)]
    return fitting[0] if len(fitting) == 1 else None


def _kind_of(booking: Booking) -> str:
    """What bookings have in common that belong together without an order: discipline, body sites and reasons."""
    reasons = json.dumps([booking.resource.get("reasonCode"), booking.resource.get("reasonReference")], sort_keys=True)
    return f"{booking.discipline} {booking.sites} {reasons}"
