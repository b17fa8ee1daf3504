from __future__ import annotations

import json

import pytest

from cds.fhir import shapes
from cds.fhir.elements import (
    CodeableConcept,
    Coding,
    Reference,
    TimingRepeat,
    fit,
    local_reference,
    read_shape,
    to_concept,
)
from cds.model import Code
from tests.cds.build import ACT, SNOMED, concept, encounter, terms


def read(data: object, shape: type[shapes.Encounter] = shapes.Encounter) -> tuple[shapes.Encounter, tuple[str, ...]]:
    found, problems = read_shape(json.dumps(data).encode(), shape)
    assert found is not None
    return found, problems


def test_a_resource_is_read_without_problems_when_it_fits() -> None:
    found, problems = read(encounter("2025-03-05"))
    assert problems == ()
    assert found.period is not None
    assert found.period.start == "2025-03-05"


def test_nothing_is_told_when_members_are_null() -> None:
    found, problems = read(
        {
            "status": "finished",
            "class": None,
            "type": [None, {"coding": [None, {"code": "x", "display": None}], "text": None}],
            "period": {"start": "2025-03-05", "end": None},
        }
    )
    assert problems == ()
    assert found.type[0].coding[0].code == "x"
    assert found.period is not None
    assert (found.period.start, found.period.end) == ("2025-03-05", "")


def test_a_lone_object_is_a_list_of_one_when_a_list_was_expected() -> None:
    found, problems = read({"type": concept(SNOMED, "91251008")})
    assert problems == ()
    assert found.type[0].coding[0].code == "91251008"


def test_the_items_that_fit_are_kept_when_one_of_a_list_does_not() -> None:
    found, problems = read({"status": "finished", "type": [7, concept(SNOMED, "91251008")]})
    assert [each.coding[0].code for each in found.type] == ["91251008"]
    assert found.status == "finished"
    assert len(problems) == 1
    assert problems[0].startswith("type: ")


def test_class_type_and_period_are_read_when_the_encounter_is_shaped_as_in_r5() -> None:
    found, problems = read(
        {
            "status": "completed",
            "class": [concept(ACT, "IMP")],
            "serviceType": [{"concept": concept("http://terminology.hl7.org/CodeSystem/service-type", "65")}],
            "actualPeriod": {"start": "2025-03-05"},
        }
    )
    assert problems == ()
    assert found.class_ is not None
    assert found.class_.code == "IMP"
    assert found.serviceType is not None
    assert found.serviceType.coding[0].code == "65"
    assert found.actualPeriod is not None


def test_a_status_is_read_when_it_is_a_bare_text_as_in_stu3() -> None:
    found, problems = read_shape(b'{"clinicalStatus": "active"}', shapes.Condition)
    assert found is not None
    assert problems == ()
    assert found.clinicalStatus == CodeableConcept(coding=(Coding(code="active"),), text="active")


def test_a_category_of_the_wrong_cardinality_is_no_matter_when_nobody_reads_it() -> None:
    raw = json.dumps({"resourceType": "MedicationRequest", "category": {"text": "x"}, "authoredOn": "2025-01"}).encode()
    found, problems = read_shape(raw, shapes.Medication)
    assert problems == ()
    assert found is not None
    assert found.authoredOn == "2025-01"


@pytest.mark.parametrize(("value", "wanted"), [("46", 46.0), (46, 46.0), ("4.5", 4.5)])
def test_a_number_is_read_when_it_stands_in_quotes(value: object, wanted: float) -> None:
    found, problems = read_shape(json.dumps({"valueQuantity": {"value": value}}).encode(), shapes.Observation)
    assert problems == ()
    assert found is not None
    assert found.valueQuantity is not None
    assert found.valueQuantity.value == wanted


def test_a_count_is_read_when_it_is_written_with_a_decimal_point() -> None:
    found, problems = read_shape(b'{"frequency": 2.0, "count": "8"}', TimingRepeat)
    assert problems == ()
    assert found is not None
    assert (found.frequency, found.count) == (2, 8)


def test_the_rest_is_kept_when_one_field_cannot_be_read_at_all() -> None:
    found, problems = read({"status": "finished", "period": "March", "type": [concept(SNOMED, "1")]})
    assert found.period is None
    assert found.type[0].coding[0].code == "1"
    assert problems
    assert problems[0].startswith("period: ")


def test_reasons_hold_no_value_of_the_patient_when_something_cannot_be_read() -> None:
    _, problems = read({"status": ["Nora Hale"], "period": "Nora Hale"})
    assert "Nora" not in " ".join(problems)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"[1]", "it is not a JSON object"),
        (b"null", "it is not a JSON object"),
        (b'{"status": ', "it is not JSON (JSONDecodeError)"),
        (b"", "it is not JSON (JSONDecodeError)"),
        (b'{"status": 3, "x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "it is nested too deeply"),
    ],
)
def test_it_says_why_when_a_payload_is_no_resource(payload: bytes, why: str) -> None:
    assert read_shape(payload, shapes.Encounter) == (None, (why,))


@pytest.mark.parametrize(
    "payload",
    [
        b'{"status": "final", "valueQuantity": {"value": 1e400}}',
        b'{"status": "final", "note": 1e999, "valueInteger": "x"}',
        b'{"status": "final", "valueString": "fin\xe9"}',
        b'{"status": "final", "code": {"text": "caf\xe9"}, "valueInteger": "x"}',
    ],
)
def test_the_resource_is_read_when_it_holds_endless_numbers_or_broken_letters(payload: bytes) -> None:
    found, _ = read_shape(payload, shapes.Observation)
    assert found is not None
    assert found.status == "final"


def test_a_string_is_not_made_of_a_number_when_text_was_expected() -> None:
    found, problems = fit({"status": 5}, shapes.Encounter)
    assert found.status == ""
    assert problems


def test_a_reference_is_read_when_it_is_r5s_codeable_reference_or_a_bare_text() -> None:
    found, problems = fit(
        {"subject": "Patient/1", "reasonReference": [{"reference": {"reference": "Condition/2"}}]}, shapes.Encounter
    )
    assert problems == ()
    assert found.subject == Reference(reference="Patient/1")
    assert found.reasonReference[0].reference == "Condition/2"


def test_codes_get_their_short_system_when_it_is_known() -> None:
    read_concept = to_concept(
        CodeableConcept(coding=(Coding(system=SNOMED, code="1"), Coding(), Coding(system="urn:x", code="2")), text="t"),
        terms(),
    )
    assert read_concept.codes == (Code("snomed", "1"), Code("urn:x", "2"))
    assert read_concept.text == "t"
    assert to_concept(None, terms()).codes == ()


@pytest.mark.parametrize(
    ("reference", "local"),
    [
        ("Encounter/7", "Encounter/7"),
        ("https://ehr.example.org/fhir/Encounter/7", "Encounter/7"),
        ("https://ehr.example.org/fhir/Encounter/7/_history/2", "Encounter/7"),
        ("Encounter/7/_history/2", "Encounter/7"),
        ("urn:uuid:1f", "urn:uuid:1f"),
        ("#contained", "#contained"),
        ("", ""),
    ],
)
def test_a_reference_is_type_and_id_when_it_is_literal(reference: str, local: str) -> None:
    assert local_reference(reference) == local
