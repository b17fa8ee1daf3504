"""One FHIR server over `requests`: searches within a deadline, paged on the same origin, never redirected.

The access token is sent to the server's own origin only, and is never part of a message, log or error.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import quote, urlencode, urljoin

import requests

from cds.ehr.answers import answer_of, check_kind
from cds.ehr.asking import Request, ask
from cds.ehr.batch import UnusableBatch, batch_of, kind_of, read_batch
from cds.ehr.failure import Deadline, Failed
from cds.ehr.origins import origin
from cds.ehr.reach import Reach
from cds.ehr.server import FhirServer
from cds.ehr.timed import TimedAdapter
from cds.fhir.bundles import Answer
from cds.model import EvidenceState, Resource

__all__ = ["Deadline", "Fetched", "FhirClient", "pooled_session"]

log = logging.getLogger(__name__)
MAX_PAGES = 40
PAGE_SIZE = 200
# Beyond this, proxies and servers begin to refuse an address; a search is then sent as a form.
MAX_URL = 1800
FORM = "application/x-www-form-urlencoded"
JSON = "application/fhir+json"
_SAFE = "/:?&=,$-_.~*"
_NO_POST = (404, 405, 501)
# These tell of a token or of a busy moment, not of what the server makes of a batch.
_NO_VERDICT = (401, 403, 429)
_NOT_OFFERED = frozenset((400, 404, 405, 410, 501))


@dataclass(frozen=True)
class Fetched:
    """What came of one search: its state, the resources so far, and in words why it is not whole.

    `absent`: the server answered as one that does not know such resources or searches.
    """

    state: EvidenceState
    resources: tuple[Resource, ...] = ()
    reason: str = ""
    absent: bool = False


def pooled_session(connections: int, reach: Reach | None = None) -> requests.Session:
    """A session whose connections are kept and shared between threads; no cookies, no proxies.

    `reach` says to which addresses they may lead; to any when it is None.
    """
    session = requests.Session()
    adapter = TimedAdapter(reach, pool_connections=8, pool_maxsize=connections)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.trust_env = False
    # The session is shared by all callers: a cookie set in one's answer must not travel with another's search.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    return session


class FhirClient:
    """One allowed FHIR server for one call, with that call's token (or none)."""

    def __init__(
        self,
        session: requests.Session,
        base: str,
        token: str | None,
        server: FhirServer | None = None,
        *,
        own_access: bool = True,
    ) -> None:
        """`base` is the FHIR base URL, checked against the allow-list by the caller; `server` is what calls share.

        `own_access`: whether the service's own access to the server, where it has one, may be used for this caller.
        """
        self._session = session
        self.base = base.rstrip("/")
        self._server = server or FhirServer(session, self.base)
        self._token = token or None
        self._backend = self._server.backend if own_access else None
        # The types for which the caller's token was refused and the service's own access is used.
        self._own: set[str] = set()

    def __repr__(self) -> str:
        """The base only: a token must not reach a log by way of a repr."""
        return f"FhirClient({self.base})"

    def lacks(self, kind: str) -> bool:
        """Whether the server says that it does not offer a resource type."""
        return self._server.capability.offer.lacks(kind)

    def learn(self, pool: Executor) -> None:
        """Have the server's CapabilityStatement fetched in the background, where it is not known yet."""
        if self._server.is_listed:
            self._server.capability.refresh(pool)

    @property
    def takes_batches(self) -> bool:
        """Whether several searches may be sent as one."""
        return self._server.takes_batches

    def batch(self, paths: Sequence[str], deadline: Deadline) -> Mapping[str, Answer | Failed]:
        """What searches and reads came to that were sent as one request: of a search, the first page.

        A path is left out where its entry tells nothing, where the service's own access has to be used for it,
        and where the batch came to nothing: `search` is for these.
        """
        paths = [path for path in paths if not (self._token and kind_of(path) in self._own)]
        backend = self._backend
        if len(paths) < 2:
            return {}
        try:
            token = self._token or (backend.token(deadline) if backend else None)
        except Failed:
            return {}  # each search will tell of it
        try:
            body = batch_of([_sized(path) for path in paths])
            parts = read_batch(self._send(token, self.base, deadline, body, JSON), paths)
        except (Failed, UnusableBatch) as problem:
            log.info("a batch of %d searches came to nothing: %s", len(paths), problem)
            if _is_verdict(problem):
                self._server.pause_batches()
            return {}
        found = {path: part for path, part in zip(paths, parts, strict=True) if part is not None}
        return {path: part for path, part in found.items() if not self._has_other_access(part)}

    def _has_other_access(self, part: Answer | Failed) -> bool:
        """Whether a search was refused that the service may make in its own name."""
        return self._backend is not None and isinstance(part, Failed) and part.status in (401, 403)

    def search(self, path: str, deadline: Deadline, first: Answer | Failed | None = None) -> Fetched:
        """All pages of a search, or a read; what could not be had is said in the state and the reason.

        `first`: what a batch brought of it already.
        """
        kind = kind_of(path)
        resources: list[Resource] = []
        try:
            if isinstance(first, Failed):
                raise first
            return self._pages(path, deadline, resources, first)
        except Failed as failure:
            log.info("%s could not be read: %s", kind, failure.reason)
            reason = f"{kind} could not be read: {failure.reason}"
            return Fetched(failure.state, tuple(resources), reason, absent=failure.status in _NOT_OFFERED)

    def _pages(self, path: str, deadline: Deadline, resources: list[Resource], at_hand: Answer | None) -> Fetched:
        kind = kind_of(path)
        first = f"{self.base}/{_sized(path)}"
        following: str | None = first
        seen: set[str] = set()
        problems: tuple[str, ...] = ()
        answer = Answer()
        while following is not None:
            url = following
            if url in seen or len(seen) >= MAX_PAGES:
                reason = "the pages of results go round in a circle" if url in seen else f"more than {MAX_PAGES} pages"
                return Fetched(EvidenceState.CUT, tuple(resources), f"{kind} was cut short: {reason}")
            seen.add(url)
            answer = at_hand if at_hand is not None and url is first else self._page(path, url, deadline)
            if answer.outcome:
                raise Failed(EvidenceState.FAILED, f"the server reported {answer.outcome}")
            resources += answer.resources
            problems += answer.problems
            following = self._next(url, answer)
        check_kind(kind, resources, is_read="?" not in path)
        if problems:
            return Fetched(EvidenceState.CUT, tuple(resources), f"{kind} is not whole: {problems[0]}")
        if answer.cut and len(seen) == 1:
            reason = f"{kind} was cut short: the server holds more than it sent"
            return Fetched(EvidenceState.CUT, tuple(resources), reason)
        return Fetched(EvidenceState.FETCHED, tuple(resources))

    def _next(self, url: str, answer: Answer) -> str | None:
        if answer.next_url is None:
            return None
        try:
            following = urljoin(url, answer.next_url)
        except ValueError:
            raise Failed(EvidenceState.CUT, "the address of the next page cannot be read") from None
        if origin(following) != origin(self.base):
            raise Failed(EvidenceState.CUT, "the next page lies on another server and was not asked for")
        return following

    def _page(self, path: str, url: str, deadline: Deadline) -> Answer:
        """The page at an address: that of the search itself, or one that follows."""
        kind, is_read = kind_of(path), "?" not in path
        is_first = url == f"{self.base}/{_sized(path)}"
        is_long = is_first and not is_read and len(url) > MAX_URL and self._server.takes_posts
        body = self._post(kind, path, url, deadline) if is_long else self._get(kind, url, deadline)
        return answer_of(body, is_read=is_read)

    def _post(self, kind: str, path: str, url: str, deadline: Deadline) -> bytes:
        """A search whose address would be too long, as a form; as a GET where the server takes no such form."""
        path = f"{path}&_count={PAGE_SIZE}"
        pairs = [pair.partition("=") for pair in path.partition("?")[2].split("&")]
        form = urlencode([(name, value) for name, _, value in pairs])
        try:
            return self._get(kind, f"{self.base}/{kind}/_search", deadline, form)
        except Failed as failure:
            if failure.status not in _NO_POST:
                raise
        body = self._get(kind, url, deadline)
        self._server.takes_posts = False
        return body

    def _get(self, kind: str, url: str, deadline: Deadline, form: str | None = None) -> bytes:
        """One answer: with the caller's token, and with the service's own access for what that does not give."""
        backend = self._backend
        if backend is None:
            return self._ask(self._token, url, deadline, form)
        refused: Failed | None = None
        if self._token and kind not in self._own:
            try:
                return self._ask(self._token, url, deadline, form)
            except Failed as failure:
                if failure.status not in (401, 403):
                    raise
                refused = failure
        try:
            token = backend.token(deadline)
        except Failed as failure:
            first = f"{refused.reason}; " if refused else ""
            raise Failed(failure.state, f"{first}backend access failed: {failure.reason}") from None
        self._own.add(kind)
        try:
            return self._ask(token, url, deadline, form)
        except Failed as failure:
            if failure.status != 401:
                raise
        backend.forget(token)
        return self._ask(backend.token(deadline), url, deadline, form)

    def _ask(self, token: str | None, url: str, deadline: Deadline, form: str | None) -> bytes:
        return self._send(token, url, deadline, form, FORM)

    def _send(self, token: str | None, url: str, deadline: Deadline, body: str | bytes | None, media: str) -> bytes:
        headers = {"Accept": JSON, "Accept-Encoding": "gzip", "Prefer": "handling=lenient"}
        if body is not None:
            headers["Content-Type"] = media
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return ask(self._session, Request(url, headers, body), deadline, self._server.breaker)


def _sized(path: str) -> str:
    """A search or a read as it is asked for, relative to the base.

    >>> _sized("Encounter?patient=f 0"), _sized("Patient/f000")
    ('Encounter?patient=f%200&_count=200', 'Patient/f000')
    """
    return quote(path, safe=_SAFE) + (f"&_count={PAGE_SIZE}" if "?" in path else "")


def _is_verdict(problem: Failed | UnusableBatch) -> bool:
    """Whether what became of a batch tells how the next would fare: not where the server was just not reached."""
    if isinstance(problem, UnusableBatch):
        return True
    if problem.state is EvidenceState.LATE:
        return problem.down
    return problem.status not in (0, *_NO_VERDICT) or problem.state is EvidenceState.CUT
