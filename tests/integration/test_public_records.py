"""Synthetic patients that somebody else made: every order is answered, every known outcome measure is found.

Two of them come with the tests. More are read from the folder that THERAPY_CDS_TEST_RECORDS names: FHIR R4 as
NDJSON by type, in folders, or as single resources in JSON; see tests/data/README.md for where to get some.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path

import pytest

from cds.as_json import assessment_json
from hooks.sandbox.examples import Example
from hooks.sandbox.fhir_server import load
from hooks.sandbox.http import FhirServer
from hooks.sandbox.signing import sign
from tests.cds.build import ICD10, Json, assess, concept, coverage, policies, record_of, service_request, terms

VARIABLE = "THERAPY_CDS_TEST_RECORDS"
DATA = Path(__file__).parents[1] / "data"
READ = {
    "Observation", "Condition", "Encounter", "Procedure", "Goal", "CarePlan", "QuestionnaireResponse",
    "DiagnosticReport", "MedicationRequest",
}  # fmt: skip
# Instruments that such data are known to hold.
KNOWN = {"hoos", "hoos-jr", "koos", "koos-jr", "phq-9", "promis-physical-function", "promis-global-health"}


@dataclass
class Patient:
    """A patient and what belongs to them."""

    id: str
    resources: list[Json] = field(default_factory=list)

    def order(self, **changes: object) -> Json:
        """A draft therapy order, written after the last thing that is on file."""
        whose = {"reference": f"Patient/{self.id}"}
        days = [str(o["effectiveDateTime"])[:10] for o in self.resources if "effectiveDateTime" in o]
        return service_request(subject=whose, authoredOn=max(days, default="2021-01-01"), **changes)

    def known(self) -> set[tuple[str, str | None]]:
        """The instruments and subscales with a score on file, found by nothing but their codes."""
        observations = [o for o in self.resources if o["resourceType"] == "Observation"]
        items = [item for o in observations for item in (o, *o.get("component", ())) if has_value(item)]
        codings = [coding for item in items for coding in item["code"].get("coding", ())]
        scores = {coding["code"] for coding in codings if coding.get("system") == "http://loinc.org"}
        named = [(key[1], found) for key, found in terms()._measure_codes.items() if key[0] == "loinc"]
        return {(found[0].id, found[1]) for code, found in named if code in scores and found[0].id in KNOWN}


def has_value(item: Json) -> bool:
    return any(name.startswith("value") for name in item)


def resources_in(path: Path) -> Iterator[Json]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ndjson":
        yield from (json.loads(line) for line in text.splitlines() if line.strip())
        return
    found = json.loads(text)
    if isinstance(found, dict):
        yield from (entry["resource"] for entry in found["entry"]) if found.get("type") == "collection" else (found,)


@lru_cache(maxsize=2)
def patients_in(folder: Path) -> tuple[Patient, ...]:
    patients: dict[str, Patient] = {}
    belongings: dict[str, list[Json]] = defaultdict(list)
    for path in sorted((*folder.rglob("*.ndjson"), *folder.rglob("*.json"))):
        for resource in resources_in(path):
            if resource.get("resourceType") == "Patient":
                short: Json = {k: resource[k] for k in ("resourceType", "id", "gender", "birthDate") if k in resource}
                patients[resource["id"]] = Patient(resource["id"], [short])
            elif resource.get("resourceType") in READ:
                whose = (resource.get("subject") or {}).get("reference", "")
                belongings[whose.removeprefix("Patient/")].append(resource)
    for name, patient in patients.items():
        unique = {f"{r['resourceType']}/{r.get('id')}": r for r in belongings[name]}
        patient.resources += unique.values()
    return tuple(patients.values())


@pytest.fixture
def public() -> tuple[Patient, ...]:
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} names no folder with public synthetic records")
    found = patients_in(Path(folder))
    assert found, f"no patients below {folder}"
    return found


def check_found(patient: Patient) -> set[tuple[str, str | None]]:
    record = record_of(*patient.resources, name=patient.id)
    found = {(m.instrument, m.subscale) for m in record.measures if m.score is not None}
    assert patient.known() <= found, patient.id
    return patient.known()


def check_answered(patient: Patient) -> int:
    """Every policy answers."""
    payer = coverage(beneficiary={"reference": f"Patient/{patient.id}"})
    asked: list[tuple[str, str | None]] = [(code, None) for code in ("M25.552", "M17.11", "M54.50")]
    asked += [("M25.552", policy.id) for policy in policies()]
    for code, policy in asked:
        order = patient.order(reasonCode=[concept(ICD10, code)])
        assessment = assess(*patient.resources, payer, order, policy=policy, today=date(2026, 1, 1))
        assert "fault" not in assessment.says
        assert not assessment.technical
        json.dumps(assessment_json(assessment))
    return len(asked)


def test_patients_of_others_are_answered_and_their_measures_found_when_they_come_with_the_tests() -> None:
    found = {patient.id: check_found(patient) for patient in patients_in(DATA)}
    koos = {("koos", part) for part in ("adl", "pain", "symptoms", "sport", "qol")}
    assert found == {"synthea-knee": koos, "synthea-phq-9": {("phq-9", None)}}
    assert all(check_answered(patient) > 3 for patient in patients_in(DATA))


def test_every_known_measure_is_found_when_records_are_public(public: tuple[Patient, ...]) -> None:
    found = [check_found(patient) for patient in public]
    assert any(found)


def test_every_order_is_answered_when_records_are_public(public: tuple[Patient, ...]) -> None:
    assert sum(map(check_answered, public)) >= len(public)


@pytest.mark.integration
def test_orders_are_answered_by_the_service_when_records_of_others_are_on_a_real_server(
    fhir_server: str, service_url: str
) -> None:
    folder = os.environ.get(VARIABLE)
    more = [p for p in patients_in(Path(folder)) if p.known()][:3] if folder else []
    for patient in (*patients_in(DATA), *more):
        load(FhirServer(fhir_server), Example(patient.id, patient.id, tuple(patient.resources), ()))
        exchanges = sign(service_url, FhirServer(fhir_server), patient.id, [patient.order()])
        assert not any(exchange.problem for exchange in exchanges)
        assert all(exchange.response["cards"] for exchange in exchanges)
