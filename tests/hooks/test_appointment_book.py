"""appointment-book: the visits being booked against what remains of limits and of an authorization."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from hooks.app import create_app
from hooks.settings import Settings
from tests.cds.ehr.misbehaving import Handler, misbehaving
from tests.cds.ehr.misbehaving import searchset as page
from tests.hooks.calls import Json, draft, post, refused
from tests.hooks.hook_calls import (
    F000,
    HEART,
    TEN,
    active,
    appointment,
    body,
    booking,
    bundle,
    cards,
    on,
    record,
    summaries,
    told,
)

URL = "/cds-services/appointment-book-therapy"
BROKEN: Json = {"resourceType": "OperationOutcome", "issue": []}
OUTSIDE = "Right hip: 1 of 2 visits being booked lies outside the authorization of 2025-06-05 to 2025-09-03: 2025-09-05"


@pytest.mark.parametrize("order", [True, False], ids=["based on an order", "without an order"])
@pytest.mark.parametrize(
    ("name", "days", "expected"),
    [
        (
            "f000",
            F000,
            "Left hip: 20 of 14 visits (18 attended, 2 being booked); the limit was already reached",
        ),
        (
            "f000",
            F000[:1],
            "Left hip: 19 of 14 visits (18 attended, 1 being booked); the limit was already reached",
        ),
        (
            "f001",
            TEN,
            "Left hip: 16 of 14 visits (6 attended, 10 being booked); beyond the limit from 2025-09-26 on",
        ),
        (
            "f001",
            TEN[:9],
            "Left hip: 15 of 14 visits (6 attended, 9 being booked); beyond the limit on 2025-09-26",
        ),
        ("f003", ["2025-09-01", "2025-09-05"], OUTSIDE),
    ],
)
def test_the_first_day_beyond_is_told_when_more_is_booked_than_remains(
    client: FlaskClient, name: str, days: list[str], expected: str, order: bool
) -> None:
    with on(days[0]):
        assert summaries(client, booking(name, days, order=order)) == [("warning", expected)]


@pytest.mark.parametrize("order", [True, False], ids=["based on an order", "without an order"])
def test_there_is_silence_when_what_is_booked_fits(client: FlaskClient, order: bool) -> None:
    with on("2025-09-05"):
        assert cards(client, booking("f001", TEN[:8], order=order)) == []
    with on("2025-06-05"):
        assert cards(client, booking("f003", ["2025-06-05", "2025-09-03"], order=order)) == []


def test_the_cards_are_about_the_appointments_when_visits_are_booked(client: FlaskClient) -> None:
    with on("2025-03-09"):
        answer = told(client, booking("f000", F000))
    (card,) = answer["cards"]
    about = card["extension"]["davinci-crd.associated-resource"]
    assert about == [{"reference": "Appointment/a0"}, {"reference": "Appointment/a1"}]
    assert "Beyond the limit: 2025-03-10, 2025-03-12." in card["detail"]
    assert "suggestions" not in card
    (brief,) = answer["extension"]["example.therapy-cds.assessments"]
    assert (brief["asOf"], brief["visits"]["requested"], brief["outcome"]) == ("2025-03-10", 2, "criteria-not-met")


def test_the_one_active_order_is_used_when_appointments_name_none(client: FlaskClient) -> None:
    sent = body(
        "appointment-book",
        "f000",
        {"appointments": bundle(appointment("f000", 1, "2025-03-10"))},
        record("f000", active("f000")),
    )
    with on("2025-03-09"):
        answer = told(client, sent)
    (brief,) = answer["extension"]["example.therapy-cds.assessments"]
    assert (brief["order"], len(answer["cards"])) == ("ServiceRequest/f000-order", 1)


def test_two_sessions_are_one_visit_when_they_are_on_one_day(client: FlaskClient) -> None:
    with on("2025-09-05"):
        assert cards(client, booking("f001", [*TEN[:8], TEN[0]])) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"start": None, "end": None},
        {"start": None, "end": None, "requestedPeriod": [{"start": "2025-03-10", "end": "2025-03-20"}]},
        {"start": "soon"},
        {"start": "2025-03"},
    ],
)
def test_a_proposal_counts_when_it_names_no_day(client: FlaskClient, changes: Json) -> None:
    with on("2025-03-09"):
        ((_, summary),) = summaries(client, booking("f000", F000[:1], **changes))
    assert summary == "Left hip: 19 of 14 visits (18 attended, 1 being booked); the limit was already reached"


def test_the_policy_bounds_the_authorization_when_it_says_no_last_day(client: FlaskClient) -> None:
    sent = booking("f003", ["2025-09-01", "2025-09-05"])
    (entry,) = sent["prefetch"]["claimResponses"]["entry"]
    del entry["resource"]["preAuthPeriod"]["end"]
    with on("2025-06-05"):
        assert summaries(client, sent) == [("warning", OUTSIDE)]


@pytest.mark.parametrize(
    ("days", "indicator", "unsure"), [(F000, "info", True), (["2025-01-31", *F000], "warning", False)]
)
def test_an_authorization_is_told_with_care_when_the_policy_asks_for_none(
    client: FlaskClient, days: list[str], indicator: str, unsure: bool
) -> None:
    given: Json = {
        "resourceType": "ClaimResponse", "id": "c1", "status": "active", "use": "preauthorization",
        "patient": {"reference": "Patient/f000"}, "preAuthRef": "A-1", "outcome": "complete",
        "preAuthPeriod": {"start": "2025-01-01", "end": "2025-01-31"},
    }  # fmt: skip
    with on("2025-01-30"):
        found = [card for card in cards(client, booking("f000", days, given)) if "authorization" in card["summary"]]
    (card,) = found
    assert card["indicator"] == indicator
    assert ("Whether that authorization is for this therapy" in card["detail"]) is unsure


@pytest.mark.parametrize(
    "changes",
    [
        {"serviceType": [{"coding": [HEART]}], "basedOn": None},
        {"serviceType": None, "basedOn": None},
        {"status": "cancelled"},
        {"status": "entered-in-error"},
        {"resourceType": "Slot"},
        {"serviceType": None, "basedOn": [{"reference": "ServiceRequest/lab"}]},
        {"serviceType": None, "basedOn": [{"reference": "ServiceRequest/x?_include=*"}]},
    ],
)
def test_there_is_silence_when_what_is_booked_is_no_therapy(client: FlaskClient, changes: Json) -> None:
    lab = active(
        "f000", id="lab", code={"coding": [{"system": "http://loinc.org", "code": "2093-3"}]}, orderDetail=None
    )
    with on("2025-03-09"):
        assert cards(client, booking("f000", F000, lab, **changes)) == []


def test_there_is_silence_when_nothing_is_booked(client: FlaskClient) -> None:
    resources = {"resourceType": "Bundle", "entry": [{"resource": draft("f000")}]}
    assert cards(client, body("appointment-book", "f000", {"appointments": resources}, record("f000"))) == []


def test_a_missing_order_is_no_error_when_the_appointment_says_what_it_is(client: FlaskClient) -> None:
    lost = [{"reference": "ServiceRequest/lost"}]
    with on("2025-03-09"):
        ((indicator, _),) = summaries(client, booking("f000", F000, order=False, basedOn=lost))
    assert indicator == "warning"


# --------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize("key", ["encounters", "coverage", "procedures"])
def test_a_card_says_so_when_what_matters_is_an_error_of_the_ehr(client: FlaskClient, key: str) -> None:
    error = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    sent = booking("f001", TEN[:2])
    with on("2025-09-05"):
        found = summaries(client, sent | {"prefetch": sent["prefetch"] | {key: error}})
    assert [indicator for indicator, _ in found] == ["info"]


def test_what_is_missing_of_other_bookings_is_told_when_they_are_one_page_of_more(client: FlaskClient) -> None:
    sent = booking("f000", F000)
    sent["prefetch"]["appointments"]["link"] = [{"relation": "next", "url": "https://ehr.example.org/fhir?page=2"}]
    with on("2025-03-09"):
        (card,) = cards(client, sent)
    assert "Other bookings could not be read in full" in card["detail"]


def test_a_card_says_so_when_nothing_but_the_order_could_tell_and_the_server_fails() -> None:
    def failing(handler: Handler) -> None:
        handler.reply(BROKEN, 500)

    with misbehaving(failing) as server:
        client = create_app(Settings(fhir_servers=(server.base,))).test_client()
        sent = booking("f000", F000, serviceType=None) | {"fhirServer": server.base}
        del sent["prefetch"]["serviceRequests"]
        with on("2025-03-09"):
            ((indicator, summary),) = summaries(client, sent)
    assert indicator == "info"
    assert summary.startswith("One appointment could not be checked: ServiceRequest/f000-order is not known")


def test_a_card_says_so_when_no_policy_could_be_chosen_for_want_of_the_orders() -> None:
    def failing(handler: Handler) -> None:
        is_order = handler.path.startswith("/fhir/ServiceRequest")
        handler.reply(BROKEN if is_order else page(), 500 if is_order else 200)

    with misbehaving(failing) as server:
        client = create_app(Settings(fhir_servers=(server.base,))).test_client()
        sent = booking("f000", F000, order=False, reasonCode=None) | {"fhirServer": server.base}
        del sent["prefetch"]["serviceRequests"]
        with on("2025-03-09"):
            ((indicator, summary),) = summaries(client, sent)
    assert indicator == "info"
    assert "was not checked in full: ServiceRequest could not be read" in summary


@pytest.mark.parametrize(
    ("context", "where"),
    [
        ({"appointments": None}, "context"),
        ({"appointments": []}, "context.appointments"),
        ({"appointments": {"resourceType": "Bundle", "entry": []}}, "context.appointments.entry"),
        ({"appointments": {"resourceType": "Bundle", "entry": [{}]}}, "context.appointments.entry[0]"),
        ({"appointments": {"resourceType": "Appointment"}}, "context.appointments"),
        ({"userId": None}, "context"),
        (
            {"appointments": bundle(appointment("f001", 1, "2025-03-10"))},
            "context.appointments.entry[0].resource.participant",
        ),
    ],
)
def test_the_call_is_refused_when_its_context_is_malformed(client: FlaskClient, context: Json, where: str) -> None:
    sent = booking("f000", F000)
    sent["context"] = {k: v for k, v in (sent["context"] | context).items() if v is not None}
    issue = refused(post(client, sent, URL), 400)
    assert issue["expression"] == [where]


def test_the_call_is_refused_with_412_when_what_is_indispensable_is_missing(client: FlaskClient) -> None:
    sent = booking("f000", F000)
    del sent["prefetch"]["coverage"]
    refused(post(client, sent, URL), 412)


# ------------------------------------------------------------------------------------------------------- payers


@pytest.mark.parametrize("order", [True, False], ids=["based on an order", "without an order"])
def test_coverage_information_is_put_on_the_appointments_when_a_payer_runs_the_service(order: bool) -> None:
    client = create_app(Settings(role="payer", payer_name="Example Plan")).test_client()
    sent = booking("f000", F000, order=order)
    with on("2025-03-09"):
        actions = told(client, sent)["systemActions"]
    proposed = [entry["resource"] for entry in sent["context"]["appointments"]["entry"]]
    assert [{k: v for k, v in action["resource"].items() if k != "extension"} for action in actions] == proposed
    assert all(len(action["resource"]["extension"]) == 1 for action in actions)
