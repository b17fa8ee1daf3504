"""Calls that were refused, on record too: who called which service, and what was wrong. Neither body nor patient.

CRD 2.2.1, found-37 asks for all calls and answers. An answer with cards never leaves without its entry; a refusal gives
no guidance, so it leaves all the same where the ledger is away, and the log tells. Who is not known gets no entry.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from flask import Flask, Response, g, request

from cds.errors import CdsError, LedgerUnavailable
from cds.ledger.ledger import REFUSAL, Ledger

log = logging.getLogger(__name__)
Json = dict[str, Any]
MOST_A_MINUTE = 60
MINUTE = 60.0
UNKNOWN = "unknown"
# 401: nobody is known who called. 503: the ledger itself, or another system, is away; the caller tries again.
_NOT_KEPT = frozenset((401, 503))
_MOST_OF_PLACE = 200
_IN_NO_PLACE = re.compile(r"[^\w.\[\]-]", re.ASCII)


class _Envelope(msgspec.Struct):
    hook: msgspec.Raw = msgspec.Raw()
    instance: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="hookInstance")


class Refusals:
    """Puts refusals on record, of each client so many a minute in this process; the others are counted in the next."""

    def __init__(self, ledger: Ledger, now: Callable[[], float] = time.monotonic) -> None:
        """`now` gives seconds that only go forward."""
        self._ledger = ledger
        self._now = now
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[float, int]] = {}
        self._left_out: dict[str, int] = {}

    def add(self, client: str, body: Callable[[], Json]) -> None:
        """Put one refusal on record, if there is still room; a ledger that is away is logged. `body` gives it."""
        more = self._admitted(client)
        if more is None:
            return
        try:
            self._ledger.add(REFUSAL, {"client": client} | body() | ({"more": more} if more else {}))
        except LedgerUnavailable as problem:
            log.warning("a refusal of %s is on no record: %s", client, problem.what)
            with self._lock:
                self._left_out[client] = self._left_out.get(client, 0) + more + 1

    def _admitted(self, client: str) -> int | None:
        """How many refusals of this client were left out before this one; None where it is left out as well."""
        with self._lock:
            now = self._now()
            began, number = self._windows.get(client, (now, 0))
            if now - began >= MINUTE:
                began, number = now, 0
            if number >= MOST_A_MINUTE:
                self._left_out[client] = self._left_out.get(client, 0) + 1
                return None
            self._windows[client] = (began, number + 1)
            return self._left_out.pop(client, 0)


def register(app: Flask, ledger: Ledger, services: Collection[str], hooks: Collection[str]) -> None:
    """Put each refused call of a service on record, once it is plain what it is answered with."""
    refusals = Refusals(ledger)

    @app.after_request
    def _keep(response: Response) -> Response:
        status, path = response.status_code, request.path.rstrip("/").split("/")
        is_call = request.method == "POST" and path[1:2] == ["cds-services"] and len(path) == 3
        if is_call and status >= 400 and status not in _NOT_KEPT and "client" in g:
            service = path[2] if path[2] in services else UNKNOWN
            refusals.add(g.client.name, lambda: _told(service, status, hooks))
        return response


def _told(service: str, status: int, hooks: Collection[str]) -> Json:
    """What is kept of the refused call under way."""
    hook, instance = names_in(g.get("body", b""), hooks)
    error: CdsError | None = g.get("error")
    seconds = time.perf_counter() - g.began
    return {
        "service": service,
        "hook": hook,
        "hookInstance": instance,
        "status": status,
        "code": error.code if error else None,
        "where": place(error.where) if error and error.where else None,
        "began": (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(),
        "milliseconds": round(seconds * 1000, 1),
    }


def names_in(body: bytes, hooks: Collection[str]) -> tuple[str | None, str | None]:
    """The hook and hook instance of a body, where it can be read and they are one of `hooks` and a UUID.

    Anything else might be about somebody.
    """
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        hook, instance = (_text(raw) for raw in (envelope.hook, envelope.instance))
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None, None
    try:
        uuid = str(UUID(instance)) if len(instance) == 36 else None
    except ValueError:
        uuid = None
    return hook if hook in hooks else None, uuid


def _text(raw: msgspec.Raw) -> str:
    value = msgspec.json.decode(raw) if memoryview(raw).nbytes else None
    return value if isinstance(value, str) else ""


def place(where: str) -> str:
    """Where something was wrong, as a path and nothing else; the keys of prefetch are the client's own words.

    >>> place("context.draftOrders.entry[0].resource.subject"), place("prefetch.Jane Doe")
    ('context.draftOrders.entry[0].resource.subject', 'prefetch')
    """
    return "prefetch" if where.startswith("prefetch.") else _IN_NO_PLACE.sub("?", where[:_MOST_OF_PLACE])
