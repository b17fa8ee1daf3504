"""Resources without what identifies the patient."""

from __future__ import annotations

from typing import Any

import pytest

from cds.reporting.anonymous import LEFT_OUT, Anonymous, unique
from cds.terminology import packaged

WEEKS = 3


@pytest.fixture
def anonymous() -> Anonymous:
    """Three weeks later, with one entry known by its URL."""
    return Anonymous(packaged(), WEEKS, {"urn:uuid:1": "Encounter/e1"})


@pytest.mark.parametrize(
    ("day", "shifted"),
    [
        ("2025-03-10", "2025-03-31"),
        ("2025-03-10T10:00:00-05:00", "2025-03-31T10:00:00-05:00"),
        ("2024-02-28", "2024-03-20"),
        ("2025-03", "2025-04"),
        ("2025", "2025"),
    ],
)
def test_day_moves_by_whole_weeks_when_it_is_shifted(anonymous: Anonymous, day: str, shifted: str) -> None:
    assert anonymous.day(day) == shifted


def test_references_meet_again_when_they_are_renamed(anonymous: Anonymous) -> None:
    visit = anonymous.resource("Encounter", "e1", {"id": "e1", "status": "finished"})
    assert visit == {"resourceType": "Encounter", "id": "encounter-1", "status": "finished"}
    names = ("Encounter/e1", "https://ehr.example/fhir/Encounter/e1", "urn:uuid:1", "Encounter/e1/_history/2")
    assert {anonymous.reference(name) for name in names} == {"Encounter/encounter-1"}
    assert anonymous.reference("Encounter/e2") == "Encounter/encounter-2"
    assert anonymous.reference("urn:uuid:other") not in ("urn:uuid:other", "Encounter/encounter-1")


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"identifier": [{"value": "MRN"}], "note": [{"text": "x"}], "meta": {"versionId": "1"}}, {}),
        ({"unheardOf": "Miller", "deep": [{"also": {"so": "Miller"}}]}, {}),
        ({"code": {"text": "Left hip pain of Mrs. Miller"}}, {"code": {"text": "Left hip"}}),
        ({"code": {"coding": [{"system": "s", "code": "c", "display": "Miller"}]}},
         {"code": {"coding": [{"system": "s", "code": "c"}]}}),
        ({"valueString": "Mrs. Miller is better"}, {"valueString": LEFT_OUT}),
        ({"valueString": "4+/5"}, {"valueString": "4+/5"}),
        ({"valueString": "555-123-4567"}, {"valueString": LEFT_OUT}),
        ({"valueQuantity": {"value": 7.5, "unit": "cm"}}, {"valueQuantity": {"value": 7.5, "unit": "cm"}}),
        ({"effectiveDateTime": "2025-03-10"}, {"effectiveDateTime": "2025-03-31"}),
        ({"effectiveDateTime": "2025-13-45"}, {}),
        ({"preAuthRef": "AUTH-1"}, {"preAuthRef": "authorization"}),
        ({"valueBoolean": False}, {"valueBoolean": False}),
    ],
)  # fmt: skip
def test_only_what_is_listed_stays_when_a_resource_is_written(
    anonymous: Anonymous, fields: dict[str, Any], kept: dict[str, Any]
) -> None:
    made = anonymous.resource("Observation", "o", fields)
    assert made == {"resourceType": "Observation", "id": "observation-1", **kept}


def test_who_pays_stays_when_a_coverage_is_written(anonymous: Anonymous) -> None:
    payer = {
        "resourceType": "Organization",
        "id": "p",
        "identifier": [{"system": "s", "value": "plan"}],
        "name": "Plan",
    }
    fields = {"subscriberId": "S-1", "payor": [{"reference": "#p"}], "contained": [payer]}
    made = anonymous.resource("Coverage", "c", fields)
    assert made["payor"] == [{"reference": "#contained-1"}]
    assert made["contained"] == [payer | {"id": "contained-1"}]
    assert "subscriberId" not in made


def test_resource_comes_once_when_several_searches_brought_it() -> None:
    found = [("Observation", "1", "", b"{}"), ("Observation", "1", "", b"{}"), ("Observation", "2", "", b"{}")]
    assert [name for _, name, _, _ in unique(found)] == ["1", "2"]
