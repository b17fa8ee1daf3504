"""Signs an example patient's order against the service while the EHR has a fault."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hooks.sandbox.fault_proxy import Seen, faulty_server
from hooks.sandbox.faults import Chosen, access_to, change_prefetch, choose, kind_of
from hooks.sandbox.http import ask
from tests.hooks import calls

Json = dict[str, Any]


@dataclass(frozen=True)
class Signed:
    """What came of one order-sign: the answer, the seconds it took, and what the FHIR servers saw."""

    status: int
    body: Any
    seconds: float
    asked: Sequence[Seen] = ()
    elsewhere: Sequence[Seen] = ()

    @property
    def text(self) -> str:
        """All that a reader of the cards sees."""
        return "\n".join(f"{card['summary']}\n{card.get('detail', '')}" for card in self.body.get("cards", []))

    @property
    def assessment(self) -> Json:
        """What the order came out as; empty where the request was refused."""
        is_assessed = "example.therapy-cds.assessments" in self.body.get("extension", {})
        return calls.assessment(self.body) if is_assessed else {}

    @property
    def outcome(self) -> str:
        """The outcome; empty where the request was refused."""
        return str(self.assessment.get("outcome", ""))

    @property
    def met(self) -> set[str]:
        """The criteria that are met."""
        return {name for name, result in self.assessment.get("criteria", {}).items() if result == "met"}


def body_of(patient: str, faults: Sequence[Chosen], kind: str, proxy: str | None) -> Json:
    """An order-sign request that holds everything but what the service is to ask for, or what the fault changes."""
    body = calls.request(name=patient)
    templates = calls.templates() | {"organizations": "Organization?"}
    if any(fault.fault.prefetch for fault in faults):
        body["prefetch"] = change_prefetch(body["prefetch"], faults, templates)
    else:
        kept = {key: value for key, value in body["prefetch"].items() if kind not in ("*", kind_of(templates[key]))}
        body["prefetch"] = kept
    return body | (access_to(proxy, body["context"]["userId"]) if proxy else {})


def sign(service: str, upstream: str, patient: str, fault: str, kind: str, *, access: bool = True) -> Signed:
    """Sign with one fault of one resource type (`*`: of all)."""
    chosen = [choose(fault if kind == "*" else f"{fault}:{kind}")] if fault else []
    with faulty_server(upstream, chosen) as ehr:
        body = body_of(patient, chosen, kind, ehr.base if access else None)
        began = time.monotonic()
        answer = ask("POST", f"{service}{calls.URL}", body)
        spent = time.monotonic() - began
        return Signed(answer.status, answer.body, spent, tuple(ehr.seen), tuple(ehr.elsewhere))
