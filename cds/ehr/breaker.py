"""A circuit breaker for each FHIR server: a dead one costs milliseconds, not a worker until the deadline.

pybreaker keeps the state. It holds its lock while a guarded call runs, which would make searches wait for each
other; so each request runs outside, and what came of it is told to it afterwards.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pybreaker

from cds.ehr.failure import Failed
from cds.model import EvidenceState

log = logging.getLogger(__name__)
FAILURES = 5
PAUSE_SECONDS = 10.0
Tell = Callable[[str], None]


class _Told(pybreaker.CircuitBreakerListener):
    """Tells of each new state."""

    def __init__(self, server: str, tell: Tell) -> None:
        self._server = server
        self._tell = tell

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:  # noqa: ANN401 - as pybreaker
        log.warning("the circuit breaker of %s is %s", self._server, new_state.name)
        self._tell(new_state.name)


class Breaker:
    """Closed; open after `FAILURES` failures in a row; half-open, with one request for trial, `PAUSE_SECONDS` later."""

    def __init__(self, server: str, tell: Tell = lambda _: None) -> None:
        """`tell` is called with each new state: `closed`, `open`, `half-open`."""
        self._kept = pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED)
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=FAILURES,
            reset_timeout=PAUSE_SECONDS,
            listeners=[_Told(server, tell)],
            state_storage=self._kept,
        )
        self._lock = threading.Lock()
        self._on_trial = False
        tell(self.state)

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        return self._breaker.current_state

    @contextlib.contextmanager
    def guarding(self) -> Iterator[None]:
        """Around one request: it is not made, but fails at once, where the server has not answered lately."""
        trial = self._admit()
        try:
            yield
        except Failed as failure:
            # What never was sent, or had hardly time, tells nothing of the server.
            if failure.down or failure.answered:
                self._report(answered=not failure.down)
            raise
        else:
            self._report(answered=True)
        finally:
            if trial:
                with self._lock:
                    self._on_trial = False

    def _admit(self) -> bool:
        """Whether this request is the trial that tells if the server is back."""
        with self._lock:
            if self.state == pybreaker.STATE_CLOSED:
                return False
            opened = self._kept.opened_at or datetime.now(UTC)
            again = opened + timedelta(seconds=self._breaker.reset_timeout)
            if self._on_trial or datetime.now(UTC) < again:
                when = f"{max(again, datetime.now(UTC)):%H:%M:%S} UTC"
                reason = f"the FHIR server has not answered lately and is asked again at {when}"
                raise Failed(EvidenceState.FAILED, reason)
            self._on_trial = True
            return True

    def _report(self, *, answered: bool) -> None:
        # Open and not yet due for a trial: what was asked before it opened changes nothing.
        with contextlib.suppress(pybreaker.CircuitBreakerError, _Down):
            self._breaker.call(_fine if answered else _fail)


class _Down(Exception):
    """The server did not answer."""


def _fine() -> None:
    return None


def _fail() -> None:
    raise _Down
