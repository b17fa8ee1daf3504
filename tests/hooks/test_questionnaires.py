"""Questionnaires that ship: valid, scored, found where Tasks say, and only of instruments that may be shown."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.questionnaire import Questionnaire
from flask.testing import FlaskClient

import fhir_profiles
from cds.errors import CatalogueError
from cds.terminology import Terminology, packaged
from hooks.settings import Settings
from tests.hooks.calls import answered, draft, is_draft, request, resources

Json = dict[str, Any]
ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
CALCULATED = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-calculatedExpression"
FORMS = tuple(packaged().forms)


def form(client: FlaskClient, name: str) -> Json:
    response = client.get(f"/fhir/Questionnaire/{name}")
    assert response.status_code == 200
    assert response.content_type == "application/fhir+json"
    found: Json = response.get_json()
    return found


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_valid_when_it_is_read(client: FlaskClient, name: str) -> None:
    found = form(client, name)
    Questionnaire.model_validate(found)
    assert found["url"] == f"{Settings().base_url}/fhir/Questionnaire/{name}"
    assert found["derivedFrom"] == [f"https://therapy-cds.example/Questionnaire/{name}|{found['version']}"]


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_shipped_only_when_a_source_says_that_it_may_be_shown(name: str) -> None:
    instrument = packaged().instruments[name]
    licence = instrument.data["licence"]
    assert licence["items-may-be-shown"]
    assert licence["verified"]
    assert licence["read-at"].startswith("https://")
    assert f"https://therapy-cds.example/Questionnaire/{name}" in instrument.data["questionnaires"]
    assert packaged().measure_for_questionnaire(f"https://x.example.org/fhir/Questionnaire/{name}|9") is instrument


@pytest.mark.parametrize("name", ["psfs", "lefs", "hagos"])
def test_no_form_is_found_when_the_licence_does_not_let_its_items_be_shown(client: FlaskClient, name: str) -> None:
    response = client.get(f"/fhir/Questionnaire/{name}")
    assert response.status_code == 404
    assert response.get_json()["resourceType"] == "OperationOutcome"
    assert packaged().form_of(packaged().instruments[name]) is None


def test_all_forms_are_listed_when_they_are_searched(client: FlaskClient) -> None:
    found = client.get("/fhir/Questionnaire").get_json()
    Bundle.model_validate(found)
    assert {entry["resource"]["id"] for entry in found["entry"]} == set(FORMS)
    one = client.get("/fhir/Questionnaire", query_string={"url": found["entry"][0]["fullUrl"]}).get_json()
    assert one["total"] == 1
    assert "entry" not in client.get("/fhir/Questionnaire?_id=none").get_json()


def test_phq9_adds_up_when_its_answers_carry_their_value(client: FlaskClient) -> None:
    group, total = form(client, "phq-9")["item"]
    assert len(group["item"]) == 9
    for item in group["item"]:
        options = [option["valueCoding"] for option in item["answerOption"]]
        values = [e["valueDecimal"] for o in options for e in o["extension"] if e["url"] == ORDINAL]
        assert values == [0, 1, 2, 3]
        assert item["linkId"] == f"/{item['code'][0]['code']}"
    (calculated,) = total["extension"]
    assert calculated["url"] == CALCULATED
    assert calculated["valueExpression"]["language"] == "text/fhirpath"
    assert total["readOnly"]


def test_a_task_names_a_form_that_is_found_here_when_a_score_is_missing(client: FlaskClient) -> None:
    record = [r for r in resources("f003") if (r.get("code") or {}).get("coding", [{}])[0].get("code") != "72514-3"]
    (task,) = tasks(client, request(draft("f003"), name="f003", record=record))
    (asked,) = task["input"]
    assert asked["type"]["coding"][0]["code"] == "questionnaire"
    url, version = asked["valueCanonical"].split("|")
    found = client.get(url.removeprefix(Settings().base_url)).get_json()
    assert (found["url"], found["version"]) == (url, version)
    again = request(draft("f003"), name="f003", record=[*record, {"id": "t", **task}])
    assert tasks(client, again) == []


def tasks(client: FlaskClient, body: Json) -> list[Json]:
    offers = [offer for card in answered(client, body)["cards"] for offer in card.get("suggestions", [])]
    made = [action["resource"] for offer in offers for action in offer["actions"] if action["type"] == "create"]
    return [resource for resource in made if resource["resourceType"] == "Task"]


def test_instruments_are_asked_for_by_name_when_they_have_no_form(client: FlaskClient) -> None:
    asked = [task["input"][0] for task in tasks(client, request())]
    assert [item["valueString"] for item in asked] == ["HAGOS", "iHOT-12"]
    assert all(item["type"]["coding"][0]["code"] == "questionnaire" for item in asked)


def test_the_first_with_a_form_is_offered_too_when_the_preferred_have_none(
    tampered: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = tampered.application.extensions["therapy-cds"].terms
    monkeypatch.setitem(terms.forms, "psfs", {"id": "psfs", "version": "2"})
    asked = [task["input"][0] for task in tasks(tampered, request())]
    assert [item.get("valueString") for item in asked] == ["HAGOS", "iHOT-12", None]
    assert asked[2]["valueCanonical"] == f"{Settings().base_url}/fhir/Questionnaire/psfs|2"


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Send the LEFS", True),
        ("https://cds.example.org/fhir/Questionnaire/hagos|1", True),
        ("http://loinc.org/q/72092-0|2.72", True),
        ("Hand out shoes", False),
        ("Call about leftover forms", False),
        ("Lower extremity functional scale before Friday", True),
    ],
)
def test_a_task_asks_for_a_measure_when_its_name_or_canonical_stands_in_it(
    client: FlaskClient, text: str, asked: bool
) -> None:
    task = {"resourceType": "Task", "id": "t", "status": "requested", "for": {"reference": "Patient/f000"}}
    record = [r for r in resources() if not is_draft(r)]
    told = {"input": [{"type": {"text": "questionnaire"}, "valueCanonical": text}]} if "://" in text else {}
    answer = answered(client, request(record=[*record, {**task, "description": text, **told}]))
    assert (not any("outcome measure" in card["summary"] for card in answer["cards"])) is asked


def test_a_form_is_refused_when_its_instrument_may_not_be_shown(tmp_path: Path) -> None:
    root = copytree(next(iter(fhir_profiles.__path__)), tmp_path / "profiles")
    (root / "questionnaires" / "lefs.json").write_text(json.dumps({"id": "lefs", "version": "1"}), encoding="utf-8")
    with pytest.raises(CatalogueError, match="may be shown"):
        Terminology(root)
