"""Evidence of one call: what the EHR sent, what is searched, side by side and before the deadline."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from cds.ehr.client import Deadline, FhirClient, pooled_session
from cds.ehr.gather import NO_SERVER, EhrSource
from cds.fhir.queries import queries_for
from cds.model import Evidence, EvidenceState, Fact, Need, Query
from cds.terminology import packaged
from tests.cds.ehr.misbehaving import (
    TOKEN,
    Handler,
    encounter,
    misbehaving,
    replying,
    searchset,
    slow_drip,
    slow_first_byte,
)

ENCOUNTERS = Query("encounters", "Encounter", "Encounter?patient={patient}", frozenset((Fact.VISITS,)))
OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "exception", "diagnostics": "x"}],
}
PATIENT = {"resourceType": "Patient", "id": "f000"}


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with pooled_session(20) as shared:
        yield shared


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as shared:
        yield shared


def source(
    pool: ThreadPoolExecutor,
    prefetch: dict[str, Any] | None = None,
    client: FhirClient | None = None,
    seconds: float = 5.0,
) -> EhrSource:
    raw = {
        key: value if isinstance(value, bytes) else json.dumps(value).encode()
        for key, value in (prefetch or {}).items()
    }
    return EhrSource("f000", raw, client, pool, Deadline.after(seconds))


def one(pool: ThreadPoolExecutor, sent: object = None, client: FhirClient | None = None) -> Evidence:
    prefetch = {} if sent is None else {"encounters": sent}
    (evidence,) = source(pool, prefetch, client).gather({"encounters": ENCOUNTERS})
    return evidence


def test_what_was_sent_is_used_when_it_is_whole(pool: ThreadPoolExecutor, session: requests.Session) -> None:
    with misbehaving(replying(searchset(encounter()))) as server:
        evidence = one(pool, searchset(encounter(), encounter(2)), FhirClient(session, server.base, TOKEN))
        assert server.seen == []
    assert (evidence.state, len(evidence.resources)) == (EvidenceState.SUPPLIED, 2)


@pytest.mark.parametrize(
    ("sent", "state", "says"),
    [
        (None, EvidenceState.NOT_ASKED, NO_SERVER),
        (b"null", EvidenceState.NULL, "is null"),
        (b" null", EvidenceState.NULL, "is null"),
        (OUTCOME, EvidenceState.FAILED, "an error of the EHR (error exception)"),
        (searchset(OUTCOME), EvidenceState.FAILED, "an error of the EHR"),
        (searchset(encounter(), OUTCOME), EvidenceState.CUT, "not whole: it holds an error of the EHR (error"),
        (searchset(encounter(), following="https://ehr.example.org/?page=2"), EvidenceState.CUT, "one page of more"),
        (searchset(encounter(), total=2), EvidenceState.CUT, "one page of more"),
        (searchset(encounter(), {"resourceType": 7}), EvidenceState.CUT, "not whole: entry 1"),
        (searchset(PATIENT), EvidenceState.FAILED, "holds Patient where Encounter was asked for"),
        (PATIENT, EvidenceState.FAILED, "holds Patient where Encounter was asked for"),
        (searchset({"resourceType": "Goal", "id": "g"}), EvidenceState.FAILED, "holds Goal where Encounter"),
        ({"hello": "world"}, EvidenceState.FAILED, "without a resourceType"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", EvidenceState.FAILED, "not a FHIR resource in JSON"),
        (searchset(), EvidenceState.SUPPLIED, ""),
        (searchset(encounter(), PATIENT), EvidenceState.SUPPLIED, ""),
        (encounter(), EvidenceState.SUPPLIED, ""),
    ],
)  # fmt: skip
def test_the_state_tells_what_was_sent_when_there_is_no_server(
    pool: ThreadPoolExecutor, sent: object, state: EvidenceState, says: str
) -> None:
    evidence = one(pool, sent)
    assert (evidence.state, says in evidence.reason) == (state, True), evidence
    assert evidence.whole is (not says)


OTHERS = encounter(2) | {"subject": {"reference": "https://ehr.example.org/fhir/Patient/f001"}}
OURS = encounter(3) | {"subject": {"reference": "Patient/f000"}}


def test_an_answer_tells_nothing_when_all_of_it_is_another_patients(
    pool: ThreadPoolExecutor, session: requests.Session
) -> None:
    with misbehaving(replying(searchset(OTHERS))) as server:
        searched = one(pool, None, FhirClient(session, server.base, None))
    assert (searched.state, searched.resources) == (EvidenceState.FAILED, ())
    assert "answered for another patient" in searched.reason
    sent = one(pool, searchset(OTHERS))
    assert (sent.state, "holds another patient's resources" in sent.reason) == (EvidenceState.FAILED, True)


def test_an_answer_is_used_when_only_some_of_it_is_another_patients(pool: ThreadPoolExecutor) -> None:
    assert one(pool, searchset(OTHERS, OURS)).state is EvidenceState.SUPPLIED


def test_an_answer_is_used_when_the_server_did_not_narrow_it_down_to_a_patient(pool: ThreadPoolExecutor) -> None:
    third = encounter(4) | {"subject": {"reference": "Patient/f002"}}
    assert one(pool, searchset(OTHERS, third)).state is EvidenceState.SUPPLIED


def test_an_answer_is_used_when_it_was_not_narrowed_down_to_one_patient(pool: ThreadPoolExecutor) -> None:
    third = encounter(4) | {"subject": {"reference": "Patient/third"}}
    assert one(pool, searchset(OTHERS, third)).state is EvidenceState.SUPPLIED


@pytest.mark.parametrize("sent", [None, b"null", OUTCOME, searchset(encounter(), total=2), PATIENT])
def test_it_is_searched_when_what_was_sent_is_not_whole(
    pool: ThreadPoolExecutor, session: requests.Session, sent: object
) -> None:
    with misbehaving(replying(searchset(encounter(), encounter(2)))) as server:
        evidence = one(pool, sent, FhirClient(session, server.base, TOKEN))
        assert server.seen[0].path.startswith("/fhir/Encounter?patient=f000")
    assert (evidence.state, len(evidence.resources)) == (EvidenceState.FETCHED, 2)


def test_the_part_that_was_sent_is_kept_when_the_search_fails(
    pool: ThreadPoolExecutor, session: requests.Session
) -> None:
    with misbehaving(replying(OUTCOME, 500)) as server:
        evidence = one(pool, searchset(encounter(), total=2), FhirClient(session, server.base, TOKEN))
    assert (evidence.state, len(evidence.resources)) == (EvidenceState.CUT, 1)


def test_searches_cost_what_one_costs_when_they_run_side_by_side(
    pool: ThreadPoolExecutor, session: requests.Session
) -> None:
    needs = [Need(fact) for fact in (Fact.COVERAGE, Fact.CONDITIONS, Fact.GOALS, Fact.PLANS, Fact.DOCUMENTS)]
    queries = queries_for(needs, packaged())
    assert len(queries) == 5

    def answer(handler: Handler) -> None:
        handler.wait(0.1)
        handler.reply(searchset())

    with misbehaving(answer) as server:
        began = time.monotonic()
        evidence = source(pool, client=FhirClient(session, server.base, TOKEN)).gather(queries)
        spent = time.monotonic() - began
    assert {each.state for each in evidence} == {EvidenceState.FETCHED}
    assert [each.query.key for each in evidence] == list(queries)
    assert 0.1 <= spent < 0.2


def test_the_deadline_is_kept_and_the_rest_used_when_one_search_is_late(
    pool: ThreadPoolExecutor, session: requests.Session
) -> None:
    def answer(handler: Handler) -> None:
        if "Goal" in handler.path:
            slow_drip(handler)
        else:
            handler.reply(searchset())

    queries = queries_for([Need(Fact.GOALS), Need(Fact.PLANS)], packaged())
    with misbehaving(answer) as server:
        began = time.monotonic()
        evidence = source(pool, client=FhirClient(session, server.base, TOKEN), seconds=0.3).gather(queries)
        spent = time.monotonic() - began
    assert {each.query.key: each.state for each in evidence} == {
        "goals": EvidenceState.LATE,
        "carePlans": EvidenceState.FETCHED,
    }
    assert spent < 0.4


def test_no_worker_stays_behind_when_the_deadline_has_passed(session: requests.Session) -> None:
    queries = queries_for([Need(fact) for fact in Fact], packaged())
    with misbehaving(slow_drip) as server, ThreadPoolExecutor(4) as few:
        evidence = source(few, client=FhirClient(session, server.base, TOKEN), seconds=0.2).gather(queries)
        began = time.monotonic()
        few.submit(time.monotonic).result(5)
        assert time.monotonic() - began < 0.2
    assert {each.state for each in evidence} == {EvidenceState.LATE}


@pytest.mark.parametrize(
    "reference",
    [
        "urn:uuid:3fa9c01b",
        "Organization/../../secret",
        "Organization/1?_include=x",
        "Organization/",
        "Organization/a b",
    ],
)
def test_nothing_is_asked_when_a_reference_is_not_one_of_the_server(
    session: requests.Session, pool: ThreadPoolExecutor, reference: str
) -> None:
    with misbehaving(replying(searchset())) as server:
        (evidence,) = source(pool, client=FhirClient(session, server.base, TOKEN)).read([reference])
        assert server.seen == []
    assert evidence.state is EvidenceState.FAILED
    assert "leads nowhere" in evidence.reason
    assert reference not in evidence.reason


def test_an_organization_is_found_by_its_address_when_the_ehr_sent_it(pool: ThreadPoolExecutor) -> None:
    url = "urn:uuid:3fa9c01b"
    sent = {"resourceType": "Bundle", "entry": [{"fullUrl": url, "resource": {"resourceType": "Organization"}}]}
    (evidence,) = source(pool, {"organizations": sent}).read([url])
    assert (evidence.state, len(evidence.resources)) == (EvidenceState.SUPPLIED, 1)


def test_one_search_is_told_as_failed_when_the_client_has_a_fault(
    pool: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(FhirClient):
        def search(self, path: str, deadline: Deadline, first: object = None) -> Any:
            raise KeyError(TOKEN)

    with pooled_session(1) as session:
        evidence = one(pool, client=Faulty(session, "http://127.0.0.1:9/fhir", TOKEN))
    assert evidence.state is EvidenceState.FAILED
    assert "fault in the service" in evidence.reason
    assert "KeyError" in caplog.text
    assert TOKEN not in caplog.text


def test_organizations_are_read_when_prefetch_does_not_hold_them(
    pool: ThreadPoolExecutor, session: requests.Session
) -> None:
    with misbehaving(replying({"resourceType": "Organization", "id": "b"})) as server:
        client = FhirClient(session, server.base, TOKEN)
        sent = {"organizations": searchset({"resourceType": "Organization", "id": "a"})}
        evidence = source(pool, sent, client).read(["Organization/a", "Organization/b"])
        assert [seen.path for seen in server.seen] == ["/fhir/Organization/b"]
    assert [(each.state, each.resources[0].id) for each in evidence] == [
        (EvidenceState.SUPPLIED, "a"),
        (EvidenceState.FETCHED, "b"),
    ]


@pytest.mark.parametrize("sent", [b"[]", b'"x"', b"null", b'{"resourceType": "Organization"}', b"[" * 100_000])
def test_organizations_are_not_asked_when_prefetch_holds_something_odd(pool: ThreadPoolExecutor, sent: bytes) -> None:
    (evidence,) = source(pool, {"organizations": sent}).read(["Organization/a"])
    assert evidence.state is EvidenceState.NOT_ASKED


def test_searches_are_late_when_no_worker_is_free(session: requests.Session) -> None:
    with misbehaving(slow_first_byte(0.5)) as server, ThreadPoolExecutor(1) as single:
        single.submit(time.sleep, 0.4)
        (evidence,) = source(single, client=FhirClient(session, server.base, TOKEN), seconds=0.1).gather(
            {"encounters": ENCOUNTERS}
        )
        assert server.seen == []
    assert evidence.state is EvidenceState.LATE
