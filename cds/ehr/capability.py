"""What a FHIR server says that it offers: its CapabilityStatement, fetched in the background and kept for a while.

No call ever waits for it. Until it is known, and where it cannot be had, everything is simply asked.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Executor
from dataclasses import dataclass

import msgspec
import requests

from cds.ehr.asking import Request, ask
from cds.ehr.breaker import Breaker
from cds.ehr.failure import Deadline, Failed

log = logging.getLogger(__name__)
KEPT_SECONDS = 3600.0
FAILED_SECONDS = 120.0
FETCH_SECONDS = 10.0


class _Resource(msgspec.Struct):
    type: str = ""


class _Interaction(msgspec.Struct):
    code: str = ""


class _Rest(msgspec.Struct):
    mode: str = "server"
    resource: list[_Resource] = []
    interaction: list[_Interaction] = []


class _Statement(msgspec.Struct):
    resourceType: str = ""  # noqa: N815 - FHIR's own name
    rest: list[_Rest] = []


@dataclass(frozen=True)
class Offer:
    """The resource types that a server offers, and whether it takes batches."""

    types: frozenset[str]
    batch: bool = False

    def lacks(self, kind: str) -> bool:
        """Whether the server says that it does not offer a type. One that does not even name Patient says nothing."""
        return "Patient" in self.types and kind not in self.types


NOTHING_KNOWN = Offer(frozenset())


def read_offer(body: bytes) -> Offer:
    """The offer of a CapabilityStatement; ValueError where it is none."""
    try:
        statement = msgspec.json.decode(body, type=_Statement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("it is no CapabilityStatement") from None
    if statement.resourceType != "CapabilityStatement":
        raise ValueError("it is no CapabilityStatement")
    served = [rest for rest in statement.rest if rest.mode == "server"]
    types = frozenset(resource.type for rest in served for resource in rest.resource if resource.type)
    return Offer(types, any(each.code == "batch" for rest in served for each in rest.interaction))


class Capability:
    """One server's offer, as it was last learnt."""

    def __init__(self, session: requests.Session, base: str, breaker: Breaker) -> None:
        """`base` is the server's base URL."""
        self._session = session
        self._base = base
        self._breaker = breaker
        self._lock = threading.Lock()
        self._offer = NOTHING_KNOWN
        self._until = 0.0
        self._fetching = False

    @property
    def offer(self) -> Offer:
        """What is known now."""
        return self._offer

    def refresh(self, pool: Executor) -> None:
        """Have it fetched in the background where it is not known, or no longer."""
        with self._lock:
            if self._fetching or time.monotonic() < self._until:
                return
            self._fetching = True
        try:
            pool.submit(self._fetch)
        except RuntimeError:  # the pool is being shut down
            self._fetching = False

    def _fetch(self) -> None:
        # Without a token: the statement is public, and this is nobody's call.
        request = Request(f"{self._base}/metadata", {"Accept": "application/fhir+json", "Accept-Encoding": "gzip"})
        offer, kept = NOTHING_KNOWN, FAILED_SECONDS
        try:
            offer, kept = (
                read_offer(ask(self._session, request, Deadline.after(FETCH_SECONDS), self._breaker)),
                KEPT_SECONDS,
            )
        except (Failed, ValueError) as problem:
            log.info("the CapabilityStatement of %s could not be read: %s", self._base, problem)
        finally:
            with self._lock:
                self._offer, self._until, self._fetching = offer, time.monotonic() + kept, False
