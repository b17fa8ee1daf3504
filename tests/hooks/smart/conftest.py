"""The app served over HTTP, an EHR that launches it, and a browser without a screen."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from hooks.app import Deployment, create_app
from hooks.sandbox.processes import free_port
from hooks.settings import Settings
from hooks.smart.app import Smart
from tests.hooks.calls import URL, request
from tests.hooks.smart.ehr import CLIENT, TestEhr, running_ehr

Json = dict[str, Any]


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@dataclass
class Place:
    """A served app, and the EHR that it knows."""

    url: str
    app: Flask
    ehr: TestEhr
    folder: Path
    browser: requests.Session = field(default_factory=requests.Session)

    @property
    def deployment(self) -> Deployment:
        found: Deployment = self.app.extensions["therapy-cds"]
        return found

    @property
    def smart(self) -> Smart:
        found = self.deployment.smart
        assert found is not None
        return found

    def sign(self, fhir_server: str | None = None, name: str = "f000") -> Json:
        """The answer to an order signed in that EHR (or another one)."""
        body = request(name=name, fhirServer=fhir_server or self.ehr.base)
        answer = requests.post(self.url + URL, json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def launch(self, launch: str | None = "launch-1", iss: str | None = None, **more: str) -> requests.Response:
        """What the browser shows in the end after the EHR opened the app."""
        parameters = {"iss": self.ehr.base if iss is None else iss, **more}
        if launch is not None:
            parameters["launch"] = launch
        return self.browser.get(f"{self.url}/smart/launch", params=parameters, timeout=30)

    def steps(self) -> tuple[str, str]:
        """The addresses on the way: the EHR's authorize endpoint, and the app's callback with its code."""
        first = self.browser.get(
            f"{self.url}/smart/launch", params={"iss": self.ehr.base, "launch": "x"}, allow_redirects=False, timeout=30
        )
        assert first.status_code == 302, first.text
        second = requests.get(first.headers["Location"], allow_redirects=False, timeout=30)
        return first.headers["Location"], second.headers["Location"]


def assessment_of(answer: Json, index: int = 0) -> str:
    """The id by which an answer's assessment is on record."""
    found: str = answer["extension"]["example.therapy-cds.assessments"][index]["id"]
    return found


@contextmanager
def serving(folder: Path, ehr: TestEhr, entry: Json | None = None, *, keys: Path, port: int = 0) -> Iterator[Place]:
    """The app over HTTP, with one EHR in its file."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    ehr.jwks_url = f"{url}/smart/.well-known/jwks.json"
    method = "public" if ehr.public else "private_key_jwt"
    row = {"name": "Test EHR", "iss": ehr.base, "client_id": CLIENT, "method": method} | (entry or {})
    file = folder / "servers.yaml"
    file.write_text(json.dumps({"servers": [row]}), encoding="utf-8")
    made = Settings(
        base_url=url, smart_servers=file, smart_keys=keys, database_url=f"sqlite:///{folder}/ledger.sqlite3"
    )  # fmt: skip
    app = create_app(made)
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    place = Place(url, app, ehr, folder)
    try:
        yield place
    finally:
        place.browser.close()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def keys_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One set of keys for all that is served: RSA keys take their time to be made."""
    return tmp_path_factory.mktemp("smart-keys")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Place]:
    """The app, served, and known to its EHR as a confidential client; its ledger is that of all tests."""
    with running_ehr() as ehr, serving(tmp_path_factory.mktemp("smart"), ehr, keys=keys_folder) as found:
        yield found


@pytest.fixture
def place(served: Place) -> Iterator[Place]:
    """The served app as it is after its start, an EHR without a fault, and a browser that was never here."""
    served.ehr.reset()
    discovery = served.smart.launcher._discovery
    discovery._kept.clear()
    discovery._keys.clear()
    served.browser = requests.Session()
    yield served
    served.browser.close()


@pytest.fixture
def place_of(tmp_path: Path, keys_folder: Path) -> Iterator[Callable[..., Place]]:
    """Gives an app and an EHR of one's own: with members of the EHR's entry in the file, or a public client."""
    with ExitStack() as stack:

        def make(*, public: bool = False, **entry: Any) -> Place:
            ehr = stack.enter_context(running_ehr(public=public))
            return stack.enter_context(serving(tmp_path, ehr, entry, keys=keys_folder))

        yield make
