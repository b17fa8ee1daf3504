"""Connections whose read time-out holds for a whole answer, not for each piece of it, and that lead where they may.

With a time-out for each piece, a server that sends a byte now and then, be it of a header or of the body,
keeps a thread for as long as it likes: a few of them, and no thread is left to ask anybody.
"""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from cds.ehr.reach import Reach


class ForbiddenAddress(NewConnectionError):
    """The server's name leads to an address that may not be asked. Nothing was sent there."""


class _Stream(io.RawIOBase):
    """What a socket receives until a moment; TimeoutError after it."""

    def __init__(self, sock: socket.socket, end: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._end = end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - any writable buffer
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Socket:
    """The one thing that http.client asks of a socket when it reads an answer."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock = sock
        self._end = time.monotonic() + seconds

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Stream(self._sock, self._end))


class _Whole:
    """Mixed into a connection: answers are read through a `_Stream`, and the address is checked when it is open."""

    timeout: float | None
    host: str
    port: int | None
    reach: Reach | None = None

    def response_class(self, sock: Any, *args: Any, **named: Any) -> HTTPResponse:  # noqa: ANN401 - as http.client
        timed: Any = sock if self.timeout is None else _Socket(sock, self.timeout)
        return HTTPResponse(timed, *args, **named)

    def _new_conn(self) -> socket.socket:
        """A connected socket; neither TLS nor HTTP has begun on it."""
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        if self.reach is not None and not self.reach.allows(self.host, self.port, sock.getpeername()[0]):
            sock.close()
            raise ForbiddenAddress(self, "its address may not be asked")  # type: ignore[arg-type]
        return sock


class _PlainConnection(_Whole, HTTPConnection):  # type: ignore[misc]
    pass


class _SecureConnection(_Whole, HTTPSConnection):  # type: ignore[misc]
    pass


def _pools(reach: Reach | None) -> dict[str, type[HTTPConnectionPool]]:
    """Pools of such connections, by scheme."""

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = type("PlainConnection", (_PlainConnection,), {"reach": reach})

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = type("SecureConnection", (_SecureConnection,), {"reach": reach})

    return {"http": PlainPool, "https": SecurePool}


class TimedAdapter(HTTPAdapter):
    """An adapter of `requests` whose read time-out is the time for a whole answer."""

    def __init__(self, reach: Reach | None = None, **named: Any) -> None:  # noqa: ANN401 - as requests has it
        """`reach`: where connections may lead; anywhere when None."""
        self._reach = reach
        super().__init__(**named)

    def init_poolmanager(self, *args: Any, **named: Any) -> None:  # noqa: ANN401 - as requests has it
        """Make pools of such connections."""
        super().init_poolmanager(*args, **named)
        self.poolmanager.pool_classes_by_scheme = _pools(self._reach)
