"""One FHIR server over `requests`: searches within a deadline, paged on the same origin, never redirected.

The access token is sent to the server's own origin only, and is never part of a message, log or error.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import quote, urljoin, urlsplit

import requests

from cds.ehr.timed import TimedAdapter
from cds.fhir.bundles import Answer, parse_answer
from cds.model import EvidenceState, Resource

log = logging.getLogger(__name__)
MAX_PAGES = 40
MAX_BYTES = 64 * 1024 * 1024
PAGE_SIZE = 200
CONNECT_SECONDS = 1.0
_SAFE = "/:?&=,$-_.~*"


@dataclass(frozen=True)
class Deadline:
    """The moment (on `time.monotonic`'s clock) by which an answer must be ready."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """So many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left; 0 when it has passed."""
        return max(0.0, self.at - time.monotonic())


@dataclass(frozen=True)
class Fetched:
    """What came of one search: its state, the resources so far, and in words why it is not whole."""

    state: EvidenceState
    resources: tuple[Resource, ...] = ()
    reason: str = ""


class _Failed(Exception):
    def __init__(self, state: EvidenceState, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


def pooled_session(connections: int) -> requests.Session:
    """A session whose connections are kept and shared between threads; no retries, no cookies, no proxies."""
    session = requests.Session()
    adapter = TimedAdapter(pool_connections=8, pool_maxsize=connections)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.trust_env = False
    # The session is shared by all callers: a cookie set in one's answer must not travel with another's search.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    return session


class FhirClient:
    """One allowed FHIR server for one call, with that call's token (or none)."""

    def __init__(self, session: requests.Session, base: str, token: str | None) -> None:
        """`base` is the FHIR base URL, checked against the allow-list by the caller."""
        self._session = session
        self.base = base.rstrip("/")
        self._headers = {"Accept": "application/fhir+json", "Prefer": "handling=lenient"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def __repr__(self) -> str:
        """The base only: a token must not reach a log by way of a repr."""
        return f"FhirClient({self.base})"

    def search(self, path: str, deadline: Deadline) -> Fetched:
        """All pages of a search, or a read; what could not be had is said in the state and the reason."""
        kind = path.split("?")[0].split("/")[0]
        resources: list[Resource] = []
        try:
            return self._pages(path, deadline, resources)
        except _Failed as failure:
            log.info("%s could not be read: %s", kind, failure.reason)
            return Fetched(failure.state, tuple(resources), f"{kind} could not be read: {failure.reason}")

    def _pages(self, path: str, deadline: Deadline, resources: list[Resource]) -> Fetched:
        kind = path.split("?")[0].split("/")[0]
        size = f"&_count={PAGE_SIZE}" if "?" in path else ""
        url: str | None = f"{self.base}/{quote(path, safe=_SAFE)}{size}"
        seen: set[str] = set()
        problems: tuple[str, ...] = ()
        answer = Answer()
        while url is not None:
            if url in seen or len(seen) >= MAX_PAGES:
                reason = "the pages of results go round in a circle" if url in seen else f"more than {MAX_PAGES} pages"
                return Fetched(EvidenceState.CUT, tuple(resources), f"{kind} was cut short: {reason}")
            seen.add(url)
            answer = self._get(url, deadline)
            if answer.outcome:
                raise _Failed(EvidenceState.FAILED, f"the server reported {answer.outcome}")
            resources += answer.resources
            problems += answer.problems
            url = self._next(url, answer)
        if problems:
            return Fetched(EvidenceState.CUT, tuple(resources), f"{kind} is not whole: {problems[0]}")
        if answer.cut and len(seen) == 1:
            return Fetched(
                EvidenceState.CUT,
                tuple(resources),
                f"{kind} was cut short: the server holds more than it sent",
            )
        return Fetched(EvidenceState.FETCHED, tuple(resources))

    def _next(self, url: str, answer: Answer) -> str | None:
        if answer.next_url is None:
            return None
        try:
            following = urljoin(url, answer.next_url)
        except ValueError:
            raise _Failed(EvidenceState.CUT, "the address of the next page cannot be read") from None
        if _origin(following) != _origin(self.base):
            raise _Failed(EvidenceState.CUT, "the next page lies on another server and was not asked for")
        return following

    def _get(self, url: str, deadline: Deadline) -> Answer:
        if deadline.left <= 0:
            raise _Failed(EvidenceState.LATE, "the time for this answer was used up")
        try:
            timeouts = (min(CONNECT_SECONDS, deadline.left), deadline.left)
            with self._session.get(
                url, headers=self._headers, timeout=timeouts, allow_redirects=False, stream=True
            ) as response:
                _check_status(response)
                return _parse(_body(response, deadline.at, time.monotonic))
        except requests.Timeout:
            raise _Failed(EvidenceState.LATE, "the FHIR server did not answer in time") from None
        except requests.RequestException as problem:
            if deadline.left <= 0:
                raise _Failed(EvidenceState.LATE, "the FHIR server's answer did not end in time") from None
            # The class only: a message may hold the URL, and with it who the patient is.
            raise _Failed(
                EvidenceState.FAILED, f"the FHIR server could not be reached ({type(problem).__name__})"
            ) from None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port; a user name in an address makes it another origin."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ("", None, None)
    return ("", None, None) if "@" in parts.netloc else (parts.scheme, parts.hostname, port)


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status == 200:
        return
    if status in (401, 403):
        raise _Failed(EvidenceState.REFUSED, f"the FHIR server refused it ({status})")
    if 300 <= status < 400:
        raise _Failed(
            EvidenceState.FAILED,
            f"the FHIR server sends elsewhere ({status}), and redirects are not followed",
        )
    raise _Failed(EvidenceState.FAILED, f"the FHIR server answered {status}")


def _body(response: requests.Response, end: float, now: Callable[[], float]) -> bytes:
    """The body, read piece by piece so that neither a slow drip nor an endless body costs more than agreed."""
    pieces: list[bytes] = []
    size = 0
    for piece in response.iter_content(65536):
        pieces.append(piece)
        size += len(piece)
        if now() > end:
            raise _Failed(EvidenceState.LATE, "the FHIR server's answer did not end in time")
        if size > MAX_BYTES:
            raise _Failed(EvidenceState.CUT, f"the FHIR server's answer is larger than {MAX_BYTES // 2**20} MiB")
    return b"".join(pieces)


def _parse(body: bytes) -> Answer:
    try:
        return parse_answer(body)
    except ValueError as problem:
        raise _Failed(EvidenceState.FAILED, f"the FHIR server's answer cannot be read: {problem}") from None
    except RecursionError:
        raise _Failed(EvidenceState.FAILED, "the FHIR server's answer is nested too deeply") from None
