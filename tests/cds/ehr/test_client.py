"""The FHIR client against servers that misbehave: every failure is said, in time, and no token leaves its server."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from cds.ehr import asking
from cds.ehr import client as client_module
from cds.ehr.client import Deadline, Fetched, FhirClient, pooled_session
from cds.model import EvidenceState
from tests.cds.ehr.misbehaving import (
    TOKEN,
    Answer,
    Handler,
    cut_off,
    encounter,
    endless,
    hanging_up,
    misbehaving,
    replying,
    searchset,
    slow_chunks,
    slow_drip,
    slow_first_byte,
    slow_headers,
)

SEARCH = "Encounter?patient=f000"
IN_TIME = 0.3
TOLERANCE = 0.1
DEEP = b'{"resourceType": "Bundle", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "exception", "diagnostics": "x"}],
}


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with pooled_session(8) as shared:
        yield shared


def search(session: requests.Session, base: str, seconds: float = 5.0, path: str = SEARCH) -> Fetched:
    return FhirClient(session, base, TOKEN).search(path, Deadline.after(seconds))


@pytest.mark.parametrize(
    ("answer", "state", "says"),
    [
        (replying(OUTCOME, 401), EvidenceState.REFUSED, "refused it (401)"),
        (replying(OUTCOME, 403), EvidenceState.REFUSED, "refused it (403)"),
        (replying(OUTCOME, 404), EvidenceState.FAILED, "answered 404"),
        (replying(OUTCOME, 410), EvidenceState.FAILED, "answered 410"),
        (replying(OUTCOME, 429, {"Retry-After": "60"}), EvidenceState.FAILED, "answered 429"),
        (replying(OUTCOME, 500), EvidenceState.FAILED, "answered 500"),
        (replying(b"", 204), EvidenceState.FAILED, "answered 204"),
        (replying(OUTCOME), EvidenceState.FAILED, "the server reported error exception"),
        (replying(b"<html><body>Log in</body></html>"), EvidenceState.FAILED, "not a FHIR resource in JSON"),
        (replying(b'{"resourceType": "Bundle", "entry": ['), EvidenceState.FAILED, "not a FHIR resource in JSON"),
        (replying(b""), EvidenceState.FAILED, "not a FHIR resource in JSON"),
        (replying([]), EvidenceState.FAILED, "not a FHIR resource in JSON"),
        (replying({"hello": "world"}), EvidenceState.FAILED, "without a resourceType"),
        (replying({"resourceType": "Bundle", "entry": "none"}), EvidenceState.FAILED, "wrong shape"),
        (replying(b'{"a":' * 100_000), EvidenceState.FAILED, "cannot be read"),
        (replying(DEEP), EvidenceState.FAILED, "cannot be read"),
        (replying(searchset(encounter(), total=7)), EvidenceState.CUT, "the server holds more than it sent"),
        (replying(searchset(encounter(), {"no": "type"})), EvidenceState.CUT, "is not whole: entry 1"),
        (hanging_up, EvidenceState.FAILED, "could not be reached (ConnectionError)"),
        (cut_off, EvidenceState.FAILED, "could not be reached"),
        (replying(b"", 302, {"Location": "/elsewhere"}), EvidenceState.FAILED, "redirects are not followed"),
    ],
)  # fmt: skip
def test_the_failure_is_said_when_a_server_misbehaves(
    session: requests.Session, answer: Answer, state: EvidenceState, says: str
) -> None:
    with misbehaving(answer) as server:
        fetched = search(session, server.base)
    assert (fetched.state, says in fetched.reason) == (state, True), fetched
    assert fetched.reason.startswith("Encounter ")


@pytest.mark.parametrize("answer", [slow_first_byte(3), slow_drip, slow_headers, slow_chunks])
def test_the_deadline_is_kept_when_a_server_is_slow(session: requests.Session, answer: Answer) -> None:
    with misbehaving(answer) as server:
        began = time.monotonic()
        fetched = search(session, server.base, IN_TIME)
        spent = time.monotonic() - began
    assert fetched.state is EvidenceState.LATE
    assert spent < IN_TIME + TOLERANCE


def test_an_answer_is_cut_off_when_it_has_no_end(session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MAX_BYTES", 4 * 2**20)
    with misbehaving(endless) as server:
        fetched = search(session, server.base)
    assert fetched.state is EvidenceState.CUT
    assert "larger than 4 MiB" in fetched.reason


def test_the_deadline_is_kept_when_a_body_has_no_end(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "MAX_BYTES", 2**40)
    with misbehaving(endless) as server:
        began = time.monotonic()
        fetched = search(session, server.base, IN_TIME)
        assert time.monotonic() - began < IN_TIME + TOLERANCE
    assert fetched.state is EvidenceState.LATE


def test_nothing_is_asked_when_the_time_is_used_up(session: requests.Session) -> None:
    with misbehaving(replying(searchset(encounter()))) as server:
        assert search(session, server.base, 0).state is EvidenceState.LATE
        assert server.seen == []


def test_workers_are_free_again_when_the_deadline_of_their_searches_has_passed(session: requests.Session) -> None:
    with misbehaving(slow_drip) as server, ThreadPoolExecutor(4) as pool:
        late = [pool.submit(search, session, server.base, IN_TIME) for _ in range(4)]
        began = time.monotonic()
        pool.submit(time.monotonic).result()
        assert time.monotonic() - began < IN_TIME + TOLERANCE
        assert {future.result().state for future in late} == {EvidenceState.LATE}


# ------------------------------------------------------------------------------------------------------ pages


def test_all_pages_are_read_when_a_server_pages_by_one(session: requests.Session) -> None:
    def page(handler: Handler) -> None:
        number = int(handler.path.partition("page=")[2] or 1)
        following = f"{handler.path.partition('&page=')[0]}&page={number + 1}" if number < 7 else ""
        handler.reply(searchset(encounter(number), following=following, total=7))

    with misbehaving(page) as server:
        fetched = search(session, server.base)
    assert fetched.state is EvidenceState.FETCHED
    assert [resource.id for resource in fetched.resources] == [f"e{n}" for n in range(1, 8)]


@pytest.mark.parametrize("following", ["?page=2", "/fhir?page=2", "Encounter?page=2"])
def test_the_next_page_is_read_when_its_link_is_relative(session: requests.Session, following: str) -> None:
    def page(handler: Handler) -> None:
        second = "page=2" in handler.path
        handler.reply(searchset(encounter(2 if second else 1), following="" if second else following, total=2))

    with misbehaving(page) as server:
        fetched = search(session, server.base)
    assert (fetched.state, len(fetched.resources)) == (EvidenceState.FETCHED, 2)
    assert all(seen.headers["Authorization"] == f"Bearer {TOKEN}" for seen in server.seen)


def test_the_search_ends_when_pages_go_round_in_a_circle(session: requests.Session) -> None:
    with misbehaving(replying(searchset(encounter(), following="?page=2"))) as server:
        fetched = search(session, server.base)
        assert len(server.seen) == 2
    assert fetched.state is EvidenceState.CUT
    assert "circle" in fetched.reason


def test_the_search_ends_when_there_are_always_more_pages(session: requests.Session) -> None:
    def page(handler: Handler) -> None:
        handler.reply(searchset(encounter(), following=f"?page={time.monotonic_ns()}"))

    with misbehaving(page) as server:
        fetched = search(session, server.base)
        assert len(server.seen) == client_module.MAX_PAGES
    assert fetched.state is EvidenceState.CUT


def test_what_came_is_kept_when_a_later_page_fails(session: requests.Session) -> None:
    def page(handler: Handler) -> None:
        if "page=2" in handler.path:
            handler.reply(OUTCOME, 500)
        else:
            handler.reply(searchset(encounter(), following="?page=2"))

    with misbehaving(page) as server:
        fetched = search(session, server.base)
    assert (fetched.state, len(fetched.resources)) == (EvidenceState.FAILED, 1)


# ----------------------------------------------------------------------------------------------------- secrets


def test_no_other_server_is_asked_when_the_next_page_lies_there(session: requests.Session) -> None:
    with misbehaving(replying(searchset(encounter(2)))) as other:
        bundle = searchset(encounter(), following=f"{other.base}/Encounter?page=2")
        with misbehaving(replying(bundle)) as server:
            fetched = search(session, server.base)
        assert other.seen == []
    assert fetched.state is EvidenceState.CUT
    assert "another server" in fetched.reason


@pytest.mark.parametrize("link", ["//evil.example/fhir", "https://127.0.0.1/fhir", "http://[", "file:///etc/passwd"])
def test_no_other_server_is_asked_when_the_next_link_is_odd(session: requests.Session, link: str) -> None:
    with misbehaving(replying(searchset(encounter(), following=link))) as server:
        fetched = search(session, server.base)
        assert len(server.seen) == 1
    assert fetched.state is EvidenceState.CUT


def test_no_other_server_is_asked_when_the_next_link_names_a_user(session: requests.Session) -> None:
    def page(handler: Handler) -> None:
        host = handler.headers["Host"]
        handler.reply(searchset(encounter(), following=f"http://{host}@evil.example/fhir?page=2"))

    with misbehaving(page) as server:
        assert search(session, server.base).state is EvidenceState.CUT


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_token_leaves_its_server_when_it_redirects(session: requests.Session, status: int) -> None:
    with misbehaving(replying(searchset(encounter()))) as other:
        with misbehaving(replying(b"", status, {"Location": f"{other.base}/Encounter"})) as server:
            fetched = search(session, server.base)
        assert other.seen == []
    assert fetched.state is EvidenceState.FAILED


@pytest.mark.parametrize(
    "answer", [replying(OUTCOME, 401), replying(b"<html>"), hanging_up, slow_drip, replying(OUTCOME)]
)
def test_no_token_is_told_when_a_search_fails(
    session: requests.Session, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with misbehaving(answer) as server:
        client = FhirClient(session, server.base, TOKEN)
        fetched = client.search(SEARCH, Deadline.after(IN_TIME))
    assert TOKEN not in f"{caplog.text}{client!r}{client}{fetched!r}"
    assert "f000" not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("cds"))


def test_no_token_is_told_when_it_cannot_be_a_header(
    session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    fetched = FhirClient(session, "http://127.0.0.1:9/fhir", f"{TOKEN}\nX: y").search(SEARCH, Deadline.after(1))
    assert fetched.state is EvidenceState.FAILED
    assert TOKEN not in f"{caplog.text}{fetched!r}"


def test_no_authorization_is_sent_when_there_is_no_token(session: requests.Session) -> None:
    with misbehaving(replying(searchset(encounter()))) as server:
        FhirClient(session, server.base, None).search(SEARCH, Deadline.after(5))
        FhirClient(session, server.base, "").search(SEARCH, Deadline.after(5))
        assert ["Authorization" in seen.headers for seen in server.seen] == [False, False]


def test_no_cookie_travels_on_when_a_server_sets_one(session: requests.Session) -> None:
    with misbehaving(replying(searchset(encounter()), headers={"Set-Cookie": "session=of-one-user; Path=/"})) as server:
        search(session, server.base)
        search(session, server.base)
        assert ["Cookie" in seen.headers for seen in server.seen] == [False, False]


def test_the_path_stays_below_the_base_when_it_is_searched(session: requests.Session) -> None:
    with misbehaving(replying(searchset(encounter()))) as server:
        search(session, f"{server.base}/", path="Observation?patient=f000&code=a,b|c d#e")
        assert server.seen[0].path == "/fhir/Observation?patient=f000&code=a,b%7Cc%20d%23e&_count=200"


def test_nobody_is_reached_when_no_server_listens(session: requests.Session) -> None:
    fetched = search(session, "http://127.0.0.1:9/fhir")
    assert (fetched.state, fetched.resources) == (EvidenceState.FAILED, ())


def test_searches_cost_what_one_costs_when_they_run_side_by_side() -> None:
    with pooled_session(8) as shared, ThreadPoolExecutor(8) as pool, misbehaving(slow_first_byte(0.1)) as server:
        began = time.monotonic()
        running = [pool.submit(search, shared, server.base) for _ in range(5)]
        states = {future.result().state for future in running}
        spent = time.monotonic() - began
    assert states == {EvidenceState.FETCHED}
    assert 0.1 <= spent < 0.25


def test_the_connection_is_kept_when_one_search_follows_another() -> None:
    ports: set[int] = set()

    def answer(handler: Handler) -> None:
        ports.add(handler.client_address[1])
        handler.reply(searchset(encounter()))

    with pooled_session(8) as shared, misbehaving(answer) as server:
        for _ in range(5):
            assert search(shared, server.base).state is EvidenceState.FETCHED
    assert len(ports) == 1
