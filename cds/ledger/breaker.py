"""A pause before a database that is away: after some failures in a row nobody waits for it, and one asks now and then.

A frozen database costs each call seconds, and the worker a thread for as long; with all threads waiting, paths that
need no database would wait too. (pybreaker, which guards the FHIR servers, reckons by the wall clock and keeps a lock
during a call; neither will do here.)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

FAILURES = 3
PAUSE_SECONDS = 5.0
_AWAY = (OperationalError, InterfaceError, PoolTimeout, TimeoutError)


class NotAsked(TimeoutError):
    """The database has not answered lately, and is not asked now."""


class Breaker:
    """Shared by all that use one database in one process. Safe to use from several threads."""

    def __init__(self, pause: float = PAUSE_SECONDS, now: Callable[[], float] = time.monotonic) -> None:
        """After `FAILURES` failures in a row nobody is let through for `pause` seconds, then one at a time."""
        self._pause = pause
        self._now = now
        self._lock = threading.Lock()
        self._failures = 0
        self._again = 0.0
        self._on_trial = False

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Around one use of the database; NotAsked, at once, where it has not answered lately."""
        trial = self._admit()
        try:
            yield
        except _AWAY:
            self._failed(trial=trial)
            raise
        except SQLAlchemyError:
            self._answered()
            raise
        else:
            self._answered()
        finally:
            if trial:
                with self._lock:
                    self._on_trial = False

    def _admit(self) -> bool:
        """Whether this use is the one that tells if the database is back."""
        with self._lock:
            if self._failures < FAILURES:
                return False
            if self._on_trial or self._now() < self._again:
                raise NotAsked
            self._on_trial = True
            return True

    def _failed(self, *, trial: bool) -> None:
        with self._lock:
            self._failures += 1
            # What began before the pause and fails in it does not make it longer.
            if trial or self._failures == FAILURES:
                self._again = self._now() + self._pause

    def _answered(self) -> None:
        with self._lock:
            self._failures = 0
