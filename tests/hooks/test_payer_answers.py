"""Answers of the app as a payer and as a provider runs it: authorizations, codes off the list, chosen coverages."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from hooks.app import create_app
from hooks.configuration import CONFIGURATION_KEY
from hooks.coverage_information import URL
from hooks.settings import Settings
from tests.cds.build import CPT, concept
from tests.cds.fhir.test_authorizations import item
from tests.hooks.calls import Json, answered, assessment, draft, request, resources
from tests.hooks.hook_calls import on
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
