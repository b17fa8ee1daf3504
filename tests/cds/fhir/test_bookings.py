"""Proposed Appointments and Encounters as bookings, and the orders made of them."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from cds.errors import MalformedRequest
from cds.fhir.bookings import as_booked, order_of, read_encounter, read_proposals
from cds.fhir.orders import read_order
from cds.model import Discipline, Resource, Site, Span
from tests.cds.build import Json, terms
from tests.hooks.calls import draft
from tests.hooks.hook_calls import HEART, appointment, visit

TODAY = date(2025, 3, 10)
REASON = [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "M25.552"}]}]


def proposals(*appointments: Json, aliases: dict[str, str] | None = None) -> Any:
    return read_proposals([(f"entry[{n}]", a) for n, a in enumerate(appointments)], terms(), "f000", aliases)


def encounter(**changes: Any) -> Any:
    sent = json.dumps(visit("f000", "2025-03-10", **changes)).encode()
    return read_encounter(Resource("Encounter", "now", sent), (), {}, terms(), "f000", TODAY)


def test_what_a_proposal_says_is_read_when_it_is_therapy() -> None:
    orders = [{"reference": "https://ehr.example.org/fhir/ServiceRequest/1"}, {"reference": "Task/2"}]
    (booking,) = proposals(appointment("f000", 1, "2025-03-10", reasonCode=REASON, basedOn=orders))
    assert (booking.reference, booking.day.exact, booking.is_therapy) == ("Appointment/a1", TODAY, True)
    assert (booking.discipline, booking.sites) == (Discipline.PHYSICAL_THERAPY, (Site("hip", "left"),))
    assert booking.orders == ("ServiceRequest/1",)


def test_only_an_order_can_tell_when_the_service_is_not_said() -> None:
    (booking,) = proposals(
        appointment("f000", 1, "2025-03-10", serviceType=None, basedOn=[{"reference": "ServiceRequest/1"}])
    )
    assert not booking.is_therapy
    assert proposals(appointment("f000", 1, "2025-03-10", serviceType=None)) == ()
    assert proposals(appointment("f000", 1, "2025-03-10", serviceType=[{"coding": [HEART]}])) == ()


@pytest.mark.parametrize("status", ["cancelled", "noshow", "entered-in-error", "fulfilled"])
def test_a_proposal_is_left_out_when_it_is_not_to_come(status: str) -> None:
    assert proposals(appointment("f000", 1, "2025-03-10", status=status)) == ()


def test_a_proposal_is_refused_when_it_is_for_somebody_else_only() -> None:
    other = [{"actor": {"reference": "Patient/f001"}}]
    with pytest.raises(MalformedRequest):
        proposals(appointment("f000", 1, "2025-03-10", participant=other))
    both = [*other, {"actor": {"reference": "https://ehr.example.org/fhir/Patient/f000"}}]
    assert len(proposals(appointment("f000", 1, "2025-03-10", participant=both))) == 1
    by_url = [{"actor": {"reference": "urn:uuid:1"}}]
    sent = appointment("f000", 1, "2025-03-10", participant=by_url)
    assert len(proposals(sent, aliases={"urn:uuid:1": "Patient/f000"})) == 1


def test_an_order_says_what_the_bookings_say_when_it_is_made_of_them() -> None:
    days = ("2025-03-12", "2025-03-10", "2025-03-10")
    bookings = proposals(*(appointment("f000", n, day, reasonCode=REASON) for n, day in enumerate(days)))
    order = order_of(bookings, terms(), "f000")
    assert order is not None
    assert (order.reference, order.is_therapy) == ("ServiceRequest/of-appointment-a0", True)
    assert (order.requested, order.proposed) == (Span(2, 2), (date(2025, 3, 10), date(2025, 3, 12)))
    assert (order.discipline, order.sites) == (Discipline.PHYSICAL_THERAPY, (Site("hip", "left"),))
    # What the ledger keeps of an order is its resource: it reads as the same order again.
    again = read_order(order.resource, terms(), "f000", "again", {})
    assert again == order


def test_the_visits_are_the_bookings_when_an_order_on_file_is_booked() -> None:
    order = read_order(draft("f001"), terms(), "f001", "draft", {})
    assert order is not None
    bookings = proposals(appointment("f000", 1, "2025-09-08"), appointment("f000", 2, "soon", start="soon"))
    booked = as_booked(order, bookings, terms())
    assert (booked.requested, booked.proposed) == (Span(2, 2), (date(2025, 9, 8),))
    assert (booked.period, booked.timing, booked.authored) == (None, None, None)
    assert (booked.reference, booked.lines, booked.reasons) == (order.reference, order.lines, order.reasons)


@pytest.mark.parametrize("status", ["planned", "arrived", "in-progress", "finished", "onleave", "made-up"])
def test_an_encounter_is_a_booking_when_it_is_therapy_whatever_its_status(status: str) -> None:
    found = encounter(status=status, basedOn=[{"reference": "ServiceRequest/1"}])
    assert (found.day.exact, found.discipline, found.orders) == (
        TODAY,
        Discipline.PHYSICAL_THERAPY,
        ("ServiceRequest/1",),
    )


@pytest.mark.parametrize("period", [None, {}, {"end": "2025-03-10"}, "yesterday"])
def test_the_day_is_today_when_an_encounter_does_not_say_when_it_began(period: Json | None) -> None:
    assert encounter(period=period).day.exact == TODAY


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "cancelled"},
        {"status": "entered-in-error"},
        {"class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}},
        {"type": [{"coding": [HEART]}], "serviceType": None, "participant": None},
        {"subject": {"reference": "Patient/f001"}},
    ],
)
def test_an_encounter_is_no_booking_when_it_is_no_therapy_visit_of_ours(changes: Json) -> None:
    assert encounter(**changes) is None


def test_the_discipline_is_told_by_those_who_take_part_when_the_service_does_not_say() -> None:
    therapist = {"type": [{"coding": [{"system": "http://snomed.info/sct", "code": "36682004"}]}]}
    found = encounter(type=[{"text": "Follow-up"}], serviceType=None, participant=[therapist])
    order = order_of((found,), terms(), "f000")
    assert order is not None
    assert order.discipline is Discipline.PHYSICAL_THERAPY


def test_no_order_is_made_when_a_booking_says_nothing() -> None:
    (booking,) = proposals(
        appointment("f000", 1, "2025-03-10", serviceType=None, basedOn=[{"reference": "ServiceRequest/1"}])
    )
    assert order_of((booking,), terms(), "f000") is None
