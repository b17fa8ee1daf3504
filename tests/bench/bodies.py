"""Order-sign requests with a record of so many resources: f000's own, and what else a chart holds."""

from __future__ import annotations

import json
from typing import Any

from tests.hooks.calls import is_draft, request, resources

Json = dict[str, Any]
SIZES = (20, 200, 2000)
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
# Codes of a general chart: none of them is therapy, an outcome measure or a contraindication. Observations are of
# the categories that discovery asks for, because an EHR would not send others.
OBSERVATIONS = (
    ("8867-4", "Heart rate", "/min", "exam"),
    ("8310-5", "Body temperature", "Cel", "exam"),
    ("29463-7", "Body weight", "kg", "exam"),
    ("8302-2", "Body height", "cm", "exam"),
    ("55423-8", "Number of steps", "1", "activity"),
)
ENCOUNTERS = (("185349003", "Encounter for check up"), ("390906007", "Follow-up encounter"))
PROCEDURES = (("430193006", "Medication reconciliation"), ("117015009", "Throat culture"))


def _day(number: int) -> str:
    return f"202{number % 5}-{number % 12 + 1:02d}-{number % 28 + 1:02d}"


def _narrative(number: int) -> Json:
    return {"status": "generated", "div": f"<div>{f'A sentence of the chart about entry {number}. ' * 12}</div>"}


def _observation(number: int) -> Json:
    code, name, unit, category = OBSERVATIONS[number % len(OBSERVATIONS)]
    return {
        "resourceType": "Observation",
        "id": f"observation-{number}",
        "meta": {"versionId": "1", "lastUpdated": f"{_day(number)}T09:00:00Z"},
        "text": _narrative(number),
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": category}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": name}], "text": name},
        "subject": {"reference": "Patient/f000"},
        "encounter": {"reference": f"Encounter/encounter-{number}"},
        "effectiveDateTime": f"{_day(number)}T09:00:00-05:00",
        "issued": f"{_day(number)}T09:10:00.000-05:00",
        "valueQuantity": {"value": 60 + number % 40, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
    }


def _visit(number: int) -> Json:
    code, name = ENCOUNTERS[number % len(ENCOUNTERS)]
    return {
        "resourceType": "Encounter",
        "id": f"encounter-{number}",
        "text": _narrative(number),
        "status": "finished",
        "class": {"system": ACT, "code": "AMB"},
        "type": [{"coding": [{"system": "http://snomed.info/sct", "code": code, "display": name}], "text": name}],
        "subject": {"reference": "Patient/f000"},
        "participant": [{"individual": {"reference": "Practitioner/example", "display": "A. Physician"}}],
        "period": {"start": f"{_day(number)}T09:00:00-05:00", "end": f"{_day(number)}T09:30:00-05:00"},
    }


def _procedure(number: int) -> Json:
    code, name = PROCEDURES[number % len(PROCEDURES)]
    return {
        "resourceType": "Procedure",
        "id": f"procedure-{number}",
        "text": _narrative(number),
        "status": "completed",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": code, "display": name}], "text": name},
        "subject": {"reference": "Patient/f000"},
        "encounter": {"reference": f"Encounter/encounter-{number}"},
        "performedPeriod": {"start": f"{_day(number)}T09:00:00-05:00", "end": f"{_day(number)}T09:30:00-05:00"},
    }


def record_of(size: int) -> list[Json]:
    """So many resources: f000's own as far as there is room, else half of them Observations."""
    own = [resource for resource in resources("f000") if not is_draft(resource)]
    if size < len(own):
        basics = ("Patient", "Coverage", "Organization", "Condition", "Goal", "CarePlan")
        own.sort(key=lambda resource: resource["resourceType"] not in basics)
        return own[:size]
    makers = (_observation, _observation, _visit, _procedure)
    return [*own, *(makers[number % 4](number) for number in range(size - len(own)))]


def body_of(size: int) -> bytes:
    """The body of a request with everything prefetched."""
    return json.dumps(request(record=record_of(size))).encode()
