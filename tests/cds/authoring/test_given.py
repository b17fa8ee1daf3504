"""What a case gives becomes FHIR resources."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cds.authoring.cases import PolicyCase
from cds.authoring.given import Given, build
from cds.terminology import packaged
from cds.yamlfile import YamlFile

Json = dict[str, Any]


def given(**spec: Any) -> Given:
    case = PolicyCase(
        name="a case of a test",
        given={"example": "f001", **spec},
        expect={},
        on=None,
        policy="hip-pain-extended-therapy",
        owner="hip-pain-extended-therapy",
        folder=Path(),
        document=YamlFile("case.yaml", "[]", ValueError),  # type: ignore[arg-type]
    )
    return build(case, packaged(), date(2026, 1, 15))


def resources(found: Given) -> dict[str, Json]:
    return {resource.reference: json.loads(bytes(resource.payload)) for resource in found.record}


def test_the_draft_order_is_kept_apart_when_an_example_is_given() -> None:
    found = given()
    assert [order.reference for order in found.orders] == ["ServiceRequest/f001-order"]
    assert "ServiceRequest/f001-order" not in resources(found)


def test_its_procedures_go_along_when_an_encounter_is_removed() -> None:
    found = resources(given(remove=["Encounter/f001-visit-01"]))
    assert "Procedure/f001-visit-01-97110" not in found
    assert "Procedure/f001-visit-02-97110" in found
    assert "Procedure/f001-wound-surgery" in found


def test_several_go_when_a_star_names_them() -> None:
    found = resources(given(remove=["Observation/f001-hip-*"]))
    assert not [reference for reference in found if "f001-hip-" in reference and reference.startswith("Observation")]
    assert "Observation/f001-improvement" in found


@pytest.mark.parametrize(
    ("path", "value", "read"),
    [
        ("onsetDateTime", "2025-01-02", ("onsetDateTime",)),
        ("code.coding.0.code", "M25.551", ("code", "coding", 0, "code")),
        ("severity.text", "mild", ("severity", "text")),
    ],
)
def test_the_field_holds_the_value_when_a_path_is_set(path: str, value: str, read: tuple[str | int, ...]) -> None:
    place: Any = resources(given(set={"Condition/f001-hip-pain": {path: value}}))["Condition/f001-hip-pain"]
    for step in read:
        place = place[step]
    assert place == value


def test_the_field_is_gone_when_it_is_set_to_null() -> None:
    found = resources(given(set={"Condition/f001-hip-pain": {"onsetDateTime": None}}))
    assert "onsetDateTime" not in found["Condition/f001-hip-pain"]


def test_the_example_itself_stays_as_it_is_when_a_case_changes_it() -> None:
    given(set={"Condition/f001-hip-pain": {"onsetDateTime": "1999-01-01"}})
    assert resources(given())["Condition/f001-hip-pain"]["onsetDateTime"] == "2025-07-08"


def test_subject_status_and_systems_are_filled_in_when_a_resource_is_added() -> None:
    condition = {"resourceType": "Condition", "id": "dvt", "code": "icd-10-cm|I82.402", "clinicalStatus": "active"}
    found = resources(given(add=[condition, {"resourceType": "Goal", "achievementStatus": "improving"}]))
    dvt, goal = found["Condition/dvt"], found["Goal/added-2"]
    assert dvt["subject"] == {"reference": "Patient/f001"}
    assert dvt["code"]["coding"] == [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I82.402"}]
    assert dvt["clinicalStatus"]["coding"][0]["code"] == "active"
    assert goal["lifecycleStatus"] == "active"
    assert goal["achievementStatus"]["coding"][0]["system"].endswith("goal-achievement")


@pytest.mark.parametrize(
    ("kind", "field"), [("Coverage", "beneficiary"), ("EpisodeOfCare", "patient"), ("Task", "for"), ("Goal", "subject")]
)
def test_the_patient_stands_where_the_type_has_it_when_a_resource_is_added(kind: str, field: str) -> None:
    found = resources(given(add=[{"resourceType": kind, "id": "x"}]))
    assert found[f"{kind}/x"][field] == {"reference": "Patient/f001"}


def test_visits_end_on_the_day_before_when_a_number_is_asked_for() -> None:
    found = resources(given(remove=["Encounter"], visits={"completed": 3, "before": "2025-08-10", "every": 3}))
    days = [entry["period"]["start"] for entry in found.values() if entry["resourceType"] == "Encounter"]
    assert days == ["2025-08-03", "2025-08-06", "2025-08-09"]


def test_visits_are_for_what_the_order_is_for_when_no_site_is_named() -> None:
    found = resources(given(visits=[{"on": ["2025-08-05"]}, {"on": ["2025-08-06"], "site": {"code": "M25.551"}}]))
    own, other = (entry for name, entry in found.items() if "case-visit" in name)
    assert own["reasonCode"][0]["coding"][0]["code"] == "M25.552"
    assert other["reasonCode"][0]["coding"][0]["code"] == "M25.551"


def test_codes_become_procedures_of_the_visit_when_they_are_named() -> None:
    found = resources(given(visits={"on": ["2025-08-05"], "codes": [97164]}))
    assert found["Procedure/case-visit-1-2025-08-05-97164"]["encounter"] == {
        "reference": "Encounter/case-visit-1-2025-08-05"
    }
