"""The bytes of a call: read up to a limit, and what is left of them taken off the wire before the answer."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DRAINED_AT_MOST = 256 * 2**20
DRAINING_SECONDS = 5.0
_PIECE = 2**18


def read_body(request: Request) -> bytes:
    """The whole body; RequestEntityTooLarge where it is longer than the application takes.

    A body sent in chunks names no length, and is only known to be too long once the limit is reached.
    """
    body = request.get_data(cache=False)
    if request.content_length is None and len(body) >= (request.max_content_length or len(body) + 1):
        raise RequestEntityTooLarge
    return body


class Drain:
    """Reads what is left of a body before the answer leaves.

    A server that answers in the middle of a body and hangs up shows the client a broken pipe where it should
    see the answer: 413, or 404. Bounded, so that nobody can keep a thread busy by sending without end.
    """

    def __init__(self, app: WSGIApplication) -> None:
        """Wrap an application."""
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the application does."""
        answer = self._app(environ, start_response)
        # Only where the server ends the stream by itself: elsewhere a read past the body would wait for ever.
        has_body = environ.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in environ
        if has_body and environ.get("wsgi.input_terminated"):
            _drain(environ)
        return answer


def _drain(environ: WSGIEnvironment) -> None:
    left, end = DRAINED_AT_MOST, time.monotonic() + DRAINING_SECONDS
    try:
        while left > 0 and time.monotonic() < end and (piece := environ["wsgi.input"].read(_PIECE)):
            left -= len(piece)
    except OSError:
        return
