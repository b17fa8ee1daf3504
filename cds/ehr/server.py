"""What is shared by all calls to one FHIR server: its breaker, what it offers, the service's own access to it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable

import requests

from cds.ehr.backend import BackendClient, BackendTokens
from cds.ehr.breaker import Breaker
from cds.ehr.capability import Capability

MAX_UNLISTED = 32


class FhirServer:
    """One FHIR server, as it has been lately."""

    def __init__(
        self,
        session: requests.Session,
        base: str,
        backend: BackendClient | None = None,
        tell: Callable[[str], None] = lambda _: None,
        *,
        is_listed: bool = False,
    ) -> None:
        """`tell` is called with each new state of the breaker. What it offers is learnt of listed servers only."""
        self.is_listed = is_listed
        self.base = base.rstrip("/")
        self.breaker = Breaker(self.base, tell)
        self.capability = Capability(session, self.base, self.breaker)
        self.backend = BackendTokens(session, backend) if backend else None
        # Until it refuses one that it then answers as a GET.
        self.takes_posts = True

    def __repr__(self) -> str:
        """The base only."""
        return f"FhirServer({self.base})"


class FhirServers:
    """The servers that are listed, and in development the last few on this machine that calls named."""

    def __init__(
        self,
        session: requests.Session,
        listed: Iterable[str] = (),
        backends: Iterable[BackendClient] = (),
        tell: Callable[[str, str], None] = lambda _server, _state: None,
    ) -> None:
        """`tell` is called with a listed server and each new state of its breaker."""
        self._session = session
        self._tell = tell
        clients = {client.server: client for client in backends}
        self._listed = {base: self._make(base, clients.get(base)) for base in listed}
        self._others: OrderedDict[str, FhirServer] = OrderedDict()
        self._lock = threading.Lock()

    def _make(self, base: str, backend: BackendClient | None) -> FhirServer:
        return FhirServer(self._session, base, backend, lambda state: self._tell(base, state), is_listed=True)

    def at(self, base: str) -> FhirServer:
        """The server at this base URL. Whether it may be asked is not decided here."""
        base = base.rstrip("/")
        if (listed := self._listed.get(base)) is not None:
            return listed
        with self._lock:
            found = self._others.pop(base, None) or FhirServer(self._session, base)
            self._others[base] = found
            while len(self._others) > MAX_UNLISTED:
                self._others.popitem(last=False)
            return found
