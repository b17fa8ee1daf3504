"""`GET /fhir/PlanDefinition`: the policies as valid FHIR R4."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.plandefinition import PlanDefinition
from flask.testing import FlaskClient

from cds.authoring.plan_definition import plan_definition, status
from cds.rules.load import load_policies, packaged_policies
from cds.rules.policy import Policy
from cds.terminology import packaged
from hooks.app import create_app

POLICIES = load_policies([packaged_policies()], packaged())
BY_ID = {policy.id: policy for policy in POLICIES}
HIP = BY_ID["hip-pain-extended-therapy"]
MTUS = BY_ID["california-mtus-chronic-pain-2009"]
FHIR_JSON = "application/fhir+json"


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return create_app().test_client()


def test_every_policy_is_listed_when_all_are_searched(client: FlaskClient) -> None:
    answer = client.get("/fhir/PlanDefinition")
    assert (answer.status_code, answer.content_type) == (200, FHIR_JSON)
    Bundle.model_validate_json(answer.data)
    assert answer.json is not None
    assert (answer.json["type"], answer.json["total"]) == ("searchset", len(POLICIES))
    assert [entry["resource"]["id"] for entry in answer.json["entry"]] == sorted(BY_ID)


@pytest.mark.parametrize("policy", POLICIES, ids=list(BY_ID))
def test_it_is_valid_r4_and_whole_when_a_policy_is_read(client: FlaskClient, policy: Policy) -> None:
    answer = client.get(f"/fhir/PlanDefinition/{policy.id}")
    assert (answer.status_code, answer.content_type) == (200, FHIR_JSON)
    PlanDefinition.model_validate_json(answer.data)
    plan = answer.json
    assert plan is not None
    assert plan["url"] == f"http://127.0.0.1:8000/fhir/PlanDefinition/{policy.id}"
    assert (plan["version"], plan["date"], plan["title"]) == (policy.version, policy.version, policy.title)
    assert [action["id"] for action in plan["action"]] == [criterion.id for criterion in policy.criteria]
    assert [action["title"] for action in plan["action"]] == [criterion.statement for criterion in policy.criteria]
    cited = {artifact["citation"] for artifact in plan["relatedArtifact"]}
    assert {policy.cite.text, *(criterion.cite.text for criterion in policy.criteria)} <= cited


def test_an_operation_outcome_says_so_when_there_is_no_such_policy(client: FlaskClient) -> None:
    answer = client.get("/fhir/PlanDefinition/nobody")
    assert (answer.status_code, answer.content_type) == (404, FHIR_JSON)
    OperationOutcome.model_validate_json(answer.data)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("_id=hip-pain-extended-therapy", [HIP.id]),
        ("_id=nobody", []),
        ("status=retired", [MTUS.id]),
        ("title=extended", [HIP.id]),
        (f"_id={HIP.id},{MTUS.id}", sorted([HIP.id, MTUS.id])),
        (f"_id={HIP.id}&status=retired", []),
        ("url=http://127.0.0.1:8000/fhir/PlanDefinition/hip-pain-extended-therapy", [HIP.id]),
    ],
)
def test_only_those_are_listed_that_are_asked_for(client: FlaskClient, query: str, found: list[str]) -> None:
    answer = client.get(f"/fhir/PlanDefinition?{query}")
    Bundle.model_validate_json(answer.data)
    assert answer.json is not None
    assert [entry["resource"]["id"] for entry in answer.json.get("entry", [])] == found
    assert answer.json["total"] == len(found)


@pytest.mark.parametrize(
    ("day", "says"),
    [
        (date(2009, 7, 17), "draft"),
        (date(2009, 7, 18), "active"),
        (date(2017, 11, 30), "active"),
        (date(2017, 12, 1), "retired"),
    ],
)
def test_the_status_follows_the_days_of_the_policy_when_time_passes(day: date, says: str) -> None:
    assert status(MTUS, day) == says


def test_the_period_ends_on_the_last_day_in_force_when_the_policy_has_ended() -> None:
    plan = plan_definition(MTUS, packaged(), "https://cds.example/fhir", date(2026, 1, 1))
    assert plan["effectivePeriod"] == {"start": "2009-07-18", "end": "2017-11-30"}


def test_states_and_countries_are_coded_when_a_policy_names_its_jurisdiction() -> None:
    applies = replace(HIP.applies_to, jurisdictions=("US-CA", "US"), plans=("gold",), lines_of_business=("medicare-b",))
    plan = plan_definition(replace(HIP, applies_to=applies), packaged(), "https://cds.example/fhir", date(2026, 1, 1))
    codes = [place["coding"][0]["system"] for place in plan["jurisdiction"]]
    assert codes == ["urn:iso:std:iso:3166:-2", "urn:iso:std:iso:3166"]
    PlanDefinition.model_validate(plan)


def test_what_it_applies_to_is_told_when_a_policy_is_read() -> None:
    plan = plan_definition(HIP, packaged(), "https://cds.example/fhir", date(2026, 1, 1))
    contexts = [(context["code"]["code"], context["valueCodeableConcept"]) for context in plan["useContext"]]
    assert ("focus", {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "M25.55"}]}) in contexts
    assert [code for code, _ in contexts] == ["focus", "task", "program"]
