"""The whole path against a FHIR server that may be anybody's: load what is ours, sign, tell, take away what is ours."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import requests

from hooks.sandbox.examples import Example, read_examples, transaction
from hooks.sandbox.http import ask, resources_in, session_for
from tests.hooks import calls

Json = dict[str, Any]
TAG = "https://therapy-cds.example/CodeSystem/tests"
SECONDS = 30.0
EXAMPLES = ("f000", "f001")


@dataclass
class Server:
    """A FHIR server with a token (or none), and in words what it could not do."""

    base: str
    token: str = ""
    could_not: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, body: Json | None = None) -> requests.Response:
        headers = {"Accept": "application/fhir+json", "Content-Type": "application/fhir+json"}
        headers |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        url = f"{self.base}/{path}".rstrip("/")
        with session_for(url) as session:
            return session.request(method, url, json=body, headers=headers, timeout=SECONDS, allow_redirects=False)

    def note(self, words: str) -> None:
        if words not in self.could_not:
            self.could_not.append(words)


@dataclass(frozen=True)
class Subject:
    """A patient to sign for: the id on the server, the draft order, and the outcome where it is known."""

    patient: str
    draft: Json
    outcome: str = ""


@dataclass(frozen=True)
class Result:
    """What came of one order."""

    subject: Subject
    status: int
    body: Json
    seconds: float


def renamed(example: Example, suffix: str) -> Example:
    """The example with ids of its own, marked by a tag so that anybody can see whose it is."""
    text = json.dumps([*example.record, *example.drafts])
    for resource in sorted((*example.record, *example.drafts), key=lambda item: -len(item["id"])):
        kind, name = resource["resourceType"], resource["id"]
        text = text.replace(f'"{kind}/{name}"', f'"{kind}/{name}-{suffix}"')
    found = [item | {"id": f"{item['id']}-{suffix}"} for item in json.loads(text)]
    tag = {"tag": [{"system": TAG, "code": suffix}]}
    record = tuple(item | {"meta": (item.get("meta") or {}) | tag} for item in found[: len(example.record)])
    return Example(example.name, f"{example.patient_id}-{suffix}", record, tuple(found[len(example.record) :]))


@contextlib.contextmanager
def subjects(server: Server) -> Iterator[list[Subject]]:
    """Our own patients, for as long as the block lasts; the server's own where nothing may be written."""
    suffix = secrets.token_hex(4)
    examples = [renamed(example, suffix) for example in read_examples() if example.name in EXAMPLES]
    written: list[Example] = []
    try:
        for example in examples:
            response = server.ask("POST", "", transaction(example))
            if response.status_code >= 300:
                server.note(f"a transaction was refused ({response.status_code}): its own patients are used")
                break
            written.append(example)
        usual = {"f000": "criteria-not-met", "f001": "criteria-met"}
        own = [Subject(example.patient_id, example.drafts[0], usual[example.name]) for example in written]
        yield own if len(own) == len(examples) else readable(server, examples[0].drafts[0])
    finally:
        for example in written:
            remove(server, example)


def readable(server: Server, draft: Json) -> list[Subject]:
    """A few patients that may be read, each with an order of ours that is never written anywhere."""
    response = server.ask("GET", "Patient?_count=3")
    if response.status_code != 200:
        server.note(f"patients cannot be searched ({response.status_code})")
        return []
    ids = [item["id"] for item in resources_in(response.json()) if item.get("resourceType") == "Patient"][:3]
    return [Subject(name, draft | {"subject": {"reference": f"Patient/{name}"}}) for name in ids]


def remove(server: Server, example: Example) -> None:
    """Take away what was written; what others refer to goes last, so some need a second try."""
    left = [f"{item['resourceType']}/{item['id']}" for item in example.record]
    for _ in range(4):
        left = [path for path in reversed(left) if server.ask("DELETE", path).status_code >= 300]
    for path in left:
        server.note(f"{path} could not be removed: please do (?_tag={TAG}|{example.patient_id.rpartition('-')[2]})")


def sign(service: str, server: Server, subject: Subject) -> Result:
    """Sign one order as an EHR that prefetches nothing and gives access to its server."""
    body: Json = {
        "hook": "order-sign",
        "hookInstance": calls.HOOK_INSTANCE,
        "fhirServer": server.base,
        "context": {
            "userId": "Practitioner/example",
            "patientId": subject.patient,
            "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": subject.draft}]},
        },
    }
    if server.token:
        body["fhirAuthorization"] = {
            "access_token": server.token, "token_type": "Bearer", "expires_in": 300, "scope": "system/*.read",
            "subject": "therapy-cds",
        }  # fmt: skip
    answer = ask("POST", f"{service}{calls.URL}", body)
    return Result(subject, answer.status, answer.body, answer.seconds)


def examine(server: Server, patient: str) -> None:
    """Run each search of discovery, and note what the server could not do."""
    for key, template in calls.templates().items():
        query = template.replace("{{context.patientId}}", patient)
        began = time.monotonic()
        response = server.ask("GET", f"{query}&_count=200" if "?" in query else query)
        spent = time.monotonic() - began
        if response.status_code != 200:
            server.note(f"{key}: the search was refused ({response.status_code})")
            continue
        if spent > 2:
            server.note(f"{key}: the search took {spent:.1f} s")
        bundle = response.json()
        if any(f"Patient/{patient}" not in json.dumps(item) for item in matches(bundle)):
            server.note(f"{key}: the search was not limited to the patient")
        if any(link.get("relation") == "next" for link in bundle.get("link") or []):
            server.note(f"{key}: the answer is in pages in spite of _count=200 (they are followed)")


def matches(bundle: Json) -> list[Json]:
    """The resources of a searchset that a search found; none for a single resource."""
    found = resources_in(bundle) if bundle.get("resourceType") == "Bundle" else []
    return [item for item in found if item.get("resourceType") not in ("Patient", "Organization")]
