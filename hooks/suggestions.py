"""Suggestions whose actions truly work when an EHR applies them. Pure.

An `update` sends the whole order back with only the suggested change in it; the order's own content is
never touched otherwise (CDS Hooks 2.0.1, Action). What changes is made anew, the rest is shared with the order
as it was sent: nobody changes either of them later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from cds.fhir.orders import BILLING_OPTIONS
from cds.model import Order

Json = dict[str, Any]
NewId = Callable[[], str]
UCUM = "http://unitsofmeasure.org"
CPT = "http://www.ama-assn.org/go/cpt"
QUESTIONNAIRE_TASK = {
    "system": "http://hl7.org/fhir/uv/sdc/CodeSystem/temp",
    "code": "complete-questionnaire",
}
QUESTIONNAIRE_INPUT = {**QUESTIONNAIRE_TASK, "code": "questionnaire"}


def _suggestion(new_id: NewId, label: str, action: Json, *, recommended: bool = False) -> Json:
    suggestion: Json = {"label": label, "uuid": new_id(), "actions": [action]}
    if recommended:
        suggestion["isRecommended"] = True
    return suggestion


def reduce_visits(order: Order, visits: int, new_id: NewId) -> Json:
    """Ask for no more than `visits`: quantity, and the timing where it says a number of visits too."""
    resource = dict(order.resource)
    quantity = {"value": visits, "unit": "visit", "system": UCUM, "code": "{visit}"}
    resource.pop("quantityRange", None)
    sent = resource.get("quantityQuantity")
    resource["quantityQuantity"] = {**(sent if isinstance(sent, dict) else {}), **quantity}
    timing = resource.get("occurrenceTiming")
    if isinstance(timing, dict):
        resource["occurrenceTiming"] = _shorter(timing, visits)
    label = f"Reduce the order to {visits} visit{'' if visits == 1 else 's'}"
    return _suggestion(new_id, label, _update(resource, label), recommended=True)


def _shorter(timing: Json, visits: int) -> Json:
    shorter = dict(timing)
    if isinstance(timing.get("event"), list):
        shorter["event"] = timing["event"][:visits]
    if isinstance(timing.get("repeat"), dict):
        shorter["repeat"] = {name: value for name, value in timing["repeat"].items() if name != "countMax"}
        shorter["repeat"]["count"] = visits
    return shorter


def remove_lines(order: Order, codes: Sequence[str], new_id: NewId) -> Json:
    """Take billing lines off the order; the whole order where nothing else is on it."""
    label = f"Remove {'line' if len(codes) == 1 else 'lines'} {', '.join(codes)}"
    if all(line.code.code in codes for line in order.lines) and not _other_codes(order, codes):
        return _suggestion(new_id, "Remove the order", {
            "type": "delete", "description": f"{label}: the order holds nothing else", "resourceId": order.reference,
        })  # fmt: skip
    resource = dict(order.resource)
    wanted = set(codes)
    if isinstance(resource.get("code"), dict):
        resource["code"] = _without(resource["code"], wanted)
    sent = _dicts(resource.get("orderDetail"))
    left = [(_without(detail, wanted), detail) for detail in sent]
    # A detail goes with its last code; one that never had a code is somebody's words, and stays.
    kept = [detail for detail, before in left if detail.get("coding") or not before.get("coding")]
    if kept:
        resource["orderDetail"] = kept
    else:
        resource.pop("orderDetail", None)
    return _suggestion(new_id, label, _update(resource, label), recommended=True)


def add_re_evaluation(order: Order, new_id: NewId) -> Json:
    """Add a re-evaluation to the order's lines."""
    code = "97168" if order.discipline and order.discipline.value == "occupational-therapy" else "97164"
    resource = dict(order.resource)
    line = {"coding": [{"system": CPT, "code": code}], "text": "Re-evaluation"}
    resource["orderDetail"] = [*_dicts(resource.get("orderDetail")), line]
    label = f"Add a re-evaluation ({code})"
    return _suggestion(new_id, label, _update(resource, label))


def ask_for_measure(order: Order, instrument: str, questionnaire: str | None, today: date, new_id: NewId) -> Json:
    """A Task for somebody to have the patient fill in an outcome measure (SDC `complete-questionnaire`).

    `questionnaire` is the canonical of its form, with the version, where its licence lets it be shown.
    """
    value = {"valueCanonical": questionnaire} if questionnaire else {"valueString": instrument}
    asked: Json = {"type": {"coding": [QUESTIONNAIRE_INPUT], "text": "questionnaire"}, **value}
    label = f"Ask for {instrument}"
    task: Json = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [QUESTIONNAIRE_TASK], "text": "Complete an outcome measure"},
        "description": f"Have the patient complete {instrument}",
        "for": {"reference": f"Patient/{order.patient}"},
        "authoredOn": today.isoformat(),
        "input": [asked],
    }
    return _suggestion(new_id, label, {"type": "create", "description": task["description"], "resource": task})


def _dicts(value: object) -> list[Json]:
    """The objects of a list as it was sent: orders are not checked before they come here."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _update(resource: Json, description: str) -> Json:
    return {"type": "update", "description": description, "resource": resource}


def _other_codes(order: Order, codes: Sequence[str]) -> bool:
    return any(code.code not in codes for code in order.concept.codes)


def _without(concept: Mapping[str, Any], codes: set[str]) -> Json:
    """A concept without some codes, among its codings and its billing options."""
    result = dict(concept)
    if "coding" in result:
        result["coding"] = [coding for coding in _dicts(result["coding"]) if not _is_one_of(coding, codes)]
        if not result["coding"]:
            del result["coding"]
    extensions = [e for e in _dicts(result.get("extension")) if not _bills(e, codes)]
    if extensions:
        result["extension"] = extensions
    else:
        result.pop("extension", None)
    return result


def _bills(extension: Mapping[str, Any], codes: set[str]) -> bool:
    if extension.get("url") != BILLING_OPTIONS:
        return False
    concept, coding = extension.get("valueCodeableConcept"), extension.get("valueCoding")
    codings = [*(_dicts(concept.get("coding")) if isinstance(concept, dict) else []), *_dicts([coding])]
    return any(_is_one_of(coding, codes) for coding in codings)


def _is_one_of(coding: Json, codes: set[str]) -> bool:
    code = coding.get("code")
    return isinstance(code, str) and code in codes
