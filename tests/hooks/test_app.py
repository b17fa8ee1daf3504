"""Discovery, health, metrics; and the real server with bodies that are too large."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest
import requests
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine

from cds.errors import PolicyError
from cds.ledger.breaker import FAILURES
from cds.ledger.database import writing
from hooks.app import create_app
from hooks.settings import Settings
from tests.hooks.calls import ORIGIN, URL, Json, answered, post, refused, request

TOKENS = {"{{context.patientId}}", "{{context.userId}}", "{{context.encounterId}}"}
LIMIT = 30.0


@pytest.fixture
def service(client: FlaskClient) -> Json:
    answer = client.get("/cds-services", headers={"Origin": ORIGIN})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert list(answer.get_json()) == ["services"]
    listed: Json = next(s for s in answer.get_json()["services"] if s["id"] == "order-sign-therapy")
    return listed


def test_each_field_is_what_the_standard_says_when_services_are_listed(service: Json) -> None:
    assert service["hook"] == "order-sign"
    assert service["title"]
    assert service["description"]
    assert all(isinstance(template, str) for template in service["prefetch"].values())
    assert all(value not in (None, "", [], {}) for value in service.values())


def test_only_first_level_tokens_are_used_when_templates_are_listed(service: Json) -> None:
    for template in service["prefetch"].values():
        tokens = re.findall(r"\{\{.*?\}\}", template)
        assert set(tokens) <= TOKENS
        assert template.count("{") == 2 * len(tokens)


def test_each_parameter_stands_once_when_templates_are_listed(service: Json) -> None:
    for template in service["prefetch"].values():
        names = [pair.partition("=")[0] for pair in template.partition("?")[2].split("&")]
        assert len(names) == len(set(names))


def test_the_standard_strings_are_used_when_crd_has_them(service: Json) -> None:
    assert service["prefetch"]["patient"] == "Patient/{{context.patientId}}"
    assert service["prefetch"]["coverage"] == "Coverage?patient={{context.patientId}}&status=active"


def test_discovery_is_open_when_a_browser_sends_a_token(client: FlaskClient) -> None:
    assert client.get("/cds-services", headers={"Authorization": "Bearer x"}).status_code == 200


def test_it_is_live_and_ready_when_it_has_started(client: FlaskClient) -> None:
    assert client.get("/health/live").get_json() == {"status": "live"}
    assert "hip-pain-extended-therapy" in client.get("/health/ready").get_json()["policies"]


@pytest.mark.parametrize("path", ["/insights", "/metrics"])
def test_no_page_of_another_origin_may_read_it_when_it_is_for_operators(client: FlaskClient, path: str) -> None:
    answer = client.get(path, headers={"Origin": ORIGIN})
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


# ---------------------------------------------------------------------------------------------------- metrics


def figure(client: FlaskClient, name: str) -> float:
    text = client.get("/metrics").get_data(as_text=True)
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_calls_are_counted_and_timed_when_they_are_answered(client: FlaskClient) -> None:
    calls = 'therapy_cds_calls_total{service="order-sign-therapy",status="200"}'
    times = 'therapy_cds_call_seconds_count{service="order-sign-therapy"}'
    before = figure(client, calls), figure(client, times)
    answered(client, request())
    assert (figure(client, calls), figure(client, times)) == (before[0] + 1, before[1] + 1)


def test_refusals_are_counted_when_a_request_is_malformed(client: FlaskClient) -> None:
    calls = 'therapy_cds_calls_total{service="order-sign-therapy",status="400"}'
    before = figure(client, calls)
    post(client, b"no")
    assert figure(client, calls) == before + 1


def test_feedback_is_counted_apart_when_it_is_sent(client: FlaskClient) -> None:
    calls = 'therapy_cds_calls_total{service="order-sign-therapy",status="200"}'
    feedback = 'therapy_cds_feedback_total{service="order-sign-therapy",status="200"}'
    before = figure(client, calls), figure(client, feedback)
    assert post(client, {"feedback": []}, "/cds-services/order-sign-therapy/feedback").status_code == 200
    assert (figure(client, calls), figure(client, feedback)) == (before[0], before[1] + 1)


def test_no_label_is_made_of_a_name_when_a_caller_made_it_up(client: FlaskClient) -> None:
    calls = 'therapy_cds_calls_total{service="unknown",status="404"}'
    before = figure(client, calls)
    post(client, request(), "/cds-services/made-up-by-jane-doe")
    text = client.get("/metrics").get_data(as_text=True)
    assert figure(client, calls) == before + 1
    assert "jane-doe" not in text
    assert "f000" not in text


def test_all_workers_are_summed_up_when_they_share_a_folder(tmp_path: Path) -> None:
    script = (
        "from hooks.app import create_app; from tests.hooks.calls import URL\n"
        "client = create_app().test_client(); client.post(URL, data=b'x')\n"
        "print(client.get('/metrics').get_data(as_text=True))"
    )
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for count in ("1.0", "2.0"):
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=LIMIT, check=True
        )
        assert f'therapy_cds_calls_total{{service="order-sign-therapy",status="400"}} {count}' in run.stdout


# ------------------------------------------------------------------------------------------------------- start


def test_it_does_not_start_when_a_policy_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "policy.yaml").write_text("id: own\n")
    with pytest.raises(PolicyError):
        create_app(Settings(policy_path=(tmp_path,)))


# ------------------------------------------------------------------------------------------- over a real socket


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a service started as `therapy-cds serve` starts it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("THERAPY_CDS_")}
    log = (tmp_path_factory.mktemp("serve") / "log").open("wb")
    command = [sys.executable, "-m", "hooks.cli", "serve", "--port", str(number)]
    with log, subprocess.Popen(command, stdout=log, stderr=log, env=environment) as server:
        try:
            wait_for(number)
            yield number
        finally:
            server.terminate()
            server.wait(LIMIT)


def wait_for(port: int) -> None:
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            if requests.get(f"http://127.0.0.1:{port}/health/live", timeout=2).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("the service did not start")


def send(port: int, path: str, mebibytes: int, *, chunked: bool = False) -> tuple[int, bytes]:
    """Send a body whole, like clients that only then read; the status, and what else came."""
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {mebibytes * 2**20}"
    told = f"Origin: {ORIGIN}\r\nContent-Type: application/json"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{told}\r\nConnection: close\r\n{length}\r\n\r\n"
    piece = b"[" * 2**20
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as connection:
        connection.sendall(head.encode())
        for _ in range(mebibytes):
            connection.sendall(b"100000\r\n" + piece + b"\r\n" if chunked else piece)
        if chunked:
            connection.sendall(b"0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(answer.split(b" ", 2)[1]), answer


@pytest.mark.parametrize("chunked", [False, True])
def test_the_client_reads_413_when_its_body_has_50_megabytes(port: int, chunked: bool) -> None:
    status, answer = send(port, URL, 50, chunked=chunked)
    assert status == 413
    assert b"OperationOutcome" in answer
    assert b"access-control-allow-origin" in answer.lower()


def test_the_client_reads_404_when_it_sends_50_megabytes_elsewhere(port: int) -> None:
    assert send(port, "/nothing", 50)[0] == 404


def test_the_worker_goes_on_when_json_is_nested_without_end(port: int) -> None:
    deep = b'{"context": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for _ in range(3):
        assert requests.post(f"http://127.0.0.1:{port}{URL}", data=deep, timeout=LIMIT).status_code == 400
    answer = requests.post(f"http://127.0.0.1:{port}{URL}", json=request(), timeout=LIMIT)
    assert len(answer.json()["cards"]) == 3


def test_the_answer_is_the_same_when_the_body_comes_in_chunks(port: int) -> None:
    import json

    pieces = iter([json.dumps(request()).encode()])
    answer = requests.post(f"http://127.0.0.1:{port}{URL}", data=pieces, timeout=LIMIT)
    assert answer.status_code == 200
    assert len(answer.json()["cards"]) == 3


def test_the_outcome_is_the_same_when_flask_answers_by_itself(client: FlaskClient, port: int) -> None:
    real = requests.post(f"http://127.0.0.1:{port}{URL}", data=b"no", timeout=LIMIT)
    assert real.json() == refusal(client)


def refusal(client: FlaskClient) -> Json:
    response = post(client, b"no")
    refused(response, 400)
    body: Json = response.get_json()
    return body


def test_calls_do_not_wait_and_other_paths_answer_when_the_database_is_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ledger.sqlite3"
    client = create_app(Settings(database_url=f"sqlite:///{file}")).test_client()
    asked: list[Engine] = []

    def counted(engine: Engine) -> AbstractContextManager[Connection]:
        asked.append(engine)
        return writing(engine)

    monkeypatch.setattr("cds.ledger.ledger.writing", counted)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(FAILURES + 4):
            refused(post(client, request()), 503, "CDS-401")
        assert client.get("/health/ready").status_code == 503
        assert len(asked) == FAILURES  # the others did not wait for it
        assert client.get("/cds-services").status_code == 200
        assert client.get("/health/live").status_code == 200
