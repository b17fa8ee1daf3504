"""What EHRs call things in words only: visits, fractures, scores, payers, work status."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cds.evaluate import evaluate_bundle
from cds.model import Assessment, Outcome, Result
from cds.rules.load import load_policies, packaged_policies
from cds.terminology import packaged
from tests.cds.build import TODAY

Json = dict[str, Any]
EXAMPLES = Path(__file__).parents[2] / "fhir_profiles" / "examples"
POLICIES = load_policies([packaged_policies()], packaged())


def assessed(tmp_path: Path, name: str, *added: Json, without: tuple[str, ...] = ()) -> Assessment:
    bundle = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    kept = [e for e in bundle["entry"] if e["resource"]["resourceType"] not in without]
    mine = [{"resource": {"subject": {"reference": f"Patient/{name}"}} | resource} for resource in added]
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps({**bundle, "entry": [*kept, *mine]}), "utf-8")
    (found,) = evaluate_bundle(path, POLICIES, packaged(), TODAY, None, None)
    return found


def result(found: Assessment, criterion: str) -> Result:
    return next(each.result for each in found.criteria if each.id == criterion)


def encounter(number: int, name: str) -> Json:
    return {
        "resourceType": "Encounter",
        "id": f"e{number}",
        "status": "finished",
        "class": {"code": "AMB"},
        "type": [{"text": name}],
        "period": {"start": f"2025-08-{number + 10}"},
    }


@pytest.mark.parametrize("name", ["PT TREATMENT 45 MIN", "PT Follow-up", "Outpatient PT", "Physio review"])
def test_visits_count_when_the_schedule_calls_them_by_initials(tmp_path: Path, name: str) -> None:
    six = [encounter(number, name) for number in range(6)]
    found = assessed(tmp_path, "f001", *six, without=("Encounter", "Procedure"))
    assert found.visits is not None
    assert (found.visits.completed.exact, found.visits.complete) == (6, True)


def test_the_count_is_in_doubt_when_initials_stand_among_other_words(tmp_path: Path) -> None:
    found = assessed(tmp_path, "f001", encounter(1, "PT 45 gym"), without=("Encounter", "Procedure"))
    assert found.visits is not None
    assert not found.visits.complete
    assert result(found, "visits-within-benchmark") is Result.UNKNOWN


@pytest.mark.parametrize("text", ["Closed fracture of neck of femur", "Fracture of pubic ramus", "Fractured hip"])
def test_a_contraindication_is_seen_when_it_is_told_in_words(tmp_path: Path, text: str) -> None:
    condition = {"resourceType": "Condition", "id": "c", "clinicalStatus": {"coding": [{"code": "active"}]}}
    found = assessed(tmp_path, "f001", condition | {"code": {"text": text}})
    assert result(found, "no-contraindication") is Result.NOT_MET


@pytest.mark.parametrize("code", [None, {"coding": [{"system": "http://snomed.info/sct", "code": "5913000"}]}])
def test_contraindications_are_unknown_when_nothing_tells_what_a_condition_is(
    tmp_path: Path, code: Json | None
) -> None:
    condition: Json = {"resourceType": "Condition", "id": "c", "clinicalStatus": {"coding": [{"code": "active"}]}}
    found = assessed(tmp_path, "f001", condition | ({"code": code} if code else {}))
    assert result(found, "no-contraindication") is Result.UNKNOWN
    assert found.outcome is Outcome.INSUFFICIENT_INFORMATION


def test_a_score_counts_when_only_the_text_of_a_generic_code_names_it(tmp_path: Path) -> None:
    score = {
        "resourceType": "Observation",
        "id": "s",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "89194-5"}], "text": "iHOT-12 total score"},
        "effectiveDateTime": "2025-09-01",
        "valueQuantity": {"value": 55},
    }
    assert result(assessed(tmp_path, "f001", score), "current-outcome-measure") is Result.MET


def test_outcome_measures_are_in_doubt_when_a_score_does_not_name_its_instrument(tmp_path: Path) -> None:
    score = {
        "resourceType": "Observation",
        "id": "s",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "89194-5"}]},
        "effectiveDateTime": "2025-09-01",
        "valueQuantity": {"value": 55},
    }
    assert result(assessed(tmp_path, "f001", score), "current-outcome-measure") is Result.UNKNOWN


def test_the_payer_is_read_when_a_bundle_names_it_by_its_entry_only(tmp_path: Path) -> None:
    bundle = json.loads((EXAMPLES / "f001.json").read_text("utf-8"))
    for entry in bundle["entry"]:
        if entry["resource"]["id"] == "f001-payer":
            entry["fullUrl"] = "urn:uuid:6f1c2c4e-53bb-4b6b-9f0b-0a8f0f6f7c11"
        if entry["resource"]["resourceType"] == "Coverage":
            entry["resource"]["payor"] = [{"reference": "urn:uuid:6f1c2c4e-53bb-4b6b-9f0b-0a8f0f6f7c11"}]
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(bundle), "utf-8")
    (found,) = evaluate_bundle(path, POLICIES, packaged(), TODAY, None, None)
    assert found.policy == "hip-pain-extended-therapy"


def work_status(text: str, day: str) -> Json:
    asked = {"system": "https://therapy-cds.example/CodeSystem/clinical-statements", "code": "work-status"}
    return {
        "resourceType": "Observation",
        "id": "w",
        "status": "final",
        "code": {"coding": [asked]},
        "effectiveDateTime": day,
        "valueCodeableConcept": {"text": text},
    }


def test_a_return_to_work_is_read_when_it_is_told_in_words(tmp_path: Path) -> None:
    bundle = assessed(tmp_path, "f002", work_status("Modified duty", "2015-06-29"))
    assert result(bundle, "functional-improvement") is Result.UNKNOWN  # two statuses of one day


@pytest.mark.parametrize(("text", "expected"), [("Modified duty", Result.MET), ("see letter", Result.UNKNOWN)])
def test_the_latest_work_status_decides_when_it_is_told_in_words(tmp_path: Path, text: str, expected: Result) -> None:
    bundle = json.loads((EXAMPLES / "f002.json").read_text("utf-8"))
    later = {"subject": {"reference": "Patient/f002"}} | work_status(text, "2015-08-01")
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps({**bundle, "entry": [*bundle["entry"], {"resource": later}]}), "utf-8")
    policy = next(p for p in POLICIES if p.id == "california-mtus-chronic-pain-2009")
    (found,) = evaluate_bundle(path, POLICIES, packaged(), TODAY, date(2015, 8, 21), policy.id)
    assert result(found, "functional-improvement") is expected
