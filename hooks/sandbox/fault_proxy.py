"""A proxy before a real FHIR server that misbehaves as told, and a server elsewhere that no token may reach."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests

from hooks.sandbox.faults import OUTCOME, Around, Chosen, kind_of
from hooks.sandbox.http import session_for

Json = dict[str, Any]
FHIR_JSON = "application/fhir+json"
UPSTREAM_SECONDS = 20.0
DRIP_SECONDS = 0.05


@dataclass(frozen=True)
class Seen:
    """One request as it arrived: its path, and its Authorization header."""

    path: str
    authorization: str


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, handler: type[BaseHTTPRequestHandler], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.seen: list[Seen] = []
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that hung up is no error of ours."""


class _Proxy(_Server):
    def __init__(self, upstream: str, chosen: Sequence[Chosen], elsewhere: str, port: int) -> None:
        super().__init__(_ProxyHandler, port)
        self.upstream = upstream.rstrip("/")
        self.base = f"{self.url}{urlsplit(self.upstream).path}"
        self.chosen = tuple(chosen)
        self.elsewhere = elsewhere


_T = TypeVar("_T", bound=_Server)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing: the console is for the cards."""

    def remember(self) -> None:
        """Keep note of the request."""
        self.server.seen.append(Seen(self.path, self.headers.get("Authorization", "")))

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Answer with a body as it is."""
        self.send_response(status)
        for name, value in ({"Content-Type": FHIR_JSON} | dict(headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> bytes:
        """The request's body."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))


class _ElsewhereHandler(_Handler):
    def do_GET(self) -> None:
        """Answer as a server that would like to have the token."""
        self.remember()
        self.reply(200, b'{"resourceType": "Bundle", "type": "searchset"}')


class _ProxyHandler(_Handler):
    server: _Proxy

    def do_GET(self) -> None:
        """Answer a search or a read as the real server would, but for the faults."""
        self._answer(self.path)

    def do_POST(self) -> None:
        """A search by POST is a search; anything else has to be asked for one by one."""
        form = self.body().decode("utf-8", "replace")
        path = self.path.split("?")[0]
        if path.endswith("/_search"):
            self._answer(f"{path.removesuffix('/_search')}?{form}")
        else:
            self.remember()
            self.reply(405, json.dumps(OUTCOME).encode())

    def _answer(self, path: str) -> None:
        self.remember()
        query = path.removeprefix(urlsplit(self.server.upstream).path).lstrip("/")
        kind = kind_of(query)
        chosen = [one for one in self.server.chosen if one.befalls(kind) and kind != "metadata"]
        # The service hangs up on those that are too slow.
        with contextlib.suppress(OSError):
            if not any(one.fault.wire and WIRES[one.fault.wire](self, one.value) for one in chosen):
                self._forward(query, chosen)
        if self.server.stopping.is_set():
            self.close_connection = True

    def _forward(self, query: str, chosen: Sequence[Chosen]) -> None:
        response = self.upstream(query, chosen)
        headers = {"Content-Type": response.headers.get("Content-Type", FHIR_JSON)}
        try:
            body = json.loads(response.content.replace(self.server.upstream.encode(), self.server.base.encode()))
        except ValueError:
            self.reply(response.status_code, response.content, headers)
            return
        around = Around(f"{self.server.url}{self.path}", _patient_of(query), self.server.elsewhere)
        for one in chosen:
            if one.fault.page and response.status_code == 200:
                body = one.fault.page(body, around)
        self.reply(response.status_code, json.dumps(body).encode(), headers)

    def upstream(self, query: str, chosen: Sequence[Chosen]) -> requests.Response:
        """What the real server answers, its pages of the size that a fault has."""
        path, _, rest = query.partition("?")
        pairs = parse_qsl(rest, keep_blank_values=True)
        for size in (one.fault.count for one in chosen if one.fault.count is not None and rest):
            pairs = [pair for pair in pairs if pair[0] != "_count"] + ([("_count", str(size))] if size else [])
        names = ("Accept", "Authorization", "Prefer")
        headers = {name: self.headers[name] for name in names if self.headers[name]}
        url = f"{self.server.upstream}/{path}" + (f"?{urlencode(pairs)}" if pairs else "")
        with session_for(url) as session:
            return session.get(url, headers=headers, timeout=UPSTREAM_SECONDS)


def _patient_of(query: str) -> str:
    path, _, rest = query.partition("?")
    named = dict(parse_qsl(rest)).get("patient", "")
    return named.removeprefix("Patient/") or path.removeprefix("Patient/")


# ------------------------------------------------------------------------------------- ways to answer: True when done


def _status(handler: _ProxyHandler, value: float) -> bool:
    status = int(value)
    handler.reply(status, json.dumps(OUTCOME).encode(), {"Retry-After": "60"} if status in (429, 503) else None)
    return True


def _expire(handler: _ProxyHandler, value: float) -> bool:
    return len(handler.server.seen) > value and _status(handler, 401)


def _delay(handler: _ProxyHandler, value: float) -> bool:
    return handler.server.stopping.wait(value)


def _drip(handler: _ProxyHandler, _: float) -> bool:
    handler.send_response(200)
    handler.send_header("Content-Type", FHIR_JSON)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.server.stopping.wait(DRIP_SECONDS):
        handler.wfile.write(b" ")
    return True


def _cut(handler: _ProxyHandler, _: float) -> bool:
    handler.send_response(200)
    handler.send_header("Content-Type", FHIR_JSON)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"resourceType": "Bundle", "type": "searchset", "entry": [')
    handler.close_connection = True
    return True


def _html(handler: _ProxyHandler, _: float) -> bool:
    handler.reply(200, b"<html><body><h1>Please log in</h1></body></html>", {"Content-Type": "text/html"})
    return True


def _empty(handler: _ProxyHandler, _: float) -> bool:
    handler.reply(200, b"")
    return True


def _redirect(handler: _ProxyHandler, _: float) -> bool:
    handler.reply(302, b"", {"Location": f"{handler.server.elsewhere}{handler.path}"})
    return True


WIRES: dict[str, Callable[[_ProxyHandler, float], bool]] = {
    "status": _status,
    "expire-token": _expire,
    "delay": _delay,
    "slow-drip": _drip,
    "cut-body": _cut,
    "html": _html,
    "empty-body": _empty,
    "redirect": _redirect,
}


# ------------------------------------------------------------------------------------------------------------ running


@dataclass(frozen=True)
class FaultyServer:
    """A running proxy: its FHIR base URL, what it was asked, and what arrived at the server elsewhere."""

    base: str
    seen: list[Seen] = field(default_factory=list)
    elsewhere: list[Seen] = field(default_factory=list)


@contextlib.contextmanager
def faulty_server(upstream: str, chosen: Sequence[Chosen], port: int = 0) -> Iterator[FaultyServer]:
    """Run a proxy before the FHIR server `upstream` until the block is left."""
    with contextlib.ExitStack() as stack:
        elsewhere = stack.enter_context(_running(_Server(_ElsewhereHandler)))
        proxy = stack.enter_context(_running(_Proxy(upstream, chosen, elsewhere.url, port)))
        yield FaultyServer(proxy.base, proxy.seen, elsewhere.seen)


@contextlib.contextmanager
def _running(server: _T) -> Iterator[_T]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
