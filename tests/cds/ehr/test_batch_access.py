"""Batches at a server to which the service has access of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from cds.ehr.backend import BackendClient
from cds.ehr.client import Deadline, FhirClient, pooled_session
from cds.ehr.gather import EhrSource
from cds.model import Evidence, EvidenceState
from tests.cds.ehr.batching import QUERIES, Ehr, entry, learnt, response
from tests.cds.ehr.misbehaving import TOKEN, Handler, Misbehaving, misbehaving
from tests.cds.ehr.test_backend import BACKEND_TOKEN, KEY

FETCHED = EvidenceState.FETCHED


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with pooled_session(8) as shared:
        yield shared


class Guarded(Ehr):
    """A server whose Procedures are for the service's own token only."""

    def __init__(self, guarded: tuple[str, ...] = ("Procedure",), token_status: int = 200) -> None:
        super().__init__(self._batch)
        self.guarded = guarded
        self.token_status = token_status

    def _batch(self, handler: Handler) -> None:
        asked = [each["request"]["url"].partition("?")[0] for each in json.loads(handler.server.seen[-1].body)["entry"]]
        is_own = handler.headers["Authorization"] == f"Bearer {BACKEND_TOKEN}"
        entries = [entry(kind, "403" if kind in self.guarded and not is_own else "200") for kind in asked]
        handler.reply(response(*entries))

    def __call__(self, handler: Handler) -> None:
        is_own = handler.headers.get("Authorization") == f"Bearer {BACKEND_TOKEN}"
        if handler.path == "/token":
            token = {"access_token": BACKEND_TOKEN, "token_type": "bearer", "expires_in": 300}
            handler.reply(token, self.token_status)
        elif handler.path.startswith(tuple(f"/fhir/{kind}?" for kind in self.guarded)) and not is_own:
            handler.reply({}, 403)
        else:
            super().__call__(handler)


def client_at(session: requests.Session, running: Misbehaving, token: str | None) -> FhirClient:
    """A client of a server to which the service has access of its own."""
    endpoint = f"{running.base.removesuffix('/fhir')}/token"
    backend = BackendClient(server=running.base, client_id="therapy-cds", key=KEY, token_endpoint=endpoint)
    return FhirClient(session, running.base, token, learnt(session, running.base, backend))


def gathered_twice(session: requests.Session, running: Misbehaving, token: str | None) -> tuple[Evidence, ...]:
    """Two rounds of one call."""
    client = client_at(session, running, token)
    with ThreadPoolExecutor(4) as pool:
        source = EhrSource("f000", {}, client, pool, Deadline.after(5))
        source.gather(QUERIES)
        return source.gather(QUERIES)


def test_the_services_own_access_is_used_when_an_entry_is_refused(session: requests.Session) -> None:
    with misbehaving(Guarded()) as running:
        evidence = gathered_twice(session, running, TOKEN)
        posts = [json.loads(seen.body) for seen in running.seen if seen.method == "POST" and seen.path == "/fhir"]
    assert [each.state for each in evidence] == [FETCHED] * 3
    assert [len(post["entry"]) for post in posts] == [3, 2], "what the token does not give is left out then"


def test_the_services_own_token_is_sent_when_the_caller_has_none(session: requests.Session) -> None:
    with misbehaving(Guarded()) as running:
        evidence = gathered_twice(session, running, None)
        paths = [seen.path for seen in running.seen if seen.method == "POST"]
    assert [each.state for each in evidence] == [FETCHED] * 3
    assert paths == ["/token", "/fhir", "/fhir"]


def test_no_batch_is_sent_when_too_few_searches_are_left_for_it(session: requests.Session) -> None:
    with misbehaving(Guarded(("Encounter", "Procedure"))) as running:
        evidence = gathered_twice(session, running, TOKEN)
        posts = [seen.path for seen in running.seen if seen.method == "POST"]
    assert [each.state for each in evidence] == [FETCHED] * 3
    assert posts.count("/fhir") == 1, "the first round's only"


def test_the_batch_is_not_blamed_when_the_token_endpoint_fails(session: requests.Session) -> None:
    with misbehaving(Guarded(token_status=500)) as running:
        client = client_at(session, running, None)
        with ThreadPoolExecutor(4) as pool:
            evidence = EhrSource("f000", {}, client, pool, Deadline.after(5)).gather(QUERIES)
        assert client.takes_batches
    assert all("the token endpoint answered 500" in each.reason for each in evidence)
