"""One request to a FHIR server: within the deadline, made again only where that is safe, guarded by its breaker.

Searches and reads change nothing on the server, so they may be made again: after a connection that was reset
before an answer, after 429 and 503 when the pause that the server asks for fits, after 502 and 504 once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random

from cds.ehr.breaker import Breaker
from cds.ehr.failure import Again, Deadline, Failed
from cds.ehr.timed import ForbiddenAddress
from cds.model import EvidenceState

MAX_BYTES = 64 * 1024 * 1024
# Longer than the second after which a lost first packet is sent again.
CONNECT_SECONDS = 1.5
# A time-out tells of the server's health only where it had at least so long.
FAIR_SECONDS = 0.25
_JITTER = wait_random(0.05, 0.2)
_RESET = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


@dataclass(frozen=True)
class Request:
    """What is asked. A body makes it a POST. The repr holds neither the address nor the headers."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: str | bytes | None = field(default=None, repr=False)


def ask(session: requests.Session, request: Request, deadline: Deadline, breaker: Breaker) -> bytes:
    """The body of a 200 answer; Failed with a state and a reason in words for everything else."""

    def once() -> bytes:
        if deadline.left <= 0:
            raise Failed(EvidenceState.LATE, "the time for this answer was used up")
        with breaker.guarding():
            return _send(session, request, deadline)

    def is_over(state: RetryCallState) -> bool:
        failure = _failure_of(state)
        return state.attempt_number >= failure.tries or state.upcoming_sleep >= deadline.left

    return Retrying(retry=retry_if_exception_type(Again), wait=_pause, stop=is_over, reraise=True)(once)


def _failure_of(state: RetryCallState) -> Again:
    failure = state.outcome.exception() if state.outcome else None
    return failure if isinstance(failure, Again) else Again(EvidenceState.FAILED, "")


def _pause(state: RetryCallState) -> float:
    return (_failure_of(state).pause or 0.0) + _JITTER(state)


def _send(session: requests.Session, request: Request, deadline: Deadline) -> bytes:
    given = deadline.left
    try:
        response = session.request(
            "GET" if request.body is None else "POST",
            request.url,
            data=request.body,
            headers=dict(request.headers),
            timeout=(min(CONNECT_SECONDS, given), given),
            allow_redirects=False,
            stream=True,
        )
    except requests.RequestException as problem:
        raise _unanswered(problem, deadline, given) from None
    with response:
        _check_status(response)
        try:
            return _body(response, deadline.at, time.monotonic)
        except requests.RequestException as problem:
            raise _unended(problem, deadline, given) from None


def _unanswered(problem: requests.RequestException, deadline: Deadline, given: float) -> Failed:
    """Why there was no answer. The class only: a message may hold the URL, and with it who the patient is."""
    if isinstance(problem, requests.Timeout) or deadline.left <= 0:
        return _late(given)
    causes = _causes(problem)
    if any(isinstance(cause, ForbiddenAddress) for cause in causes):
        reason = "the FHIR server's name leads to a private address, and those are not asked"
        return Failed(EvidenceState.FAILED, reason)
    reason = f"the FHIR server could not be reached ({type(problem).__name__})"
    is_down = isinstance(problem, requests.ConnectionError)
    kind = Again if any(isinstance(cause, _RESET) for cause in causes) else Failed
    return kind(EvidenceState.FAILED, reason, down=is_down)


def _unended(problem: requests.RequestException, deadline: Deadline, given: float) -> Failed:
    """Why an answer that began did not end. It is not asked for again: it may be as large as it is slow."""
    if isinstance(problem, requests.Timeout) or deadline.left <= 0:
        return _late(given)
    reason = f"the FHIR server could not be reached to the end of its answer ({type(problem).__name__})"
    return Failed(EvidenceState.FAILED, reason, down=True)


def _late(given: float) -> Failed:
    return Failed(EvidenceState.LATE, "the FHIR server did not answer in time", down=given >= FAIR_SECONDS)


def _causes(problem: BaseException) -> list[BaseException]:
    """A problem, and what it was made of: requests wraps what urllib3 wraps."""
    found: list[BaseException] = [problem]
    for each in found:
        inner = [*each.args, getattr(each, "reason", None)]
        found += [cause for cause in inner if isinstance(cause, BaseException) and cause not in found]
    return found


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status == 200:
        return
    failure = failure_of(status)
    pause = retry_after(response.headers.get("Retry-After", ""))
    if status in (502, 504) or (status in (429, 503) and pause is not None):
        tries = 2 if status in (502, 504) else 3
        raise Again(failure.state, failure.reason, status=status, down=failure.down).but(tries, pause)
    raise failure


def failure_of(status: int) -> Failed:
    """What an answer of a status other than 200 comes to, be it of one request or of an entry of a batch.

    >>> failure_of(404).reason
    'the FHIR server answered 404'
    """
    if status in (401, 403):
        return Failed(EvidenceState.REFUSED, f"the FHIR server refused it ({status})", status=status)
    if 300 <= status < 400:
        reason = f"the FHIR server sends elsewhere ({status}), and redirects are not followed"
        return Failed(EvidenceState.FAILED, reason, status=status)
    is_down = status >= 500 and status != 501
    return Failed(EvidenceState.FAILED, f"the FHIR server answered {status}", status=status, down=is_down)


def retry_after(value: str) -> float | None:
    """The seconds of a Retry-After header, which are written as such or as a date; None where it says neither.

    >>> retry_after("2"), retry_after("soon")
    (2.0, None)
    """
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _body(response: requests.Response, end: float, now: Callable[[], float]) -> bytes:
    """The body, read piece by piece so that neither a slow drip nor an endless body costs more than agreed.

    The pieces are counted as they are after decompression: a small body may hold a large one.
    """
    pieces: list[bytes] = []
    size = 0
    for piece in response.iter_content(65536):
        pieces.append(piece)
        size += len(piece)
        if now() > end:
            raise Failed(EvidenceState.LATE, "the FHIR server did not answer in time")
        if size > MAX_BYTES:
            raise Failed(EvidenceState.CUT, f"the FHIR server's answer is larger than {MAX_BYTES // 2**20} MiB")
    return b"".join(pieces)
