"""Answers of the app as a payer and as a provider runs it: authorizations, codes off the list, chosen coverages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from cds.ledger.ledger import Ledger
from cds.replay import recorded_call, replay_then
from hooks.app import create_app
from hooks.configuration import CONFIGURATION_KEY
from hooks.coverage_information import URL
from hooks.settings import Settings
from tests.cds.build import CPT, concept
from tests.cds.fhir.test_authorizations import item
from tests.hooks.calls import EXAMPLES, Json, answered, assessment, draft, is_draft, post, refused, request, resources
from tests.hooks.hook_calls import active, appointment, body, bundle, on
from tests.hooks.hook_calls import told as hook_told
from tests.hooks.invariants import broken, values

F003 = "2025-06-05"
WITHIN = "within-authorization"


@pytest.fixture(scope="module")
def payer_app() -> Flask:
    """The application as a payer runs it."""
    return create_app(Settings(role="payer", payer_name="Example Health Plan"))


@pytest.fixture(params=["payer", "provider"])
def either(request: pytest.FixtureRequest, payer_app: Flask, app: Flask) -> FlaskClient:
    """A client of the application in each role; requests ask for coverage information."""
    return (payer_app if request.param == "payer" else app).test_client()


@pytest.fixture
def payer(payer_app: Flask) -> FlaskClient:
    """A client of a payer's service, on loopback."""
    return payer_app.test_client()


def asking(*orders: Json, **how: Any) -> Json:
    return request(*orders, extension={CONFIGURATION_KEY: {"coverage-info": True}}, **how)


def with_response(**changes: Any) -> list[Json]:
    """The record of f003, its authorization changed; None leaves a member out."""
    held = resources("f003")
    for resource in held:
        if resource["resourceType"] == "ClaimResponse":
            resource |= changes
            for name in [name for name, value in changes.items() if value is None]:
                del resource[name]
    return held


def said_of(answer: Json) -> Json:
    """The one coverage information of an answer."""
    (action,) = answer["systemActions"]
    (extension,) = (each for each in action["resource"]["extension"] if each["url"] == URL)
    assert broken(extension, "2.2") == []
    found: Json = extension
    return found


def texts(extension: Json) -> str:
    return str(values(extension, "reason")[0]["text"])


# --------------------------------------------------------------------------------------------- authorizations


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"item": [item("A1", "97110")]},
        {"item": [item("A6")]},
        {"insurer": {"identifier": {"value": "sample-health-plan"}}},
        {"insurer": None},
        {"type": None},
    ],
)
def test_the_authorization_satisfies_when_it_is_for_this_order(either: FlaskClient, changes: Json) -> None:
    with on(F003):
        answer = answered(either, asking(draft("f003", authoredOn=F003), name="f003", record=with_response(**changes)))
    said = said_of(answer)
    assert (values(said, "covered"), values(said, "pa-needed")) == (["covered"], ["satisfied"])
    assert values(said, "satisfied-pa-id") == ["AUTH-f003"]
    assert texts(said).startswith("Authorization AUTH-f003 is in force until 2025-09-03")
    assert assessment(answer)["criteria"][WITHIN] == "met"


@pytest.mark.parametrize(
    "changes",
    [
        {"item": [item("A3")]},
        {"item": [item("A4", "97110")]},
        {"insurer": {"reference": "Organization/another"}},
        {"insurer": {"identifier": {"value": "another-plan"}}},
        {"type": concept("http://terminology.hl7.org/CodeSystem/claim-type", "pharmacy")},
        {"addItem": [{"productOrService": concept(CPT, "92507"), "adjudication": []}]},
        {"item": [item("A1", "27130")]},
        {"item": [item("A1", "97112"), item("A3", "97110")]},
    ],
)
def test_the_authorization_does_not_satisfy_when_it_is_none_for_this_order(either: FlaskClient, changes: Json) -> None:
    with on(F003):
        answer = answered(either, asking(draft("f003", authoredOn=F003), name="f003", record=with_response(**changes)))
    said = said_of(answer)
    assert values(said, "pa-needed") == ["auth-needed"]
    assert not values(said, "satisfied-pa-id")
    assert assessment(answer)["criteria"][WITHIN] == "unknown"


def test_the_number_is_told_when_the_authorization_names_another_service(either: FlaskClient) -> None:
    with on(F003):
        answer = answered(
            either,
            asking(draft("f003", authoredOn=F003), name="f003", record=with_response(item=[item("A1", "27130")])),
        )
    assert "Whether authorization AUTH-f003 is for all of this therapy cannot be told (it names 27130)" in texts(
        said_of(answer)
    )


@pytest.mark.parametrize("missing", ["Observation", "DocumentReference"])
def test_the_reason_fits_when_an_authorization_stands_beside_open_criteria(either: FlaskClient, missing: str) -> None:
    record = [resource for resource in resources("f003") if resource["resourceType"] != missing]
    with on(F003):
        answer = answered(either, asking(draft("f003", authoredOn=F003), name="f003", record=record))
    assert assessment(answer)["outcome"] != "criteria-met"
    assert texts(said_of(answer)) == "Authorization AUTH-f003 is in force until 2025-09-03"


def test_no_end_before_today_is_told_when_the_order_is_of_the_past(either: FlaskClient) -> None:
    with on("2026-03-01"):
        said = said_of(answered(either, asking(draft("f003", authoredOn=F003), name="f003")))
    assert values(said, "date") == ["2026-03-01"]
    assert values(said, "pa-needed") == ["satisfied"]
    assert not values(said, "expiry-date")


# ------------------------------------------------------------------------------------------- codes off the list


def test_a_code_off_the_list_is_not_said_to_be_covered_when_the_rest_is(either: FlaskClient) -> None:
    details = [concept(CPT, code) for code in ("97110", "20561")]
    with on("2025-09-05"):
        answer = answered(either, asking(draft("f001", orderDetail=details), name="f001"))
    said = said_of(answer)
    assert values(said, "covered") == ["covered"]
    assert [coding["code"] for coding in values(said, "billingCode")] == ["97110"]
    assert "20561" in texts(said)


# --------------------------------------------------------------------------------------------------- the app


def _linked(role: str) -> FlaskClient:
    """A client of an app that every EHR may open."""
    name = "Example Health Plan" if role == "payer" else ""
    return create_app(Settings(role=role, payer_name=name, smart_links=True)).test_client()


def test_a_link_to_the_app_stands_on_no_card_with_offers_when_a_payer_answers() -> None:
    client, linked = _linked("payer"), 0
    for name in EXAMPLES:
        found = answered(client, request(name=name, fhirServer="http://127.0.0.1:9/fhir"))["cards"]
        opening = [card for card in found if any(link["type"] == "smart" for link in card.get("links", ()))]
        offering = [card for card in found if "suggestions" in card or ("links" in card and card not in opening)]
        assert all("suggestions" not in card for card in opening)
        assert len(opening) == (len(found) > len(offering))
        linked += len(opening)
    assert linked


@pytest.mark.parametrize(("role", "links"), [("payer", 0), ("provider", 1)])
def test_a_link_to_the_app_stands_beside_offers_when_a_provider_has_no_other_card(role: str, links: int) -> None:
    sent = request(name="f001", fhirServer="http://127.0.0.1:9/fhir", extension={CONFIGURATION_KEY: {"max-cards": 1}})
    with on("2025-09-05"):
        (card,) = answered(_linked(role), sent)["cards"]
    assert "suggestions" in card
    assert [link["type"] for link in card.get("links", ())] == ["smart"] * links


# -------------------------------------------------------------------------------------------- chosen coverages

PAYER = {"identifier": {"system": "https://therapy-cds.example/payers", "value": "sample-health-plan"}}
OTHER = {"identifier": {"system": "https://therapy-cds.example/payers", "value": "another-plan"}}


def with_second(**changes: Any) -> list[Json]:
    """The record of f003 with a second active coverage, of another payer if it is not said otherwise."""
    held = resources("f003")
    mine = next(resource for resource in held if resource["resourceType"] == "Coverage")
    second = mine | {"id": "second", "payor": [OTHER]} | changes
    return [*held, {name: value for name, value in second.items() if value is not None}]


def naming(*references: str) -> Json:
    """The order of f003 with the coverages that it names, if any."""
    return draft("f003", authoredOn=F003, insurance=[{"reference": each} for each in references] or None)


@pytest.mark.parametrize("base", ["", "https://ehr.example.org/fhir/"])
@pytest.mark.parametrize(
    "second", [{}, {"payor": [PAYER], "order": 2}, {"payor": [PAYER]}, {"payor": [PAYER], "class": None}]
)
@pytest.mark.parametrize("named", ["f003-coverage", "second"])
def test_the_coverage_is_the_one_that_the_order_names_when_several_are_active(
    client: FlaskClient, base: str, second: Json, named: str
) -> None:
    with on(F003):
        answer = answered(client, asking(naming(f"{base}Coverage/{named}"), name="f003", record=with_second(**second)))
    assert values(said_of(answer), "coverage") == [{"reference": f"Coverage/{named}"}]


def test_the_coverage_is_known_when_the_order_names_its_entry(either: FlaskClient) -> None:
    url = "urn:uuid:3c1f0a52-6f3c-4c0e-9b66-0d9a8e5b1c77"
    sent = asking(naming(url), name="f003", record=with_second())
    for entry in sent["prefetch"]["coverage"]["entry"]:
        entry["fullUrl"] = url if entry["resource"]["id"] == "f003-coverage" else "urn:uuid:another"
    with on(F003):
        assert values(said_of(answered(either, sent)), "coverage") == [{"reference": "Coverage/f003-coverage"}]


def test_a_payer_answers_when_the_order_names_its_coverage_among_several(payer: FlaskClient) -> None:
    with on(F003):
        refused(post(payer, asking(naming(), name="f003", record=with_second())), 400, "CDS-108")
        answered(payer, asking(naming("Coverage/f003-coverage"), name="f003", record=with_second()))
        issue = refused(
            post(payer, asking(naming("Coverage/unknown"), name="f003", record=with_second())), 400, "CDS-108"
        )
    assert "The coverage that the order names was not found" in issue["details"]["text"]


@pytest.mark.parametrize("changes", [{"status": "cancelled"}, {"period": {"start": "2020-01-01", "end": "2020-12-31"}}])
def test_it_is_said_when_the_coverage_that_the_order_names_is_not_in_force(either: FlaskClient, changes: Json) -> None:
    record = with_second(payor=[PAYER], **changes)
    with on(F003):
        answer = answered(either, asking(naming("Coverage/second"), name="f003", record=record))
    said = said_of(answer)
    assert (values(said, "covered"), values(said, "coverage")) == (["not-covered"], [{"reference": "Coverage/second"}])
    assert (
        "the coverage that the order names (Coverage/second) is not in force on 2025-06-05"
        in assessment(answer)["says"]
    )


def test_each_order_has_the_coverage_that_it_names_when_they_differ(client: FlaskClient) -> None:
    orders = (naming("Coverage/f003-coverage"), naming("Coverage/second") | {"id": "other"})
    with on(F003):
        answer = answered(client, asking(*orders, name="f003", record=with_second()))
    named = [values(action["resource"]["extension"][-1], "coverage")[0] for action in answer["systemActions"]]
    assert named == [{"reference": "Coverage/f003-coverage"}, {"reference": "Coverage/second"}]


def test_the_first_in_order_is_meant_when_the_order_names_no_coverage(client: FlaskClient) -> None:
    record = with_second(payor=[PAYER], order=1)
    with on(F003):
        answer = answered(client, asking(naming(), name="f003", record=record))
    assert values(said_of(answer), "coverage") == [{"reference": "Coverage/second"}]


def test_an_authorization_among_insurance_is_no_coverage_when_the_order_names_one(client: FlaskClient) -> None:
    with on(F003):
        answer = answered(client, asking(naming("ClaimResponse/f003-authorization"), name="f003"))
    assert values(said_of(answer), "coverage") == [{"reference": "Coverage/f003-coverage"}]


# ----------------------------------------------------------------------------------------- bookings, and replay


@pytest.mark.parametrize(
    ("changes", "cards"),
    [
        ({}, 1),
        ({"item": [item("A1", "97110")]}, 1),
        ({"item": [item("A3", "97110")]}, 0),
        ({"item": [item("A1", "27130")]}, 0),
        ({"insurer": {"identifier": {"value": "another-plan"}}}, 0),
    ],
)
def test_a_booking_is_held_against_an_authorization_when_that_is_for_this_therapy(
    client: FlaskClient, changes: Json, cards: int
) -> None:
    held = [*(each for each in with_response(**changes) if not is_draft(each)), active("f003")]
    proposed = appointment("f003", 0, "2025-09-05", basedOn=[{"reference": "ServiceRequest/f003-order"}])
    with on("2025-06-05"):
        answer = hook_told(client, body("appointment-book", "f003", {"appointments": bundle(proposed)}, held))
    assert len([card for card in answer["cards"] if "outside the authorization" in card["summary"]]) == cards


@pytest.mark.parametrize(
    "named", ["Coverage/f003-coverage", "https://ehr.example.org/fhir/Coverage/second", "urn:uuid:x1"]
)
def test_a_call_comes_out_the_same_when_its_order_names_its_coverage(
    named: str, tmp_path: Path, open_ledger: Callable[..., Ledger]
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    ledger = open_ledger(url)
    sent = asking(naming(named), name="f003", record=with_second())
    sent["prefetch"]["coverage"]["entry"][0]["fullUrl"] = "urn:uuid:x1"
    with on(F003):
        answer = answered(create_app(Settings(database_url=url)).test_client(), sent)
    entry = recorded_call(ledger, answer["extension"]["example.therapy-cds.assessments"][0]["id"])
    assert entry.body is not None
    (kept,) = entry.body["assessments"]
    expected = "Coverage/second" if named.endswith("second") else "Coverage/f003-coverage"
    assert kept["is"]["coverage"]["reference"] == expected
    assert replay_then(ledger, entry).differences == ()
