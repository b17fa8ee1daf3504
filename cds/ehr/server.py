"""What is shared by all calls to one FHIR server: its breaker, what it offers, the service's own access to it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

import requests

from cds.ehr.backend import BackendClient, BackendTokens
from cds.ehr.breaker import Breaker
from cds.ehr.capability import Capability

MAX_UNLISTED = 32
# A server that refused or spoilt a batch gets no other for so long.
BATCH_PAUSE_SECONDS = 600.0


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
        batch: bool = False,
    ) -> None:
        """`tell` is called with each new state of the breaker. What it offers is learnt of listed servers only.

        `batch`: whether searches may be sent as a batch where the server offers that.
        """
        self.is_listed = is_listed
        self._batch = batch
        self._no_batch_until = 0.0
        self.base = base.rstrip("/")
        self.breaker = Breaker(self.base, tell)
        self.capability = Capability(session, self.base, self.breaker)
        self.backend = BackendTokens(session, backend) if backend else None
        # Until it refuses one that it then answers as a GET.
        self.takes_posts = True

    def __repr__(self) -> str:
        """The base only."""
        return f"FhirServer({self.base})"

    @property
    def takes_batches(self) -> bool:
        """Whether to send a batch now: it is wanted, the server offers it, and has not spoilt one lately."""
        return self._batch and self.capability.offer.batch and time.monotonic() >= self._no_batch_until

    def pause_batches(self) -> None:
        """No batches for a while: what they would bring is searched one by one."""
        self._no_batch_until = time.monotonic() + BATCH_PAUSE_SECONDS


class FhirServers:
    """The servers that are listed, and in development the last few on this machine that calls named."""

    def __init__(
        self,
        session: requests.Session,
        listed: Iterable[str] = (),
        backends: Iterable[BackendClient] = (),
        tell: Callable[[str, str], None] = lambda _server, _state: None,
        *,
        batch: bool = False,
    ) -> None:
        """`tell` is called with a listed server and each new state of its breaker; `batch`: see FhirServer."""
        self._session = session
        self._batch = batch
        self._tell = tell
        clients = {client.server: client for client in backends}
        self._listed = {base: self._make(base, clients.get(base)) for base in listed}
        self._others: OrderedDict[str, FhirServer] = OrderedDict()
        self._lock = threading.Lock()

    def _make(self, base: str, backend: BackendClient | None) -> FhirServer:
        def tell(state: str) -> None:
            self._tell(base, state)

        return FhirServer(self._session, base, backend, tell, is_listed=True, batch=self._batch)

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
