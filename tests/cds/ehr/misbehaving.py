"""A small HTTP server on loopback that behaves as badly as a test wants, and remembers what it was sent."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "secret-token-4711"
Json = dict[str, Any]


class Handler(BaseHTTPRequestHandler):
    """One connection; `answer` of the server does the talking."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.seen.append(Seen(self.path, dict(self.headers), time.monotonic(), self.command, body))
        # The client hangs up on those that are too slow.
        with contextlib.suppress(OSError):
            self.server.answer(self)
        if self.server.stopping.is_set():
            self.close_connection = True

    do_POST = do_GET  # noqa: N815 - as http.server names it

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def reply(self, body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Answer properly: with a JSON body, or with bytes as they are."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/fhir+json")
        self.send_header("Content-Length", str(len(payload)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def wait(self, seconds: float) -> bool:
        """Pause; whether the test is over."""
        return self.server.stopping.wait(seconds)


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    at: float
    method: str = "GET"
    body: str = ""


Answer = Callable[[Handler], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64  # twenty searches come at once

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.seen: list[Seen] = []
        self.stopping = threading.Event()

    def handle_error(self, *_: object) -> None:
        """A client that hung up is no error here."""


@dataclass
class Misbehaving:
    """A running server: its base URL, and the requests that it saw."""

    base: str
    seen: list[Seen] = field(default_factory=list)


@contextlib.contextmanager
def misbehaving(answer: Answer) -> Iterator[Misbehaving]:
    """Run a server that answers so until the block is left."""
    server = _Server(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Misbehaving(f"http://127.0.0.1:{server.server_address[1]}/fhir", server.seen)
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def encounter(number: int = 1) -> Json:
    """A resource."""
    return {"resourceType": "Encounter", "id": f"e{number}", "status": "finished"}


def searchset(*resources: Json, following: str = "", total: int | None = None) -> Json:
    """A page of results."""
    bundle: Json = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(resources) if total is None else total,
        "entry": [{"resource": resource, "search": {"mode": "match"}} for resource in resources],
    }
    if following:
        bundle["link"] = [{"relation": "self", "url": "x"}, {"relation": "next", "url": following}]
    return bundle


def replying(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Always the same answer."""
    return lambda handler: handler.reply(body, status, headers)


def in_turn(*answers: Answer) -> Answer:
    """One answer after the other; the last one again and again."""
    left = list(answers)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


def slow_first_byte(seconds: float) -> Answer:
    """An answer that is right, but late."""

    def answer(handler: Handler) -> None:
        if not handler.wait(seconds):
            handler.reply(searchset(encounter()))

    return answer


def slow_drip(handler: Handler) -> None:
    """A body of a thousand bytes, one every 20 ms."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    while not handler.wait(0.02):
        handler.wfile.write(b" ")


def slow_headers(handler: Handler) -> None:
    """Headers that never end, one byte every 20 ms."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not handler.wait(0.02):
        handler.wfile.write(b"x")
        handler.wfile.flush()


def slow_chunks(handler: Handler) -> None:
    """Chunks of one byte, one every 20 ms."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    while not handler.wait(0.02):
        handler.wfile.write(b"1\r\n \r\n")


def endless(handler: Handler) -> None:
    """A body without an end, as quickly as it goes."""
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    while not handler.server.stopping.is_set():
        handler.wfile.write(b" " * 65536)


def hanging_up(handler: Handler) -> None:
    """No answer at all."""
    handler.close_connection = True
    handler.connection.close()


def cut_off(handler: Handler) -> None:
    """Half of the body that was promised."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"resourceType": "Bundle"')
    handler.close_connection = True
