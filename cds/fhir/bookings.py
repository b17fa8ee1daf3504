"""Therapy visits that a hook speaks of, before anybody can count them: proposed Appointments, and one Encounter.

Each becomes a Booking; and where no order is on file for it, an Order is made of what the booking itself says:
the service, the reasons, the days. Such an order is never sent back to anybody: it only asks which policy applies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from cds.errors import MalformedRequest
from cds.fhir import shapes
from cds.fhir.elements import Period, Reference, fit
from cds.fhir.orders import read_order
from cds.fhir.reading import Reading
from cds.fhir.visits import is_therapy, read_visits
from cds.model import Days, Discipline, Order, Resource, Site
from cds.terminology import Terminology

Json = Mapping[str, Any]
# What becomes of a proposal that is not to be booked, or is over (hl7.org/fhir/R4/valueset-appointmentstatus.html).
# Members of an order that say when and how often; bookings say it instead.
_WHEN = frozenset(
    [
        "authoredOn",
        "occurrenceDateTime",
        "occurrencePeriod",
        "occurrenceTiming",
        "quantityQuantity",
        "quantityRange",
        "quantityRatio",
    ]
)
_NOT_TO_COME = frozenset(("cancelled", "noshow", "entered-in-error", "fulfilled"))


@dataclass(frozen=True)
class Booking:
    """One therapy visit that is proposed, or about to begin or end. `day` is None where it names no day at all.

    `orders` are the ServiceRequests that it says it is based on; `is_therapy` is False where only such an
    order can tell. `resource` is the Appointment or Encounter as it was sent.
    """

    reference: str
    where: str
    resource: Json
    day: Days | None
    discipline: Discipline | None
    is_therapy: bool
    sites: tuple[Site, ...] = ()
    orders: tuple[str, ...] = ()


class _Proposed(shapes.Appointment):
    requestedPeriod: tuple[Period, ...] = ()
    reasonReference: tuple[Reference, ...] = ()


def read_proposals(
    resources: Iterable[tuple[str, Json]],
    terms: Terminology,
    patient: str,
    aliases: Mapping[str, str] | None = None,
    zone: ZoneInfo | None = None,
) -> tuple[Booking, ...]:
    """The Appointments of the appointment-book hook (`where`, resource) that are therapy or name an order.

    Those for somebody else break the hook's rules: MalformedRequest. An Appointment without `start` is proposed
    for its first requested period (hl7.org/fhir/R4/appointment.html).
    """
    reading = Reading(terms, patient, _urls(patient, aliases or {}), zone, aliases=aliases or {})
    found: list[Booking] = []
    for where, resource in resources:
        if resource.get("resourceType") != "Appointment":
            continue
        booked, _ = fit(dict(resource), _Proposed)
        if booked.status in _NOT_TO_COME:
            continue
        _check(booked, where, reading)
        what = reading.merged(*booked.serviceType, *booked.specialty, booked.appointmentType)
        orders = tuple(sorted(ref for ref in reading.refs(booked.basedOn) if ref.startswith("ServiceRequest/")))
        therapy = is_therapy(what, reading)
        if therapy or orders:
            reference = f"Appointment/{booked.id or 'without-id'}"
            period = booked.requestedPeriod[0] if booked.requestedPeriod else None
            day = reading.when(reference, booked.start, period)
            sites = reading.sites(booked.reasonCode)
            discipline = terms.discipline(what)
            found.append(Booking(reference, where, resource, day, discipline, therapy, sites, orders))
    return tuple(found)


def _urls(patient: str, aliases: Mapping[str, str]) -> frozenset[str]:
    return frozenset(url for url, reference in aliases.items() if reference == f"Patient/{patient}")


def _check(booked: _Proposed, where: str, reading: Reading) -> None:
    people = [p.actor.reference for p in booked.participant if p.actor and "Patient/" in p.actor.reference]
    if people and not any(map(reading.is_patient, people)):
        raise MalformedRequest(
            "An appointment is for another patient than the hook's context",
            where=f"{where}.participant",
            remedy="Send only appointments of context.patientId",
        )


def read_encounter(
    resource: Resource,
    procedures: Sequence[Resource],
    conditions: Mapping[str, tuple[Site, ...]],
    terms: Terminology,
    patient: str,
    today: date,
    zone: ZoneInfo | None = None,
) -> Booking | None:
    """An Encounter that is therapy of this patient; None for any other.

    Whether it is therapy is told as everywhere, by `read_visits`: it is read as if it were still planned, since
    one in progress does not count as a visit yet. Its day is the one on which it began, `today` where it does not say.
    `conditions` are body sites by reference.
    """
    sent: dict[str, Any] = json.loads(bytes(resource.payload))
    period = sent.get("period") or sent.get("actualPeriod")
    start = (period.get("start") if isinstance(period, dict) else None) or today.isoformat()
    planned = sent | {"status": "planned", "period": {"start": start, "end": start}}
    reading = Reading(terms, patient, zone=zone)
    as_planned = replace(resource, payload=json.dumps(planned).encode())
    _, booked = read_visits(reading, {"Encounter": [as_planned], "Procedure": list(procedures)}, conditions)
    if sent.get("status") in ("cancelled", "entered-in-error") or not booked:
        return None
    orders = tuple(sorted(ref for ref in booked[0].based_on if ref.startswith("ServiceRequest/")))
    mine = booked[0]
    return Booking(resource.reference, "context.encounterId", sent, mine.day, mine.discipline, True, mine.sites, orders)


def order_of(
    bookings: Sequence[Booking],
    terms: Terminology,
    patient: str,
    aliases: Mapping[str, str] | None = None,
    conditions: Sequence[str] = (),
) -> Order | None:
    """An order for what some bookings of one kind say themselves; None where they say nothing that is therapy.

    Its id is made of the first booking's; nothing of that name is on file. `conditions` are references of what it is
    for, where somebody else than the bookings knows that.
    """
    first = bookings[0].resource
    kind = str(first.get("resourceType", "")).lower()
    request: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "id": f"of-{kind}-{first.get('id') or 'without-id'}",
        "status": "draft",
        "intent": "plan",
        "subject": {"reference": f"Patient/{patient}"},
        "code": _service(first),
        "performerType": _performer(first),
        "reasonCode": _dicts(first.get("reasonCode")),
        "reasonReference": [
            *_dicts(first.get("reasonReference")),
            *({"reference": condition} for condition in conditions),
            *(d["condition"] for d in _dicts(first.get("diagnosis")) if isinstance(d.get("condition"), dict)),
        ],
    }
    if not request["code"]["coding"] and not request["code"]["text"]:
        return None
    return _as_booked(request, bookings, terms, patient, aliases or {})


def as_booked(
    order: Order, bookings: Sequence[Booking], terms: Terminology, aliases: Mapping[str, str] | None = None
) -> Order:
    """The order as far as it is being booked: its visits are the bookings, one for each day, and no others.

    It is of the first day booked, or of today: when it was written does not matter any more.
    """
    return _as_booked(order.resource, bookings, terms, order.patient, aliases or {}) or order


def _as_booked(
    request: Json, bookings: Sequence[Booking], terms: Terminology, patient: str, aliases: Mapping[str, str]
) -> Order | None:
    """Written as FHIR and read again, so that what the ledger keeps of the order is the order that was weighed."""
    days = sorted({b.day.exact for b in bookings if b.day and b.day.exact})
    undated = sum(b.day is None or b.day.exact is None for b in bookings)
    kept = {name: value for name, value in request.items() if name not in _WHEN}
    unit = {"unit": "visit", "system": "http://unitsofmeasure.org", "code": "{visit}"}
    booked = kept | {"quantityQuantity": {"value": len(days) + undated, **unit}}
    if days:
        booked["occurrenceTiming"] = {"event": [day.isoformat() for day in days]}
    first = bookings[0]
    order = read_order(booked, terms, patient, first.where, aliases)
    if order is not None and (told := _told_by(first, order)):
        order = read_order(booked | told, terms, patient, first.where, aliases)
    if order is None:
        return None
    return replace(order, discipline=order.discipline or first.discipline, sites=order.sites or first.sites)


def _told_by(first: Booking, order: Order) -> dict[str, Any]:
    """Where and by whom, as far as only the booking says so, in members of an order."""
    reasons = _dicts(first.resource.get("reasonCode"))
    told: dict[str, Any] = {"bodySite": reasons} if first.sites and not order.sites and reasons else {}
    return told | ({"performerType": _service(first.resource)} if first.discipline and not order.discipline else {})


def _service(resource: Json) -> dict[str, Any]:
    """What is done, of all the places where an Appointment or Encounter may say it, as one concept."""
    told = [c for name in ("serviceType", "type", "specialty", "appointmentType") for c in _dicts(resource.get(name))]
    text = next((concept["text"] for concept in told if isinstance(concept.get("text"), str)), "")
    return {"coding": [coding for concept in told for coding in _dicts(concept.get("coding"))], "text": text}


def _performer(resource: Json) -> dict[str, Any]:
    """The roles of those who take part, which may tell the discipline."""
    roles = [kind for person in _dicts(resource.get("participant")) for kind in _dicts(person.get("type"))]
    return {"coding": [coding for role in roles for coding in _dicts(role.get("coding"))]}


def _dicts(value: object) -> list[dict[str, Any]]:
    """The objects in a value that may be one object, a list, or anything."""
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]
