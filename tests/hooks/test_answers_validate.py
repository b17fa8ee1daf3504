"""Whole answers, as a provider's service and as a payer's: valid by both versions of CDS Hooks, by FHIR and by CRD."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest
from fhir.resources.R4B import get_fhir_model_class
from flask import Flask
from flask.testing import FlaskClient

from hooks.app import create_app
from hooks.configuration import CONFIGURATION_KEY, REQUESTED_KEY, ROLES, VERSIONS
from hooks.coverage_information import URL
from hooks.protocol import schema
from hooks.settings import Settings
from tests.cds.ehr.misbehaving import misbehaving
from tests.hooks.calls import (
    EXAMPLES,
    TOKEN,
    Json,
    answered,
    assessment,
    draft,
    post,
    prefetch,
    refused,
    request,
    resources,
    searchset,
    with_prefetch,
)
from tests.hooks.invariants import broken, values

HOOKS = ("2.0.1", "3.0")
NAME = "Example Health Plan"


@pytest.fixture(scope="session")
def payer_app() -> Flask:
    """The application as a payer runs it."""
    return create_app(Settings(role="payer", payer_name=NAME, payer_contact=("+1 555 010 0100",)))


@pytest.fixture
def payer(payer_app: Flask) -> FlaskClient:
    """A client of a payer's service, on loopback."""
    return payer_app.test_client()


def in_version(version: str, name: str = "f000", **configuration: Any) -> Json:
    configured = {code.replace("_", "-"): value for code, value in configuration.items()}
    return request(name=name, extension={REQUESTED_KEY: version, CONFIGURATION_KEY: configured})


def told(answer: Json) -> list[Json]:
    """The coverage information of every system action."""
    actions = answer.get("systemActions", [])
    return [each for action in actions for each in action["resource"]["extension"] if each["url"] == URL]


def coverage(name: str = "f000", **changes: Any) -> Json:
    found = next(resource for resource in resources(name) if resource["resourceType"] == "Coverage")
    return {key: value for key, value in (found | changes).items() if value is not None}


def covered_by(*coverages: Json) -> Json:
    return with_prefetch(request(draft("f000", insurance=None)), coverage=searchset(*coverages))


# ------------------------------------------------------------------------------------------------------ schemas


@pytest.mark.parametrize("hooks", HOOKS)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_answer_is_valid_when_an_example_is_signed(
    client: FlaskClient, payer: FlaskClient, name: str, version: str, role: str, hooks: str
) -> None:
    asked = payer if role == "payer" else client
    answer = answered(asked, in_version(version, name, coverage_info=True, max_cards=10))
    jsonschema.validate(answer, schema(f"response-{hooks}"))
    actions = [a for card in answer["cards"] for offer in card.get("suggestions", ()) for a in offer["actions"]]
    for action in (*actions, *answer["systemActions"]):
        if "resource" in action:
            get_fhir_model_class(action["resource"]["resourceType"]).model_validate(action["resource"])
    (extension,) = told(answer)
    assert broken(extension, version) == []


_ACTION: Json = {"type": "update", "description": "d", "resource": {"resourceType": "ServiceRequest", "id": "o"}}
_CARD: Json = {"uuid": "u", "summary": "s", "indicator": "info", "source": {"label": "l"}}
_OFFER: Json = {"label": "l", "uuid": "u", "actions": [_ACTION], "isRecommended": True}
_LINK: Json = {"label": "l", "url": "https://plan.example", "type": "absolute"}


def _changed(whole: Json, changes: Mapping[str, Any]) -> Json:
    """A copy with some members changed, or (None) left out."""
    return {name: value for name, value in (copy.deepcopy(whole) | dict(changes)).items() if value is not None}


def _card(**changes: Any) -> Json:
    return {"cards": [_changed(_CARD, changes)]}


@pytest.mark.parametrize("hooks", HOOKS)
@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"cards": {}},
        {"cards": [], "systemActions": []},
        {"cards": [], "extension": {}},
        {"cards": [], "more": 1},
        {"cards": [], "systemActions": [_changed(_ACTION, {"resource": None})]},
        {"cards": [], "systemActions": [_changed(_ACTION, {"type": "patch"})]},
        {"cards": [], "systemActions": [_changed(_ACTION, {"type": "delete"})]},
        {"cards": [], "systemActions": [_changed(_ACTION, {"resourceId": "ServiceRequest/o"})]},
        {"cards": [], "systemActions": [_changed(_ACTION, {"resource": {"id": "o"}})]},
        _card(summary="x" * 140),
        _card(summary=None),
        _card(indicator="hard-stop"),
        _card(source={}),
        _card(source={"label": "l", "topic": {"code": "limits"}}),
        _card(detail=""),
        _card(links=[]),
        _card(links=[_LINK | {"appContext": "x"}]),
        _card(links=[_LINK | {"url": "portal"}]),
        _card(suggestions=[_OFFER]),
        _card(suggestions=[_OFFER, _OFFER], selectionBehavior="at-most-one"),
        _card(suggestions=[_OFFER | {"actions": [_changed(_ACTION, {"description": None})]}], selectionBehavior="any"),
        _card(overrideReasons=[{"code": "c", "system": "s"}]),
    ],
)
def test_a_schema_refuses_when_an_answer_breaks_the_standard(answer: Json, hooks: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(answer, schema(f"response-{hooks}"))


def test_the_schemas_differ_when_the_versions_do() -> None:
    undescribed = {"cards": [], "systemActions": [_changed(_ACTION, {"description": None})]}
    jsonschema.validate(undescribed, schema("response-3.0"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(undescribed, schema("response-2.0.1"))


# ------------------------------------------------------------------------------------------------------ roles


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_order_is_otherwise_unchanged_when_a_payer_answers(payer: FlaskClient, name: str) -> None:
    (action,) = answered(payer, request(name=name))["systemActions"]
    assert (action["type"], "resourceId" in action) == ("update", False)
    assert {key: value for key, value in action["resource"].items() if key != "extension"} == draft(name)


@pytest.mark.parametrize("name", EXAMPLES)
def test_coverage_information_is_returned_when_its_role_or_the_client_wants_it(
    client: FlaskClient, payer: FlaskClient, name: str
) -> None:
    assert len(told(answered(payer, request(name=name)))) == 1
    assert len(told(answered(client, in_version("2.2", name, coverage_info=True)))) == 1
    assert "systemActions" not in answered(client, request(name=name))
    assert "systemActions" not in answered(payer, in_version("2.2", name, coverage_info=False))


@pytest.mark.parametrize(
    "changes", [{"extension": {CONFIGURATION_KEY: {"x-1": True}}}, {"x-1": {"a": 1}}, {"extension": {"x": 1}}]
)
def test_coverage_information_is_as_usual_when_something_unknown_is_sent(payer: FlaskClient, changes: Json) -> None:
    (usual,), (now,) = told(answered(payer, request())), told(answered(payer, request(**changes)))
    new = ("coverage-assertion-id",)
    assert [p for p in now["extension"] if p["url"] not in new] == [
        p for p in usual["extension"] if p["url"] not in new
    ]


def test_no_action_is_returned_when_the_order_comes_back_with_it(payer: FlaskClient) -> None:
    (action,) = answered(payer, request())["systemActions"]
    assert "systemActions" not in answered(payer, request(action["resource"]))


def test_orders_share_an_identifier_when_they_share_a_coverage(payer: FlaskClient) -> None:
    found = told(answered(payer, request(draft(id="one"), draft(id="two"))))
    ids = [values(extension, "coverage-assertion-id")[0] for extension in found]
    assert (len(ids), len(set(ids))) == (2, 1)


@pytest.mark.parametrize("name", EXAMPLES)
def test_cards_are_the_insurers_when_a_payer_answers(payer: FlaskClient, name: str) -> None:
    for card in answered(payer, in_version("2.2", name, max_cards=10))["cards"]:
        assert card["source"]["label"] == NAME
        assert card["indicator"] != "critical" or card["source"]["topic"]["code"] not in ("limits", "insurance")
        links = card.get("links", [])
        if links:  # an External Reference: nothing but absolute links
            assert {link["type"] for link in links} == {"absolute"}
            assert "suggestions" not in card
        elif "suggestions" not in card:  # Instructions
            assert card["detail"]


def test_a_payer_warns_when_a_statutory_cap_is_passed(client: FlaskClient, payer: FlaskClient) -> None:
    many = draft("f002", quantityQuantity={"value": 30, "unit": "visit"}, occurrenceTiming=None)
    shown = {
        role: answered(each, request(many, name="f002"))["cards"]
        for role, each in (("provider", client), ("payer", payer))
    }
    indicators = {
        role: [card["indicator"] for card in cards if "statutory cap" in card["summary"]]
        for role, cards in shown.items()
    }
    assert indicators == {"provider": ["critical"], "payer": ["warning"]}


def test_a_card_refers_to_the_guideline_when_a_payer_says_what_it_asks(client: FlaskClient, payer: FlaskClient) -> None:
    body = request(name="f004", record=[r for r in resources("f004") if r["resourceType"] != "Procedure"])
    reminder, reference = answered(payer, body)["cards"]
    (link,) = reference["links"]
    assert (link["type"], link["url"]) == ("absolute", reference["source"]["url"])
    assert not {"links", "suggestions"} & set(reminder)
    assert not [card for card in answered(client, body)["cards"] if "links" in card]


# --------------------------------------------------------------------------------------------- a payer's errors


@pytest.mark.parametrize(
    "coverages",
    [
        [],
        [coverage(), coverage(id="second", payor=[{"identifier": {"value": "sample-health-plan"}}])],
        [coverage(payor=[{"display": "Some Plan"}])],
        [coverage(payor=[{"identifier": {"value": "another-plan"}}])],
        [coverage(status="entered-in-error")],
    ],
)
def test_a_payer_refuses_when_it_has_no_coverage_to_answer_for(
    client: FlaskClient, payer: FlaskClient, coverages: list[Json]
) -> None:
    refused(post(payer, covered_by(*coverages)), 400, "CDS-108")
    assert "systemActions" not in answered(client, covered_by(*coverages))


@pytest.mark.parametrize("changes", [{"period": {"start": "2023-01-01", "end": "2023-12-31"}}, {"status": "cancelled"}])
def test_not_covered_is_said_when_the_coverage_has_lapsed(payer: FlaskClient, changes: Json) -> None:
    (said,) = told(answered(payer, covered_by(coverage(**changes))))
    assert values(said, "covered") == ["not-covered"]
    assert values(said, "coverage") == [{"reference": "Coverage/f000-coverage"}]
    assert values(said, "reason")[0]["coding"][0]["code"] == "no-active-coverage"
    assert broken(said, "2.2") == []


def _refusing(**sent: Json) -> Json:
    """The members of a body whose coverage was sent, if any, and whose token the FHIR server will refuse."""
    return {"prefetch": sent, "fhirAuthorization": {"access_token": TOKEN}}


@pytest.mark.parametrize("payor", [coverage()["payor"], [{"reference": "Organization/f000-payer"}]])
@pytest.mark.parametrize("status", [401, 503])
def test_indeterminate_is_said_when_the_fhir_server_fails_and_the_coverage_is_known(
    payer: FlaskClient, payor: list[Json], status: int
) -> None:
    with misbehaving(lambda handler: handler.reply({}, status)) as server:
        sent = _refusing(coverage=searchset(coverage(payor=payor)), patient=prefetch(resources())["patient"])
        answer = answered(payer, request(fhirServer=server.base, **sent))
        assert server.seen
    (said,) = told(answer)
    assert values(said, "covered") == ["indeterminate"]
    (reason,) = values(said, "reason")
    assert (reason["coding"][0]["code"], bool(reason["text"])) == ("technical", True)
    assert broken(said, "2.2") == []
    assert TOKEN not in json.dumps(answer)


ELSEWHERE = searchset() | {"link": [{"relation": "next", "url": "http://127.0.0.1:9/elsewhere"}]}


@pytest.mark.parametrize(("body", "status"), [({}, 401), (ELSEWHERE, 200)])
def test_data_is_asked_for_when_not_even_the_coverage_could_be_read(
    payer: FlaskClient, body: Json, status: int
) -> None:
    with misbehaving(lambda handler: handler.reply(body, status)) as server:
        response = post(payer, request(fhirServer=server.base, **_refusing()))
    assert refused(response, 412, "CDS-103")["expression"] == ["prefetch.coverage"]


def test_an_order_that_meets_nothing_is_still_not_uncovered_when_a_payer_answers(payer: FlaskClient) -> None:
    answer = answered(payer, request())
    assert assessment(answer)["outcome"] == "criteria-not-met"
    (said,) = told(answer)
    assert values(said, "covered") == ["conditional"]


# --------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize("name", ["f000", "f003"])
def test_only_the_payers_own_members_are_answered_for_when_its_identifiers_are_set(name: str) -> None:
    settings = Settings(role="payer", payer_name=NAME, payer_identifiers=("sample-health-plan",))
    response = post(create_app(settings).test_client(), request(name=name))
    assert response.status_code == (200 if name == "f003" else 400)


def test_nothing_is_determined_when_no_policy_of_the_payer_applies() -> None:
    settings = Settings(role="payer", payer_name=NAME, payer_identifiers=("00001",))
    mine = coverage(payor=[{"identifier": {"value": "00001"}, "display": NAME}])
    answer = answered(create_app(settings).test_client(), covered_by(mine))
    (said,) = told(answer)
    assert [values(said, url) for url in ("covered", "pa-needed")] == [["indeterminate"], ["indeterminate"]]
    (reason,) = values(said, "reason")
    assert set(reason) == {"text"}
    assert broken(said, "2.2") == []
