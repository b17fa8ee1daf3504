"""Answers of a FHIR server are held against what was asked for: no odd one is taken for "none found"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from cds.ehr.client import Deadline, FhirClient, pooled_session
from cds.model import EvidenceState
from tests.cds.ehr.misbehaving import TOKEN, encounter, misbehaving, replying, searchset

SEARCH, READ = "Encounter?patient=f000", "Patient/f000"
CAPABILITIES: dict[str, Any] = {"resourceType": "CapabilityStatement", "status": "active"}
GOAL = {"resourceType": "Goal", "id": "g1"}


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with pooled_session(4) as shared:
        yield shared


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        (SEARCH, None, "it is null"),
        (READ, None, "it is null"),
        (SEARCH, encounter(), "it is an Encounter where a searchset was due"),
        (SEARCH, CAPABILITIES, "it is a CapabilityStatement where a searchset was due"),
        (SEARCH, {"resourceType": "a b", "id": "x"}, "it is something else where a searchset was due"),
        (SEARCH, searchset(GOAL), "answered with a Goal where Encounter was asked for"),
        (READ, searchset(), "answered with nothing where Patient was asked for"),
        (READ, GOAL, "answered with a Goal where Patient was asked for"),
    ],
)
def test_the_search_fails_when_the_answer_is_one_to_another_question(
    session: requests.Session, path: str, body: object, says: str
) -> None:
    with misbehaving(replying(body)) as server:
        fetched = FhirClient(session, server.base, TOKEN).search(path, Deadline.after(5))
    assert fetched.state is EvidenceState.FAILED
    assert says in fetched.reason


@pytest.mark.parametrize(
    ("path", "body", "found"),
    [
        (SEARCH, searchset(), 0),
        (SEARCH, searchset(encounter(), GOAL), 2),
        (READ, {"resourceType": "Patient", "id": "f000"}, 1),
        (READ, searchset({"resourceType": "Patient", "id": "f000"}), 1),
    ],
)
def test_it_is_taken_when_it_holds_what_was_asked_for(
    session: requests.Session, path: str, body: object, found: int
) -> None:
    with misbehaving(replying(body)) as server:
        fetched = FhirClient(session, server.base, TOKEN).search(path, Deadline.after(5))
    assert (fetched.state, len(fetched.resources)) == (EvidenceState.FETCHED, found)
