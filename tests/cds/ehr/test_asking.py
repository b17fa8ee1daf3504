"""Requests that are made again: only where it is safe, and only while there is time."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests

from cds.ehr import asking
from cds.ehr.client import Deadline, Fetched, FhirClient, pooled_session
from cds.model import EvidenceState
from tests.cds.ehr.misbehaving import (
    TOKEN,
    Answer,
    Handler,
    cut_off,
    encounter,
    hanging_up,
    in_turn,
    misbehaving,
    replying,
    searchset,
    slow_first_byte,
)

SEARCH = "Encounter?patient=f000"
GOOD = replying(searchset(encounter()))


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with pooled_session(8) as shared:
        yield shared


def asked(session: requests.Session, answer: Answer, seconds: float = 5.0, path: str = SEARCH) -> tuple[Fetched, int]:
    """What came of a search, and how many requests it took."""
    with misbehaving(answer) as server:
        fetched = FhirClient(session, server.base, TOKEN).search(path, Deadline.after(seconds))
        return fetched, len(server.seen)


@pytest.mark.parametrize(
    "first",
    [
        hanging_up,
        replying({}, 502),
        replying({}, 504),
        replying({}, 503, {"Retry-After": "0"}),
        replying({}, 429, {"Retry-After": "0"}),
        replying({}, 429, {"Retry-After": format_datetime(datetime.now(UTC) - timedelta(seconds=5))}),
    ],
)
def test_a_search_is_made_again_when_that_is_safe(session: requests.Session, first: Answer) -> None:
    fetched, requests_made = asked(session, in_turn(first, GOOD))
    assert (fetched.state, requests_made) == (EvidenceState.FETCHED, 2), fetched


@pytest.mark.parametrize(
    ("answer", "most"),
    [
        (hanging_up, 2),
        (replying({}, 502), 2),
        (replying({}, 503, {"Retry-After": "0"}), 3),
        (replying({}, 503), 1),
        (replying({}, 429), 1),
        (replying({}, 429, {"Retry-After": "soon"}), 1),
        (replying({}, 500), 1),
        (replying({}, 403), 1),
        (replying({}, 404), 1),
        (cut_off, 1),
        (replying(b"<html>"), 1),
    ],
)
def test_it_is_given_up_when_it_goes_on_failing(session: requests.Session, answer: Answer, most: int) -> None:
    fetched, requests_made = asked(session, answer)
    assert (requests_made, fetched.resources) == (most, ())
    assert fetched.reason


@pytest.mark.parametrize("pause", ["1", "3600", format_datetime(datetime.now(UTC) + timedelta(hours=1))])
def test_it_is_not_made_again_when_the_pause_does_not_fit_the_deadline(session: requests.Session, pause: str) -> None:
    began = time.monotonic()
    fetched, requests_made = asked(session, replying({}, 429, {"Retry-After": pause}), seconds=0.5)
    assert (fetched.state, requests_made) == (EvidenceState.FAILED, 1)
    assert "answered 429" in fetched.reason
    assert time.monotonic() - began < 0.4


def test_the_pause_is_kept_when_the_server_asks_for_one(session: requests.Session) -> None:
    began = time.monotonic()
    fetched, _ = asked(session, in_turn(replying({}, 503, {"Retry-After": "1"}), GOOD))
    assert fetched.state is EvidenceState.FETCHED
    assert 1.0 <= time.monotonic() - began < 1.6


def test_the_deadline_is_kept_when_the_second_try_is_slow(session: requests.Session) -> None:
    began = time.monotonic()
    fetched, _ = asked(session, in_turn(hanging_up, slow_first_byte(3)), seconds=0.5)
    assert fetched.state is EvidenceState.LATE
    assert time.monotonic() - began < 0.6


def _gzipped(body: bytes) -> Answer:
    return replying(gzip.compress(body), headers={"Content-Encoding": "gzip"})


def test_an_answer_is_read_when_it_is_compressed(session: requests.Session) -> None:
    seen: list[str] = []

    def answer(handler: Handler) -> None:
        seen.append(handler.headers["Accept-Encoding"])
        _gzipped(json.dumps(searchset(encounter())).encode())(handler)

    fetched, _ = asked(session, answer)
    assert (fetched.state, len(fetched.resources), seen) == (EvidenceState.FETCHED, 1, ["gzip"])


def test_an_answer_is_cut_off_when_it_is_small_but_holds_a_large_one(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "MAX_BYTES", 2**20)
    fetched, _ = asked(session, _gzipped(b" " * 2**25))
    assert fetched.state is EvidenceState.CUT
    assert "larger than 1 MiB" in fetched.reason


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("", None), ("-1", None), ("²", None), ("x" * 99, None)])
def test_the_pause_is_read_when_it_is_one(header: str, seconds: float | None) -> None:
    assert asking.retry_after(header) == seconds


# ------------------------------------------------------------------------------------------------ long searches

LONG = "Encounter?patient=f000&type=" + ",".join(f"{number}-7" for number in range(10_000, 10_300))


def test_a_search_is_sent_as_a_form_when_its_address_would_be_too_long(session: requests.Session) -> None:
    with misbehaving(GOOD) as server:
        fetched = FhirClient(session, server.base, TOKEN).search(LONG, Deadline.after(5))
        (seen,) = server.seen
    assert fetched.state is EvidenceState.FETCHED
    assert (seen.method, seen.path) == ("POST", "/fhir/Encounter/_search")
    assert seen.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert seen.headers["Authorization"] == f"Bearer {TOKEN}"
    assert seen.body.startswith("patient=f000&type=10000-7%2C10001-7")
    assert seen.body.endswith("&_count=200")


def test_the_next_page_is_a_get_when_the_first_was_a_form(session: requests.Session) -> None:
    def page(handler: Handler) -> None:
        is_first = handler.command == "POST"
        handler.reply(searchset(encounter(1 if is_first else 2), following="/fhir?page=2" if is_first else "", total=2))

    fetched, requests_made = asked(session, page, path=LONG)
    assert (fetched.state, len(fetched.resources), requests_made) == (EvidenceState.FETCHED, 2, 2)


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_long_search_is_a_get_when_the_server_takes_no_forms(session: requests.Session, status: int) -> None:
    def answer(handler: Handler) -> None:
        if handler.command == "POST":
            handler.reply({}, status)
        else:
            handler.reply(searchset(encounter()))

    with misbehaving(answer) as server:
        client = FhirClient(session, server.base, TOKEN)
        states = [client.search(LONG, Deadline.after(5)).state for _ in range(2)]
        methods = [seen.method for seen in server.seen]
    assert states == [EvidenceState.FETCHED] * 2
    assert methods == ["POST", "GET", "GET"], "it is remembered"


def test_the_refusal_is_told_when_a_form_is_refused(session: requests.Session) -> None:
    fetched, requests_made = asked(session, replying({}, 403), path=LONG)
    assert (fetched.state, requests_made) == (EvidenceState.REFUSED, 1)
