"""What the service is measured beside: `python -m tests.bench.servers json|floor|fhir PORT [DELAY]`."""

from __future__ import annotations

import gc
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from flask import Flask, Response, request

from tests.bench.bodies import record_of

DELAY_SECONDS = 0.02
CARD = {"summary": "20 of 14 visits", "indicator": "info", "source": {"label": "constant"}}
EMPTY = b'{"resourceType": "Bundle", "type": "searchset"}'
ANSWER = json.dumps({"cards": [CARD]}).encode()


# --------------------------------------------------------------------------- Flask that reads all, and one card


def json_app() -> Flask:
    """Reads the whole body with Python's json and answers one constant card."""
    app = Flask("json")

    @app.post("/")
    def call() -> Response:
        json.loads(request.get_data())
        return Response(ANSWER, content_type="application/json")

    return _settled(app)


# ---------------------------------------------------------------------- the floor: only what rules need is read


class _Coding(msgspec.Struct):
    system: str = ""
    code: str = ""


class _Concept(msgspec.Struct):
    coding: list[_Coding] = []


class _Period(msgspec.Struct):
    start: str = ""


class _Resource(msgspec.Struct, rename="camel"):
    resource_type: str = ""
    id: str = ""
    status: str = ""
    code: _Concept | None = None
    period: _Period | None = None
    effective_date_time: str = ""


class _Entry(msgspec.Struct):
    resource: _Resource


class _Bundle(msgspec.Struct, rename="camel"):
    resource_type: str = ""
    entry: list[_Entry] = []


class _Request(msgspec.Struct):
    hook: str
    prefetch: dict[str, _Bundle | None] = {}


def floor_app() -> Flask:
    """Decodes a few fields of each resource into msgspec structs and answers one constant card."""
    app = Flask("floor")
    decoder = msgspec.json.Decoder(_Request)

    @app.post("/")
    def call() -> Response:
        decoder.decode(request.get_data())
        return Response(ANSWER, content_type="application/json")

    return _settled(app)


def _settled(app: Flask) -> Flask:
    """The collector as the service has it: the comparison is of the work, not of that."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    return app


# ------------------------------------------------------------------------------------ a FHIR server with a delay


class _Fhir(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: dict[str, bytes] = {}  # noqa: RUF012 - filled once, before it serves
    delay = DELAY_SECONDS

    def do_GET(self) -> None:
        time.sleep(self.delay)
        payload = self.answers.get(
            self.path.split("?")[0].strip("/"), b'{"resourceType": "Bundle", "type": "searchset"}'
        )
        # In one piece: headers and body apart would wait for the client's acknowledgement.
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: {len(payload)}\r\n\r\n"
        self.wfile.write(head.encode() + payload)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _FhirServer(ThreadingHTTPServer):
    request_queue_size = 64


def serve_fhir(port: int, delay: float = DELAY_SECONDS, size: int = 200) -> None:
    """Serve a record, a moment late."""
    _Fhir.delay = delay
    by_type: dict[str, list[Any]] = {}
    for resource in record_of(size):
        by_type.setdefault(resource["resourceType"], []).append(resource)
        _Fhir.answers[f"{resource['resourceType']}/{resource['id']}"] = json.dumps(resource).encode()
    for kind, found in by_type.items():
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": item} for item in found]}
        _Fhir.answers[kind] = json.dumps(bundle).encode()
    _FhirServer(("127.0.0.1", port), _Fhir).serve_forever()


def serve_flask(name: str, port: int) -> None:
    """Serve one of the applications as `therapy-cds serve` does the service."""
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    Granian(
        f"tests.bench.servers:{name}_app",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=8,
        factory=True,
        websockets=False,
        log_level=LogLevels.error,
    ).serve()


if __name__ == "__main__":
    if sys.argv[1] == "fhir":
        serve_fhir(int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else DELAY_SECONDS)
    else:
        serve_flask(sys.argv[1], int(sys.argv[2]))
