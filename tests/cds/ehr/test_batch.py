"""Several searches in one request: each entry by its own status, and single searches where a batch does not do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import requests

from cds.ehr import server as server_module
from cds.ehr.client import Deadline, FhirClient, pooled_session
from cds.ehr.gather import EhrSource
from cds.ehr.server import FhirServer
from cds.fhir.queries import queries_for
from cds.model import EvidenceState, Fact, Need
from cds.terminology import packaged
from tests.cds.ehr.batching import ERROR, KINDS, QUERIES, Ehr, Run, entry, gathered, learnt, resource, response
from tests.cds.ehr.misbehaving import (
    TOKEN,
    Answer,
    Handler,
    cut_off,
    hanging_up,
    misbehaving,
    replying,
    searchset,
    slow_drip,
)

Json = dict[str, Any]
FETCHED, FAILED, REFUSED = EvidenceState.FETCHED, EvidenceState.FAILED, EvidenceState.REFUSED


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with pooled_session(20) as shared:
        yield shared


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as shared:
        yield shared


Gather = Callable[..., Run]


@pytest.fixture
def gather(session: requests.Session, pool: ThreadPoolExecutor) -> Gather:
    return partial(gathered, session, pool)


def test_one_request_is_made_when_the_server_takes_batches(gather: Gather) -> None:
    run = gather(Ehr(replying(response(*map(entry, KINDS)))))
    assert run.states == [FETCHED] * 3
    assert [each.resources[0].type for each in run.evidence] == list(KINDS)
    assert all(each.milliseconds > 0 for each in run.evidence)
    (seen,) = run.seen
    assert (seen.method, seen.path) == ("POST", "/fhir")
    assert seen.headers["Authorization"] == f"Bearer {TOKEN}"
    assert seen.headers["Content-Type"] == "application/fhir+json"
    asked = json.loads(seen.body)
    assert (asked["resourceType"], asked["type"]) == ("Bundle", "batch")
    assert [each["request"] for each in asked["entry"]] == [
        {"method": "GET", "url": f"{kind}?patient=f000&_count=200"} for kind in KINDS
    ]


@pytest.mark.parametrize("interactions", [(), ("transaction",)])
def test_searches_go_one_by_one_when_the_server_offers_no_batch(gather: Gather, interactions: tuple[str, ...]) -> None:
    run = gather(Ehr(replying(response()), interactions))
    assert (run.states, run.methods) == ([FETCHED] * 3, ["GET"] * 3)


def test_searches_go_one_by_one_when_batches_are_not_wanted(
    session: requests.Session, pool: ThreadPoolExecutor
) -> None:
    with misbehaving(Ehr(replying(response()))) as running:
        server = learnt(session, running.base, batch=False)
        client = FhirClient(session, running.base, TOKEN, server)
        EhrSource("f000", {}, client, pool, Deadline.after(5)).gather(QUERIES)
        methods = [seen.method for seen in running.seen]
    assert server.capability.offer.batch
    assert methods == ["GET"] * 4


def test_a_single_search_is_no_batch_when_nothing_else_is_needed(gather: Gather, session: requests.Session) -> None:
    with misbehaving(Ehr(replying(response()))) as running, ThreadPoolExecutor(2) as pool:
        client = FhirClient(session, running.base, TOKEN, learnt(session, running.base))
        one = {"Goal": QUERIES["Goal"]}
        assert EhrSource("f000", {}, client, pool, Deadline.after(5)).gather(one)[0].state is FETCHED
        assert "POST" not in [seen.method for seen in running.seen]


@pytest.mark.parametrize(
    ("second", "state", "says"),
    [
        (entry("Procedure", "401 Unauthorized"), REFUSED, "refused it (401)"),
        (entry("Procedure", "403"), REFUSED, "refused it (403)"),
        (entry("Procedure", "404 Not Found"), FAILED, "answered 404"),
        (entry("Procedure", "410 Gone"), FAILED, "answered 410"),
        (entry("Procedure", "429 Too Many Requests"), FAILED, "answered 429"),
        (entry("Procedure", "500"), FAILED, "answered 500"),
        (entry("Procedure", "503 Service Unavailable"), FAILED, "answered 503"),
        (entry("Procedure", "301 Moved"), FAILED, "redirects are not followed"),
        (entry("Procedure", "403", resource=searchset()), REFUSED, "refused it (403)"),
        (entry("Procedure", resource=ERROR), FAILED, "the server reported error exception"),
        (entry("Procedure", resource=searchset(ERROR)), FAILED, "the server reported error exception"),
        (entry("Procedure", resource={"a": 1}), FAILED, "JSON without a resourceType"),
        (entry("Procedure", resource=resource("Procedure")), FAILED, "where a searchset was due"),
        (entry("Procedure", resource=None), FAILED, "it is null"),
        (entry("Procedure", resource=searchset(resource("Procedure"), total=2)), EvidenceState.CUT, "holds more"),
    ],
)
def test_an_entry_is_the_gap_that_the_search_would_be_when_it_fails(
    gather: Gather, second: Json, state: EvidenceState, says: str
) -> None:
    run = gather(Ehr(replying(response(entry("Encounter"), second, entry("Goal")))))
    assert run.states == [FETCHED, state, FETCHED]
    assert says in run.evidence[1].reason
    assert run.methods == ["POST"]


def test_another_patients_entry_is_told_when_the_server_mixes_them_up(gather: Gather) -> None:
    other = resource("Procedure") | {"subject": {"reference": "Patient/f001"}}
    run = gather(
        Ehr(replying(response(entry("Encounter"), entry("Procedure", resource=searchset(other)), entry("Goal"))))
    )
    assert run.states == [FETCHED, FAILED, FETCHED]
    assert "answered for another patient" in run.evidence[1].reason


@pytest.mark.parametrize(
    "second", [{}, {"response": {}}, {"response": {"status": "OK"}}, {"response": {"status": "200"}}]
)
def test_an_entry_is_searched_by_itself_when_it_tells_nothing(gather: Gather, second: Json) -> None:
    run = gather(Ehr(replying(response(entry("Encounter"), second, entry("Goal")))))
    assert (run.states, run.methods) == ([FETCHED] * 3, ["GET", "POST"])


@pytest.mark.parametrize(
    "body",
    [
        response(entry("Encounter"), entry("Procedure")),
        response(*map(entry, (*KINDS, "Task"))),
        response(*map(entry, reversed(KINDS))),
        response(
            entry("Encounter", resource=searchset() | {"link": [{"relation": "self", "url": "/fhir/Goal?patient=f0"}]}),
            entry("Procedure"),
            entry("Goal"),
        ),
        response(*map(entry, KINDS), type_="searchset"),
        response(),
        ERROR,
        {},
        None,
        b"<html>",
        {"resourceType": "Bundle", "type": "batch-response", "entry": [{"response": "200"}] * 3},
        b'{"entry": ' + b"[" * 100_000,
    ],
    ids=lambda body: str(body)[:12],
)
def test_all_are_searched_one_by_one_when_the_answer_is_not_one_to_the_batch(gather: Gather, body: object) -> None:
    run = gather(Ehr(replying(body)), calls=2)
    assert run.states == [FETCHED] * 3
    assert run.methods == ["GET"] * 6 + ["POST"], "and no second batch is tried"


@pytest.mark.parametrize(
    ("status", "posts"), [(400, 1), (404, 1), (405, 1), (500, 1), (501, 1), (401, 2), (403, 2), (429, 2)]
)
def test_all_are_searched_one_by_one_when_the_batch_is_refused(gather: Gather, status: int, posts: int) -> None:
    run = gather(Ehr(replying(ERROR, status)), calls=2)
    assert run.states == [FETCHED] * 3
    assert run.methods == ["GET"] * 6 + ["POST"] * posts, "what says nothing of batches is not held against them"


@pytest.mark.parametrize("batch", [hanging_up, cut_off])
def test_all_are_searched_one_by_one_when_the_connection_breaks(gather: Gather, batch: Answer) -> None:
    assert gather(Ehr(batch)).states == [FETCHED] * 3


def test_there_is_time_left_to_search_when_a_batch_is_late(gather: Gather) -> None:
    began = time.monotonic()
    run = gather(Ehr(slow_drip), seconds=2.0)
    assert run.states == [FETCHED] * 3
    assert time.monotonic() - began >= 1.0, "the batch had its half"
    assert not run.server.takes_batches


def test_the_batch_is_not_blamed_when_it_had_hardly_time(gather: Gather) -> None:
    assert gather(Ehr(slow_drip), seconds=0.2).server.takes_batches


def test_a_batch_is_tried_again_when_the_pause_is_over(gather: Gather, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "BATCH_PAUSE_SECONDS", 0.0)
    run = gather(Ehr(replying({}, 500)), calls=2)
    assert run.methods.count("POST") == 2


def test_a_fault_of_ours_costs_only_the_batch_when_it_happens(
    gather: Gather, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError(TOKEN)

    monkeypatch.setattr(FhirClient, "batch", broken)
    run = gather(Ehr(replying(response())))
    assert (run.states, run.methods) == ([FETCHED] * 3, ["GET"] * 3)
    assert "KeyError" in caplog.text
    assert TOKEN not in caplog.text


# ------------------------------------------------------------------------------------------------ pages


def test_the_next_pages_are_followed_when_an_entry_has_them(gather: Gather) -> None:
    first = searchset(resource("Procedure", 1), following="/fhir/Procedure?page=2", total=2)

    class Paged(Ehr):
        def __call__(self, handler: Handler) -> None:
            if "page=2" in handler.path:
                handler.reply(searchset(resource("Procedure", 2), total=2))
            else:
                super().__call__(handler)

    run = gather(Paged(replying(response(entry("Encounter"), entry("Procedure", resource=first), entry("Goal")))))
    assert run.states == [FETCHED] * 3
    assert [each.id for each in run.evidence[1].resources] == ["procedure1", "procedure2"]
    assert run.methods == ["GET", "POST"]


def test_the_token_stays_where_it_belongs_when_an_entrys_next_page_lies_elsewhere(gather: Gather) -> None:
    with misbehaving(replying(searchset())) as elsewhere:
        first = searchset(resource("Procedure"), following=f"{elsewhere.base}/Procedure?page=2", total=2)
        run = gather(Ehr(replying(response(entry("Encounter"), entry("Procedure", resource=first), entry("Goal")))))
        assert elsewhere.seen == []
    assert run.states == [FETCHED, EvidenceState.CUT, FETCHED]
    assert "lies on another server" in run.evidence[1].reason


def test_the_token_stays_where_it_belongs_when_the_batch_is_sent_elsewhere(gather: Gather) -> None:
    with misbehaving(replying(response(*map(entry, KINDS)))) as elsewhere:
        run = gather(Ehr(replying({}, 307, {"Location": f"{elsewhere.base}/"})))
        assert elsewhere.seen == []
    assert run.states == [FETCHED] * 3


# ------------------------------------------------------------------------------------------------ a real server


@pytest.mark.integration
def test_the_evidence_is_the_same_when_a_real_server_takes_a_batch(
    session: requests.Session, pool: ThreadPoolExecutor, fhir_server: str
) -> None:
    queries = queries_for([Need(fact) for fact in Fact], packaged())

    def found(server: FhirServer) -> list[tuple[str, EvidenceState, set[str]]]:
        client = FhirClient(session, fhir_server, None, server)
        evidence = EhrSource("f000", {}, client, pool, Deadline.after(20)).gather(queries)
        return [(each.query.key, each.state, {item.reference for item in each.resources}) for each in evidence]

    server = learnt(session, fhir_server)
    assert server.takes_batches
    one_by_one = found(learnt(session, fhir_server, batch=False))
    assert found(server) == one_by_one
    assert server.takes_batches, "none of its answers was spoilt"
    assert [key for key, state, _ in one_by_one if state is FETCHED]
