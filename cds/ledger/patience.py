"""Connections to PostgreSQL that do not wait for good.

The server bounds its own statements (`statement_timeout`), but one that is frozen or cut off says nothing at all, and
TCP notices nothing while the other machine's kernel still takes what is sent.
"""

from __future__ import annotations

from collections.abc import Generator
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

RV = TypeVar("RV")
# A little more than the server takes for itself, so that its own, clearer, answer comes first.
PATIENCE_SECONDS = 2.5


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when an answer takes longer than `PATIENCE_SECONDS`, with an OperationalError."""

    def wait(self, gen: PQGen[RV], *arguments: Any, **options: Any) -> RV:  # noqa: ANN401 - handed on as they come
        """What psycopg waits for (`Connection.wait`), but not for good."""
        try:
            return super().wait(_until(gen, monotonic() + PATIENCE_SECONDS), *arguments, **options)
        except _NoAnswer:
            self.close()  # what comes later, if anything, belongs to nobody
            raise psycopg.OperationalError("no answer in time") from None


class _NoAnswer(Exception):
    pass


def _until(gen: PQGen[RV], end: float) -> Generator[Any, Any, RV]:
    """The same steps as a generator of psycopg makes; each time that nothing has come the clock is looked at."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and monotonic() > end:
                raise _NoAnswer
            wanted = gen.send(ready)
    except StopIteration as done:
        found: RV = done.value
        return found
