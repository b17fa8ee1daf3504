"""Hook requests as EHRs build them from the example patients, and the application that answers them."""

from __future__ import annotations

import copy
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import fhir_profiles
from cds.rules.load import load_policies, packaged_policies
from cds.terminology import packaged
from hooks.routes.discovery import prefetch_templates

Json = dict[str, Any]
URL = "/cds-services/order-sign-therapy"
ORIGIN = "https://ehr.example.org"
TOKEN = "secret-token-4711"
EXAMPLES = ("f000", "f001", "f002", "f003", "f004")
HOOK_INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"


@lru_cache(maxsize=8)
def _example(name: str) -> tuple[str, ...]:
    path = Path(next(iter(fhir_profiles.__path__))) / "examples" / f"{name}.json"
    bundle = json.loads(path.read_text(encoding="utf-8"))
    return tuple(json.dumps(entry["resource"]) for entry in bundle["entry"])


def resources(name: str = "f000") -> list[Json]:
    """The resources of an example patient, fresh each time."""
    return [json.loads(text) for text in _example(name)]


def is_draft(resource: Json) -> bool:
    return (resource["resourceType"], resource.get("status")) == ("ServiceRequest", "draft")


def draft(name: str = "f000", **changes: Any) -> Json:
    """The draft order of an example patient, with some members changed, or (None) left out."""
    order = next(resource for resource in resources(name) if is_draft(resource))
    return {key: value for key, value in (order | changes).items() if value is not None}


@lru_cache(maxsize=1)
def templates() -> dict[str, str]:
    """The prefetch templates of discovery."""
    return prefetch_templates(load_policies([packaged_policies()], packaged()), packaged())


def searchset(*found: Json) -> Json:
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(found),
        "entry": [{"resource": resource} for resource in found],
    }


def _fits(resource: Json, template: str) -> bool:
    """Whether a search by category or code would return an Observation."""
    concepts = {"category": resource.get("category") or [], "code": [resource.get("code") or {}]}
    for pair in template.partition("?")[2].split("&"):
        name, _, wanted = pair.partition("=")
        if resource["resourceType"] == "Observation" and name in concepts:
            codes = {coding.get("code") for concept in concepts[name] for coding in concept.get("coding", [])}
            return not codes.isdisjoint(wanted.split(","))
    return True


def prefetch(record: list[Json]) -> Json:
    """Every key of discovery, satisfied from a record."""
    found: Json = {}
    for key, template in templates().items():
        kind = template.split("?")[0].split("/")[0]
        mine = [resource for resource in record if resource["resourceType"] == kind and _fits(resource, template)]
        found[key] = mine[0] if "?" not in template and mine else searchset(*mine)
    organizations = [resource for resource in record if resource["resourceType"] == "Organization"]
    return found | {"organizations": searchset(*organizations)}


def request(*orders: Json, name: str = "f000", record: list[Json] | None = None, **changes: Any) -> Json:
    """An order-sign request with everything prefetched; None takes a member out."""
    sent = resources(name) if record is None else record
    body: Json = {
        "hook": "order-sign",
        "hookInstance": HOOK_INSTANCE,
        "context": {
            "userId": "Practitioner/example",
            "patientId": name,
            "draftOrders": {
                "resourceType": "Bundle",
                "entry": [{"resource": order} for order in orders or (draft(name),)],
            },
        },
        "prefetch": prefetch([resource for resource in sent if not is_draft(resource)]),
    }
    return {key: value for key, value in (copy.deepcopy(body) | changes).items() if value is not None}


def with_context(body: Json, **changes: Any) -> Json:
    """A request with members of its context changed, or (None) left out."""
    context = {key: value for key, value in (body["context"] | changes).items() if value is not None}
    return body | {"context": context}


def with_prefetch(body: Json, **changes: Any) -> Json:
    """A request with prefetch values changed."""
    return body | {"prefetch": body["prefetch"] | changes}


def post(client: FlaskClient, body: object, url: str = URL) -> TestResponse:
    """POST as a browser's EHR does."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Origin": ORIGIN, "Content-Type": "application/json"}
    return client.post(url, data=payload, headers=headers)


def answered(client: FlaskClient, body: object) -> Json:
    """The response of a call that is answered with cards."""
    response = post(client, body)
    assert response.status_code == 200, response.get_data(as_text=True)
    answer: Json = response.get_json()
    return answer


def assessment(answer: Json, index: int = 0) -> Json:
    """What one order came out as; not the id, which is another one each time."""
    found: Json = answer["extension"]["example.therapy-cds.assessments"][index]
    return {name: value for name, value in found.items() if name != "id"}


def refused(response: TestResponse, status: int, code: str = "") -> Json:
    """Check that an answer is a clear refusal, and give back its one issue."""
    text = response.get_data(as_text=True)
    assert response.status_code == status, text
    assert response.content_type == "application/json"
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    outcome = response.get_json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert "cards" not in outcome
    (issue,) = outcome["issue"]
    assert issue["severity"] == "error"
    assert issue["details"]["text"]
    for secret in ("Traceback", 'File "', ".py", TOKEN):
        assert secret not in text
    if code:
        assert issue["details"]["coding"][0]["code"] == code
    result: Json = issue
    return result
