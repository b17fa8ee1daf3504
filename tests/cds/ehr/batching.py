"""A server that offers batches, and what comes of the calls that are made to it."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import requests

from cds.ehr.backend import BackendClient
from cds.ehr.client import Deadline, FhirClient
from cds.ehr.gather import EhrSource
from cds.ehr.server import FhirServer, FhirServers
from cds.model import Evidence, EvidenceState, Fact, Query
from tests.cds.ehr.misbehaving import TOKEN, Answer, Handler, Seen, misbehaving, searchset

Json = dict[str, Any]
KINDS = ("Encounter", "Procedure", "Goal")
QUERIES = {
    kind: Query(kind, kind, f"{kind}?patient={{patient}}", frozenset((Fact.VISITS,))) for kind in KINDS
}  # fmt: skip
ERROR = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}


def resource(kind: str, number: int = 1) -> Json:
    return {"resourceType": kind, "id": f"{kind.lower()}{number}", "subject": {"reference": "Patient/f000"}}


def entry(kind: str, status: str = "200 OK", **more: Any) -> Json:
    """An entry of a right batch-response."""
    found = {"resource": searchset(resource(kind))} if status.startswith("200") else {}
    return {"response": {"status": status}} | found | more


def response(*entries: Json, type_: str = "batch-response") -> Json:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries)}


class Ehr:
    """A server that offers batches and answers them as a test wants; single searches it answers rightly."""

    def __init__(self, batch: Answer, interactions: tuple[str, ...] = ("batch",)) -> None:
        self.batch = batch
        self.rest = {"mode": "server", "interaction": [{"code": code} for code in interactions]}

    def __call__(self, handler: Handler) -> None:
        if handler.path.endswith("/metadata"):
            handler.reply({"resourceType": "CapabilityStatement", "rest": [self.rest]})
        elif handler.command == "POST":
            self.batch(handler)
        else:
            kind = handler.path.removeprefix("/fhir/").partition("?")[0]
            handler.reply(searchset(resource(kind)))


def learnt(
    session: requests.Session, base: str, backend: BackendClient | None = None, *, batch: bool = True
) -> FhirServer:
    """A listed server whose offer is known, asked as with THERAPY_CDS_BATCH=auto or never."""
    server = FhirServers(session, [base], [backend] if backend else [], batch=batch).at(base)
    with ThreadPoolExecutor(1) as once:
        server.capability.refresh(once)
    return server


class Run:
    """What came of some calls: the evidence of the last one, and the requests beside /metadata."""

    def __init__(self, evidence: tuple[Evidence, ...], seen: list[Seen], server: FhirServer) -> None:
        self.evidence = evidence
        self.seen = [each for each in seen if not each.path.endswith("/metadata")]
        self.server = server

    @property
    def states(self) -> list[EvidenceState]:
        return [each.state for each in self.evidence]

    @property
    def methods(self) -> list[str]:
        return sorted(each.method for each in self.seen)


def gathered(session: requests.Session, pool: Executor, ehr: Ehr, seconds: float = 5.0, calls: int = 1) -> Run:
    """Search for Encounters, Procedures and Goals, each time in a call of its own."""
    evidence: tuple[Evidence, ...] = ()
    with misbehaving(ehr) as running:
        server = learnt(session, running.base)
        for _ in range(calls):
            client = FhirClient(session, running.base, TOKEN, server)
            evidence = EhrSource("f000", {}, client, pool, Deadline.after(seconds)).gather(QUERIES)
        return Run(evidence, list(running.seen), server)
