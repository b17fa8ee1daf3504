"""Entries as the ledger keeps them, as far as a report reads them."""

from __future__ import annotations

from typing import Any

from cds.ledger.ledger import CALL, FEEDBACK, Entry

Json = dict[str, Any]
SYSTEM = "https://therapy-cds.example/CodeSystem/override-reasons"
WRONG, WILL_DO = (SYSTEM, "record-wrong"), (SYSTEM, "will-do")
DAY = "2026-03-10"


def row(criterion: str, result: str = "met", *, policy: str = "hip", missing: tuple[str, ...] = ()) -> Json:
    return {"id": criterion, "result": result, "policy": policy, "missing": list(missing), "says": f"{result} so"}


def assessed(*rows: Json, policy: str | None = "hip", order: str = "ServiceRequest/o", **more: Any) -> Json:
    told = {
        "order": order, "policy": policy, "policyVersion": "1" if policy else None, "adding": [],
        "outcome": "criteria-met", "criteria": list(rows), "gaps": [],
    }  # fmt: skip
    return {"id": f"assessment of {order}", "is": told | more}


def card(uuid: str, *criteria: str, order: str = "ServiceRequest/o") -> Json:
    about = {"davinci-crd.associated-resource": [{"reference": order}], "example.therapy-cds.criteria": list(criteria)}
    return {"uuid": uuid, "extension": about}


def call(
    number: int = 1, *assessments: Json, cards: tuple[Json, ...] = (), day: str = DAY, time: str = "12:00", **more: Any
) -> Entry:
    body = {
        "service": "order-sign-therapy", "client": "ehr", "milliseconds": 20.0, "prefetch": {}, "evidence": [],
        "assessments": list(assessments), "cards": list(cards),
    }  # fmt: skip
    return Entry(number, f"call-{number}", CALL, f"{day}T{time}:00.000000Z", body | more, "hash")


def said(number: int, *items: Json) -> Entry:
    return Entry(number, f"feedback-{number}", FEEDBACK, f"{DAY}T23:00:00.000000Z", {"items": list(items)}, "hash")


def overridden(uuid: str, *criteria: str, reason: tuple[str, str] | None = WRONG, **more: Any) -> Json:
    coding = {"reason": {"system": reason[0], "code": reason[1]}} if reason else {}
    return accepted(uuid, *criteria) | {"outcome": "overridden", "overrideReason": coding} | more


def accepted(uuid: str, *criteria: str, policy: str = "hip") -> Json:
    pairs = [{"policy": policy, "id": name} for name in criteria]
    return {"card": uuid, "outcome": "accepted", "criteria": pairs, "shown": f"{DAY}T12:00:00.000000Z"}
