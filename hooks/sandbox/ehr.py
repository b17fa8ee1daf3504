"""The EHR's side of CDS Hooks without any input or output: tokens, templates, the order-sign request."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

Json = dict[str, Any]
TOKEN = re.compile(r"\{\{\s*(.+?)\s*\}\}")
SANDBOX_USER = "Practitioner/sandbox"
USER_TYPES = ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson")


def context_of(patient_id: str, drafts: Sequence[Json]) -> Json:
    """Build the context of an order-sign hook.

    The user is whoever the first order names as its requester. An EHR always knows who is logged in; this
    one has no users, so an order without a requester is signed by a Practitioner of the sandbox's own.
    """
    context: Json = {
        "userId": next((user for draft in drafts if (user := _requester(draft))), SANDBOX_USER),
        "patientId": patient_id,
    }
    encounters = [value for draft in drafts if (value := _reference(draft.get("encounter"), "Encounter"))]
    if encounters:
        context["encounterId"] = encounters[0].rpartition("/")[2]
    context["draftOrders"] = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": draft} for draft in drafts],
    }
    return context


def _requester(draft: Json) -> str | None:
    return _reference(draft.get("requester"), "Practitioner", "PractitionerRole")


def _reference(value: object, *types: str) -> str | None:
    text = value.get("reference") if isinstance(value, dict) else None
    if not isinstance(text, str):
        return None
    parts = text.split("/")
    return text if len(parts) == 2 and parts[0] in types else None


def tokens_of(context: Json) -> dict[str, str]:
    """List what a prefetch template may ask for: the first level of the context, and the user by kind.

    >>> tokens_of({"patientId": "p1", "userId": "Practitioner/7", "draftOrders": {}})
    {'context.patientId': 'p1', 'context.userId': 'Practitioner/7', 'userPractitionerId': '7'}
    """
    tokens = {f"context.{key}": value for key, value in context.items() if isinstance(value, str)}
    kind, _, user_id = context.get("userId", "").partition("/")
    if kind in USER_TYPES and user_id:
        tokens[f"user{kind}Id"] = user_id
    return tokens


def query_of(template: str, tokens: dict[str, str]) -> str | None:
    """Fill in a prefetch template; `None` when it asks for something this EHR cannot resolve.

    >>> query_of("Encounter?patient={{context.patientId}}", {"context.patientId": "p1"})
    'Encounter?patient=p1'
    >>> query_of("Encounter/{{context.encounterId}}", {"context.patientId": "p1"}) is None
    True
    """
    if any(match.group(1) not in tokens for match in TOKEN.finditer(template)):
        return None
    return TOKEN.sub(lambda match: tokens[match.group(1)], template)


def queries_of(templates: dict[str, str], context: Json) -> tuple[dict[str, str], dict[str, str]]:
    """Turn a service's prefetch templates into queries, and say which were left out and why."""
    tokens = tokens_of(context)
    filled = {key: query_of(template, tokens) for key, template in templates.items()}
    queries = {key: query for key, query in filled.items() if query is not None}
    left_out = {key: "a token that this EHR cannot resolve" for key, query in filled.items() if query is None}
    return queries, left_out


def is_of(resource: Json, patient_id: str) -> bool:
    """Tell whether a resource may be sent as this patient's: it is, or it is nobody's.

    >>> is_of({"resourceType": "Goal", "subject": {"reference": "Patient/p2"}}, "p1")
    False
    """
    for key in ("subject", "patient", "beneficiary", "for"):
        reference = (resource.get(key) or {}).get("reference") if isinstance(resource.get(key), dict) else None
        kind, _, found = str(reference or "").removeprefix("/").rpartition("/")
        if kind.endswith("Patient") and found != patient_id:
            return False
    return True


def only_of(found: Json, patient_id: str) -> Json:
    """Take other patients' resources out of a Bundle: some servers ignore `patient` for some types."""
    entries = [entry for entry in found.get("entry") or [] if is_of(entry.get("resource") or {}, patient_id)]
    if len(entries) == len(found.get("entry") or []):
        return found
    # What the server says about the search, or sent along with it, is no match (FHIR R4, Bundle.total).
    matches = [entry for entry in entries if entry.get("search", {}).get("mode", "match") == "match"]
    return found | {"entry": entries, "total": len(matches)}


def sign_request(fhir_base: str, context: Json, prefetch: Json) -> Json:
    """Build the body that is posted to an order-sign service. Each call is an instance of its own."""
    request: Json = {
        "hook": "order-sign",
        "hookInstance": str(uuid.uuid4()),
        "fhirServer": fhir_base,
        "context": context,
    }
    if prefetch:
        request["prefetch"] = prefetch
    return request


def feedback_item(
    card: str, *, when: str, suggestion: str | None = None, reason: Json | None = None, comment: str = ""
) -> Json:
    """Build one item of feedback: a suggestion taken, or the card overridden.

    >>> feedback_item("c1", when="2025-03-10T09:00:00Z", suggestion="s1")["acceptedSuggestions"]
    [{'id': 's1'}]
    """
    item: Json = {"card": card, "outcome": "overridden", "outcomeTimestamp": when}
    if suggestion:
        item["outcome"] = "accepted"
        item["acceptedSuggestions"] = [{"id": suggestion}]
        return item
    override: Json = {}
    if reason:
        override["reason"] = reason
    if comment.strip():
        override["userComment"] = comment.strip()
    if override:
        item["overrideReason"] = override
    return item


def cards_of(response: object) -> list[Json]:
    """List the cards of a response, tolerating none."""
    cards = response.get("cards") if isinstance(response, dict) else None
    return [card for card in cards if isinstance(card, dict)] if isinstance(cards, list) else []


def assessments_of(response: object) -> list[Json]:
    """List the assessments behind the cards, which the service tells in an extension of its response."""
    extension = response.get("extension") if isinstance(response, dict) else None
    found = extension.get("example.therapy-cds.assessments") if isinstance(extension, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def references_of(drafts: Iterable[Json]) -> list[str]:
    """Name orders as `Type/id`."""
    return [f"{draft.get('resourceType')}/{draft.get('id')}" for draft in drafts]
