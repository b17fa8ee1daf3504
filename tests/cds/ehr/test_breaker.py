"""The circuit breaker of a FHIR server: a dead server costs milliseconds, and one that is back is asked again."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from cds.ehr import breaker as breaker_module
from cds.ehr.breaker import FAILURES
from cds.ehr.client import Deadline, Fetched, FhirClient, pooled_session
from cds.ehr.server import FhirServer, FhirServers
from cds.model import EvidenceState
from tests.cds.ehr.misbehaving import (
    TOKEN,
    Answer,
    Handler,
    encounter,
    hanging_up,
    misbehaving,
    replying,
    searchset,
    slow_first_byte,
)

PAUSE = 0.3


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[requests.Session]:
    monkeypatch.setattr(breaker_module, "PAUSE_SECONDS", PAUSE)
    with pooled_session(8) as shared:
        yield shared


def search(session: requests.Session, server: FhirServer, seconds: float = 2.0) -> Fetched:
    return FhirClient(session, server.base, TOKEN, server).search("Encounter?patient=f000", Deadline.after(seconds))


@pytest.mark.parametrize("answer", [replying({}, 500), replying({}, 503), hanging_up])
def test_it_opens_when_the_server_goes_on_failing(session: requests.Session, answer: Answer) -> None:
    with misbehaving(answer) as running:
        server = FhirServer(session, running.base)
        for _ in range(FAILURES):
            search(session, server)
        assert server.breaker.state == "open"
        asked = len(running.seen)
        began = time.monotonic()
        fetched = search(session, server)
        assert time.monotonic() - began < 0.05
        assert len(running.seen) == asked
    assert fetched.state is EvidenceState.FAILED
    assert "has not answered lately and is asked again at " in fetched.reason


def test_it_opens_when_the_server_does_not_answer_in_time(session: requests.Session) -> None:
    with misbehaving(slow_first_byte(3)) as running:
        server = FhirServer(session, running.base)
        for _ in range(FAILURES):
            assert search(session, server, 0.3).state is EvidenceState.LATE
        assert server.breaker.state == "open"


def test_it_opens_when_nobody_listens(session: requests.Session) -> None:
    server = FhirServer(session, "http://127.0.0.1:9/fhir")
    for _ in range(FAILURES):
        search(session, server)
    assert server.breaker.state == "open"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429, 501])
def test_it_stays_closed_when_the_server_refuses(session: requests.Session, status: int) -> None:
    with misbehaving(replying({}, status)) as running:
        server = FhirServer(session, running.base)
        for _ in range(3 * FAILURES):
            search(session, server)
        assert server.breaker.state == "closed"


def test_it_stays_closed_when_there_was_hardly_time_for_an_answer(session: requests.Session) -> None:
    with misbehaving(slow_first_byte(3)) as running:
        server = FhirServer(session, running.base)
        for _ in range(2 * FAILURES):
            search(session, server, 0.05)
        assert server.breaker.state == "closed"


def test_it_stays_closed_when_one_kind_of_resource_fails_among_others(session: requests.Session) -> None:
    def answer(handler: Handler) -> None:
        handler.reply(searchset(), 500 if "Goal" in handler.path else 200)

    with misbehaving(answer) as running:
        server = FhirServer(session, running.base)
        client = FhirClient(session, server.base, TOKEN, server)
        for kind in ("Goal", "Encounter") * (2 * FAILURES):
            client.search(f"{kind}?patient=f000", Deadline.after(2))
        assert server.breaker.state == "closed"


def _opened(session: requests.Session, base: str, told: list[str]) -> FhirServer:
    server = FhirServer(session, base, None, told.append)
    for _ in range(FAILURES):
        search(session, server)
    return server


def test_it_closes_again_when_the_trial_is_answered(session: requests.Session) -> None:
    healthy: list[bool] = []
    told: list[str] = []

    def answer(handler: Handler) -> None:
        handler.reply(searchset(encounter()), 200 if healthy else 500)

    with misbehaving(answer) as running:
        server = _opened(session, running.base, told)
        healthy.append(True)
        assert search(session, server).state is EvidenceState.FAILED
        time.sleep(PAUSE)
        assert search(session, server).state is EvidenceState.FETCHED
    assert told == ["closed", "open", "half-open", "closed"]


def test_it_stays_open_when_the_trial_fails(session: requests.Session) -> None:
    told: list[str] = []
    with misbehaving(replying({}, 500)) as running:
        server = _opened(session, running.base, told)
        time.sleep(PAUSE)
        assert "answered 500" in search(session, server).reason
        assert "not answered lately" in search(session, server).reason
    assert told == ["closed", "open", "half-open", "open"]


def test_it_stays_open_when_the_trial_has_hardly_time(session: requests.Session) -> None:
    told: list[str] = []
    healthy: list[bool] = []

    def answer(handler: Handler) -> None:
        (slow_first_byte(1) if healthy else replying({}, 500))(handler)

    with misbehaving(answer) as running:
        server = _opened(session, running.base, told)
        healthy.append(True)
        time.sleep(PAUSE)
        assert search(session, server, 0.1).state is EvidenceState.LATE
        assert told == ["closed", "open"], "that tells nothing, so that the next request is the trial"
        assert search(session, server).state is EvidenceState.FETCHED
    assert told == ["closed", "open", "half-open", "closed"]


def test_the_count_goes_on_when_a_request_between_had_hardly_time(session: requests.Session) -> None:
    with misbehaving(slow_first_byte(3)) as running:
        server = FhirServer(session, running.base)
        for seconds in (0.3, 0.05) * FAILURES:
            search(session, server, seconds)
        assert server.breaker.state == "open"


def test_one_request_only_is_the_trial_when_many_come_at_once(session: requests.Session) -> None:
    with misbehaving(slow_first_byte(0)) as running:
        server = FhirServer(session, running.base)
        running_answer = slow_first_byte(1)
        server.breaker._breaker.open()
        time.sleep(PAUSE)
        with misbehaving(running_answer) as slow, ThreadPoolExecutor(8) as pool:
            server.base = slow.base
            began = time.monotonic()
            states = [each.state for each in pool.map(lambda _: search(session, server, 3), range(8))]
            assert time.monotonic() - began < 2
            assert len(slow.seen) == 1
    assert sorted(states) == sorted([EvidenceState.FETCHED, *[EvidenceState.FAILED] * 7])


def test_searches_do_not_wait_for_each_other_when_they_are_guarded(session: requests.Session) -> None:
    with misbehaving(slow_first_byte(0.2)) as running, ThreadPoolExecutor(8) as pool:
        server = FhirServer(session, running.base)
        began = time.monotonic()
        list(pool.map(lambda _: search(session, server), range(8)))
        assert time.monotonic() - began < 0.6


def test_each_server_has_its_own_when_several_are_asked(session: requests.Session) -> None:
    told: list[tuple[str, str]] = []
    dead, alive = "http://127.0.0.1:9/fhir", "http://127.0.0.1:10/fhir"
    servers = FhirServers(session, [dead, alive], (), lambda server, state: told.append((server, state)))
    for _ in range(FAILURES):
        search(session, servers.at(f"{dead}/"))
    assert told == [(dead, "closed"), (alive, "closed"), (dead, "open")]
    assert servers.at(alive).breaker.state == "closed"


def test_servers_that_are_not_listed_are_few_when_calls_name_many(session: requests.Session) -> None:
    servers = FhirServers(session)
    first = servers.at("http://127.0.0.1:1/fhir")
    assert servers.at("http://127.0.0.1:1/fhir/") is first
    for port in range(2, 100):
        servers.at(f"http://127.0.0.1:{port}/fhir")
    assert servers.at("http://127.0.0.1:1/fhir") is not first


def test_no_token_or_patient_is_logged_when_it_opens(
    session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with misbehaving(replying({}, 500)) as running:
        server = _opened(session, running.base, [])
    said = "".join(record.getMessage() for record in caplog.records if record.name.startswith("cds"))
    assert "is open" in said
    assert TOKEN not in said
    assert "f000" not in said
    assert TOKEN not in repr(server)
