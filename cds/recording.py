"""A call becomes an entry of the ledger: what was asked, on what grounds, what was said. And back to the question.

Least patient data: the patient by id, orders without names, evidence as `cds/fhir/least.py` keeps it, cards without
the resources that their suggestions hold. Never a token.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from cds.as_json import whole_assessment
from cds.fhir.least import least_of_order
from cds.fhir.orders import read_orders
from cds.ledger.basis import Basis
from cds.ledger.evidence import KeptEvidence, RecordingSource, keep
from cds.ledger.ledger import CALL, Ledger
from cds.model import Assessment
from cds.service import Asked
from cds.terminology import Terminology

Json = dict[str, Any]
_KEPT_OF_CARD = ("uuid", "summary", "indicator", "detail", "source", "links", "extension")


@dataclass(frozen=True)
class Call:
    """One call of a service, when it has been answered but the answer has not left yet. `began` has a time zone.

    `payload` is the response as it leaves, byte for byte (before any compression on the way).
    """

    service: str
    hook: str
    hook_instance: str
    client: str
    user: str
    began: datetime
    milliseconds: float
    asked: Asked
    aliases: Mapping[str, str]
    zone: ZoneInfo | None
    assessments: Sequence[Assessment]
    response: Mapping[str, Any]
    payload: bytes
    source: RecordingSource
    fhir_server: str | None = None
    problems: Sequence[str] = ()
    prefetch: Mapping[str, str] = field(default_factory=dict)
    kinds: Collection[str] | None = None  # of card, for which policies were weighed; None: whole


def record_call(ledger: Ledger, call: Call, basis: Basis, terms: Terminology) -> str:
    """Put a call on record and give its entry's id; LedgerUnavailable where that cannot be done."""
    kept, packed = keep(call.source.answers, terms)
    body = {
        "service": call.service,
        "hook": call.hook,
        "hookInstance": call.hook_instance,
        "client": call.client,
        "fhirServer": call.fhir_server,
        "user": call.user,
        "began": call.began.astimezone(UTC).isoformat(),
        "milliseconds": round(call.milliseconds, 1),
        "question": _question(call),
        "prefetch": dict(call.prefetch),
        "evidence": [msgspec.to_builtins(each) for each in kept],
        "basis": {
            "policies": basis.policies_hash, "vocabularies": basis.vocabularies_hash, "code": basis.code,
        },
        "assessments": [{"id": each.id, "is": whole_assessment(each)} for each in call.assessments],
        "problems": list(call.problems),
        "cards": [_kept_card(card) for card in call.response.get("cards", ())],
        "systemActions": [_kept_action(action) for action in call.response.get("systemActions", ())],
        "response": {"sha256": hashlib.sha256(call.payload).hexdigest(), "bytes": len(call.payload)},
    }  # fmt: skip
    content = {name: ("evidence", data) for name, data in packed.items()}
    content[basis.policies_hash] = ("policies", basis.policies)
    content[basis.vocabularies_hash] = ("vocabularies", basis.vocabularies)
    return ledger.add(CALL, body, content=content, known_as=_names(call))


def patient_name(fhir_server: str, patient: str) -> str:
    """By which the ledger finds the newest entry with an assessment of this patient of this EHR."""
    return hashlib.sha256(f"{fhir_server.rstrip('/')}/Patient/{patient}".encode()).hexdigest()


def asked_of(body: Mapping[str, Any], terms: Terminology) -> Asked:
    """The question of an entry once more, its orders read with the given vocabularies."""
    question = body["question"]
    drafts = [(order["where"], order["resource"]) for order in question["orders"]]
    orders, _ = read_orders(drafts, terms, question["patient"], question["aliases"])
    as_of = question["asOf"]
    return Asked(
        question["patient"], orders, date.fromisoformat(question["today"]),
        date.fromisoformat(as_of) if as_of else None, question["policy"],
        # Entries made before orders could have days of their own name none.
        {order: date.fromisoformat(day) for order, day in question.get("days", {}).items()},
    )  # fmt: skip


def zone_of(body: Mapping[str, Any]) -> ZoneInfo | None:
    """The time zone of the site on the day."""
    zone = body["question"]["zone"]
    return ZoneInfo(zone) if zone else None


def evidence_of(body: Mapping[str, Any]) -> list[KeptEvidence]:
    """What an entry says of its evidence."""
    return msgspec.convert(body["evidence"], list[KeptEvidence])


def _question(call: Call) -> Json:
    asked = call.asked
    return {
        "patient": asked.patient,
        "today": asked.today.isoformat(),
        "asOf": asked.as_of.isoformat() if asked.as_of else None,
        "days": {order: day.isoformat() for order, day in asked.days.items()},
        "policy": asked.policy,
        "zone": call.zone.key if call.zone else None,
        "aliases": dict(call.aliases),
        "kinds": None if call.kinds is None else sorted(call.kinds),
        "orders": [
            {"where": order.reference, "sha256": _sha256(order.resource), "resource": least_of_order(order.resource)}
            for order in asked.orders
        ],
    }


def _sha256(resource: Mapping[str, Any]) -> str:
    """Of the order as it was sent, members in their order: proves which order it was without keeping its names."""
    return hashlib.sha256(json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _kept_card(card: Mapping[str, Any]) -> Json:
    kept: Json = {name: card[name] for name in _KEPT_OF_CARD if name in card}
    if suggestions := card.get("suggestions"):
        kept["suggestions"] = [
            {"uuid": each.get("uuid"), "label": each["label"], "actions": list(map(_kept_action, each["actions"]))}
            for each in suggestions
        ]
    return kept


def _kept_action(action: Mapping[str, Any]) -> Json:
    """What an action does to which resource; of the resource itself only what the service put into it."""
    resource = action.get("resource") or {}
    reference = action.get("resourceId") or f"{resource.get('resourceType', '')}/{resource.get('id', '')}"
    kept = {"type": action["type"], "description": action.get("description"), "reference": reference.rstrip("/")}
    extensions = [each for each in resource.get("extension", ()) if "coverage-information" in str(each.get("url"))]
    return kept | ({"extension": extensions} if extensions else {})


def _names(call: Call) -> Json:
    """By what the entry is looked up later: assessments, cards, suggestions, coverage assertions."""
    known: Json = {each.id: "assessment" for each in call.assessments if each.id}
    if call.assessments and call.fhir_server:
        known[patient_name(call.fhir_server, call.asked.patient)] = "patient"
    for card in call.response.get("cards", ()):
        known[card["uuid"]] = "card"
        known |= {each["uuid"]: "suggestion" for each in card.get("suggestions", ()) if each.get("uuid")}
    for action in call.response.get("systemActions", ()):
        known |= dict.fromkeys(_assertions(action), "assertion")
    return known


def _assertions(action: Mapping[str, Any]) -> list[str]:
    extensions = (action.get("resource") or {}).get("extension", ())
    parts = [part for each in extensions for part in each.get("extension", ())]
    return [part["valueString"] for part in parts if part.get("url") == "coverage-assertion-id"]
