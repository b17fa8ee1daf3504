"""The same order gives the same assessment by prefetch, by searches against a real server, and by `evaluate`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from importlib.resources import as_file, files

import pytest

from cds.as_json import assessment_json
from cds.ehr.client import Deadline, FhirClient, pooled_session
from cds.ehr.gather import EhrSource
from cds.evaluate import evaluate_bundle
from cds.fhir.orders import read_orders
from cds.fhir.queries import queries_for, search_of
from cds.model import Fact, Need
from cds.service import Asked, Ports, Source, assess_orders
from tests.cds.build import Json, example, policies, terms

pytestmark = pytest.mark.integration
TODAY = date(2026, 1, 1)
EXAMPLES = ["f000", "f001", "f002", "f003", "f004"]


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


@pytest.fixture(scope="module")
def client(fhir_server: str) -> Iterator[FhirClient]:
    with pooled_session(8) as session:
        yield FhirClient(session, fhir_server, token=None)


def told(name: str, source: Source) -> list[Json]:
    drafts = [r for r in example(name) if r["resourceType"] == "ServiceRequest" and r["status"] == "draft"]
    orders, problems = read_orders([("draft", draft) for draft in drafts], terms(), name)
    assert not problems
    found = assess_orders(Asked(name, orders, TODAY), Ports(terms(), policies(), source))
    return [unordered(assessment_json(each)) for each in found]


def unordered(assessment: Json) -> Json:
    """An assessment in which evidence is a set, without notes of other patients' resources that were dropped.

    Servers send resources in their own order, and this one also sends other patients' Goals.
    """
    notes = [note for note in assessment["notes"] if "another patient" not in note["reason"]]
    criteria = [c | {"evidence": sorted(c["evidence"])} for c in assessment["criteria"]]
    return assessment | {"criteria": criteria, "notes": notes}


def by_search(name: str, client: FhirClient, pool: ThreadPoolExecutor) -> list[Json]:
    return told(name, EhrSource(name, {}, client, pool, Deadline.after(30)))


def by_prefetch(name: str, client: FhirClient, pool: ThreadPoolExecutor) -> list[Json]:
    """As an EHR would: every template filled, its answers sent along, and no server to ask."""
    prefetch: dict[str, bytes] = {}
    for key, query in queries_for([Need(fact) for fact in Fact], terms()).items():
        fetched = client.search(search_of(query, name), Deadline.after(30))
        held = [json.loads(bytes(resource.payload)) for resource in fetched.resources]
        single = "?" not in query.path
        whole = (
            held[0]
            if single
            else {
                "resourceType": "Bundle",
                "type": "searchset",
                "total": len(held),
                "entry": [{"resource": resource} for resource in held],
            }
        )
        prefetch[key] = json.dumps(whole).encode()
    people = [r for r in example(name) if r["resourceType"] in ("Organization", "Practitioner", "PractitionerRole")]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in people]}
    prefetch["organizations"] = json.dumps(bundle).encode()
    return told(name, EhrSource(name, prefetch, None, pool, Deadline.after(30)))


def by_evaluate(name: str) -> list[Json]:
    with as_file(files("fhir_profiles").joinpath("examples").joinpath(f"{name}.json")) as path:
        found = evaluate_bundle(path, policies(), terms(), TODAY, None, None)
    return [unordered(assessment_json(each)) for each in found]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_assessment_is_the_same_when_the_evidence_comes_by_another_way(
    name: str, client: FhirClient, pool: ThreadPoolExecutor
) -> None:
    evaluated = by_evaluate(name)
    assert evaluated
    assert all(assessment["outcome"] != "no-policy" for assessment in evaluated)
    assert by_search(name, client, pool) == evaluated
    assert by_prefetch(name, client, pool) == evaluated


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_assessment_is_the_same_when_only_half_of_it_was_prefetched(
    name: str, client: FhirClient, pool: ThreadPoolExecutor
) -> None:
    query = queries_for([Need(Fact.VISITS)], terms())["encounters"]
    held = client.search(search_of(query, name), Deadline.after(30)).resources
    page = [json.loads(bytes(resource.payload)) for resource in held[: len(held) // 2]]
    half = {"resourceType": "Bundle", "type": "searchset", "total": len(held), "entry": [{"resource": r} for r in page]}
    prefetch = {
        "encounters": json.dumps(half).encode(),
        "conditions": b"null",
        "goals": b'{"resourceType": "OperationOutcome"}',
    }
    assert told(name, EhrSource(name, prefetch, client, pool, Deadline.after(30))) == by_evaluate(name)
