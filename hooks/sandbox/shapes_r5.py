"""Resources of R4 as a server of R5 writes them: the elements that were renamed or reshaped between the two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
RENAMED = {
    "Encounter": {"period": "actualPeriod", "hospitalization": "admission"},
    "Procedure": {
        "performedDateTime": "occurrenceDateTime",
        "performedPeriod": "occurrencePeriod",
        "reasonCode": "reason",
    },
    "MedicationStatement": {"medicationCodeableConcept": "medication", "context": "encounter"},
    "MedicationRequest": {"medicationCodeableConcept": "medication"},
}


def r5_shape(resource: Json) -> Json:
    """Write one resource as R5 has it; types that did not change come back as they are.

    >>> r5_shape({"resourceType": "Encounter", "class": {"code": "AMB"}, "period": {"start": "2025"}})
    {'resourceType': 'Encounter', 'class': [{'coding': [{'code': 'AMB'}]}], 'actualPeriod': {'start': '2025'}}
    """
    kind = str(resource.get("resourceType", ""))
    names = RENAMED.get(kind, {})
    renamed = {names.get(key, key): value for key, value in resource.items()}
    return _RESHAPED.get(kind, _same)(renamed)


def _same(resource: Json) -> Json:
    return resource


def _encounter(resource: Json) -> Json:
    if isinstance(resource.get("class"), dict):
        resource["class"] = [{"coding": [resource["class"]]}]
    if isinstance(resource.get("serviceType"), dict):
        resource["serviceType"] = [{"concept": resource["serviceType"]}]
    reasons = resource.pop("reasonCode", None)
    if reasons:
        resource["reason"] = [{"value": [{"concept": concept} for concept in reasons]}]
    if resource.get("status") == "finished":
        resource["status"] = "completed"
    return resource


def _procedure(resource: Json) -> Json:
    if "reason" in resource:
        resource["reason"] = [{"concept": concept} for concept in resource["reason"]]
    return resource


def _medication(resource: Json) -> Json:
    if isinstance(resource.get("medication"), dict):
        resource["medication"] = {"concept": resource["medication"]}
    return resource


def _coverage(resource: Json) -> Json:
    payers = resource.pop("payor", None)
    if payers:
        resource |= {"kind": "insurance", "insurer": payers[0]}
    return resource


def _care_plan(resource: Json) -> Json:
    activities = resource.get("activity") or []
    resource["activity"] = [{"plannedActivityReference": {"display": "see elsewhere"}} for _ in activities]
    return resource


_RESHAPED: dict[str, Callable[[Json], Json]] = {
    "Encounter": _encounter,
    "Procedure": _procedure,
    "MedicationStatement": _medication,
    "MedicationRequest": _medication,
    "Coverage": _coverage,
    "CarePlan": _care_plan,
}
