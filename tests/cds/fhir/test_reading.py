from __future__ import annotations

import json

import pytest

from cds.ehr.gather import BundleSource
from cds.fhir.bundles import parse_answer
from cds.fhir.queries import queries_for
from cds.fhir.record import read_record, start_reading
from cds.model import Fact, Need
from tests.cds.build import (
    Json,
    about,
    condition,
    encounter,
    goal,
    observation,
    patient,
    procedure,
    reasons,
    record_of,
    terms,
)

PAIN: Json = {"text": "Mood"}


def test_the_others_are_read_when_one_resource_is_broken() -> None:
    broken = encounter("2025-03-06") | {"period": "March"}
    record = record_of(encounter("2025-03-05"), broken, condition("I10"), goal())
    assert [str(visit.day) for visit in record.visits] == ["2025-03-05"]
    assert len(record.conditions) == 1
    assert len(record.goals) == 1
    assert "Encounter/e-2025-03-06: a therapy encounter that names no single day (no period)" in reasons(record)
    assert record.doubts(Fact.VISITS)
    assert not record.doubts(Fact.CONDITIONS)


@pytest.mark.parametrize(
    "resource",
    [
        encounter("2025-03-05", subject=about("other")),
        condition("I82.402", subject=about("other")),
        goal(subject=about("other")),
        observation("2025-03-05", PAIN, 3, subject=about("other")),
        {"resourceType": "Task", "id": "t", "status": "requested", "for": about("other")},
        {
            "resourceType": "Appointment",
            "id": "a",
            "status": "booked",
            "start": "2025-03-12T10:00:00Z",
            "participant": [{"actor": about("other")}],
        },
        {"resourceType": "ExplanationOfBenefit", "id": "x", "status": "active", "patient": about("other")},
    ],
    ids=lambda resource: resource["resourceType"],
)
def test_a_resource_is_dropped_and_noted_when_it_is_another_patients(resource: Json) -> None:
    record = record_of(patient(), resource)
    kept = (record.visits, record.conditions, record.goals, record.statements, record.tasks, record.appointments)
    assert not any(kept)
    assert reasons(record) == [f"{resource['resourceType']}: what belongs to another patient was left out"]


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/p"},
        {"reference": "https://ehr.example.org/fhir/Patient/p"},
        {"reference": "Patient/p/_history/2"},
        {"identifier": {"value": "7"}},
        {"display": "Nora Hale"},
    ],
)
def test_a_resource_is_the_patients_when_its_subject_is_written_in_another_form(subject: Json) -> None:
    assert len(record_of(condition("I10", subject=subject)).conditions) == 1


def test_resources_find_each_other_when_they_are_known_by_their_entrys_url_only() -> None:
    def entry(name: str, resource: Json) -> Json:
        return {"fullUrl": f"urn:uuid:{name}", "resource": {k: v for k, v in resource.items() if k != "id"}}

    whose = {"reference": "urn:uuid:me"}
    held = [entry("me", patient())]
    for number, day in enumerate(("2025-03-05", "2025-03-07")):
        held.append(
            entry(
                f"e{number}",
                encounter(day, service=None, subject=whose, reason=None)
                | {"reasonReference": [{"reference": f"urn:uuid:c{number}"}]},
            )
        )
        held.append(entry(f"p{number}", procedure(day, visit=f"urn:uuid:e{number}", subject=whose)))
        held.append(entry(f"c{number}", condition(("M25.552", "M25.562")[number], subject=whose)))
    resources = parse_answer(json.dumps({"resourceType": "Bundle", "entry": held}).encode()).resources
    evidence = BundleSource(resources).gather(queries_for([Need(fact) for fact in Fact], terms()))
    reading, by_type = start_reading(terms(), "me", evidence)
    record = read_record(reading, by_type, evidence)
    assert [(v.sources, [s.label for s in v.sites]) for v in record.visits] == [
        (("Encounter/e0",), ["left hip"]),
        (("Encounter/e1",), ["left knee"]),
    ]


def test_a_resource_with_broken_letters_or_endless_numbers_costs_nothing_else_when_it_is_read() -> None:
    record = record_of(observation("2025-03-05", PAIN, 1e300), observation("2025-03-06", PAIN, 3))
    assert len(record.statements) == 2
