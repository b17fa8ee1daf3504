"""A token counts once for all workers: applications over one database, and the service as an operator starts it."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from hooks.app import create_app
from hooks.sandbox.processes import Program, free_port
from hooks.settings import PREFIX
from tests.hooks.calls import request
from tests.hooks.signing import BASE, ELSEWHERE, SERVICE, bearer, claims, clients_file, production, token

LIMIT = 30.0


def test_a_token_is_refused_when_another_worker_has_seen_it(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    settings = production(clients_file(tmp_path), database_url=database)
    one, two = (create_app(settings).test_client() for _ in range(2))
    for first, second in ((one, two), (two, one)):
        sent = bearer(token(claims("/cds-services")))
        assert first.get("/cds-services", headers=sent, environ_base=ELSEWHERE).status_code == 200
        assert second.get("/cds-services", headers=sent, environ_base=ELSEWHERE).status_code == 401


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with two workers in production, as behind a proxy that does TLS."""
    folder, port = tmp_path_factory.mktemp("production"), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment |= {
        f"{PREFIX}MODE": "production",
        f"{PREFIX}BASE_URL": BASE,
        f"{PREFIX}FHIR_SERVERS": "https://fhir.example.org/r4",
        f"{PREFIX}CLIENTS": str(clients_file(folder)),
        f"{PREFIX}DATABASE_URL": f"sqlite:///{folder / 'ledger.sqlite3'}",
    }
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "hooks.cli", "serve", "--port", str(port), "--workers", "2"]
    with Program("the service", command, folder / "log", f"{url}/health/ready", environment) as service:
        service.wait_until_ready()
        yield url


def statuses(url: str, sent: list[str]) -> Counter[int]:
    """What many calls at once are answered with."""

    def call(each: str) -> int:
        return requests.get(f"{url}/cds-services", headers=bearer(each), timeout=LIMIT).status_code

    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(call, sent))


def test_one_of_many_calls_is_answered_when_all_bring_the_same_token(running: str) -> None:
    for _ in range(5):
        assert statuses(running, [token(claims("/cds-services"))] * 16) == {200: 1, 401: 15}


def test_all_calls_are_answered_when_each_brings_its_own_token(running: str) -> None:
    assert statuses(running, [token(claims("/cds-services")) for _ in range(32)]) == {200: 32}


def test_an_order_is_answered_when_a_client_signs_it_in_production(running: str) -> None:
    answer = requests.post(f"{running}{SERVICE}", json=request(), headers=bearer(token()), timeout=LIMIT)
    assert answer.status_code == 200
    assert len(answer.json()["cards"]) == 3
    assert requests.post(f"{running}{SERVICE}", json=request(), timeout=LIMIT).status_code == 401
    assert requests.get(f"{running}/health/live", timeout=LIMIT).status_code == 200
