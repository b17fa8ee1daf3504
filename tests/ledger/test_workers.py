"""Every answer that somebody got is on record, whatever happens to the workers and to the database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from cds.ledger.ledger import CALL, Ledger
from hooks.sandbox.processes import Program, free_port
from tests.hooks.calls import request
from tests.ledger.databases import Database
from tests.ledger.serving import Callers, Json, serving, workers_of

SECONDS = 10.0


def told(answer: Json) -> list[str]:
    """The assessments and cards of an answer, by id."""
    assessments = answer["extension"]["example.therapy-cds.assessments"]
    return [each["id"] for each in assessments] + [card["uuid"] for card in answer["cards"]]


def test_every_answer_is_on_record_when_a_worker_is_killed(
    database_url: str, tmp_path: Path, open_ledger: Callable[..., Ledger]
) -> None:
    with serving(database_url, tmp_path) as (base, program):
        with Callers(base, 10) as callers:
            callers.wait_for(20)
            first = workers_of(program)
            assert len(first) == 2, first
            for killed in first:
                os.kill(killed, signal.SIGKILL)
                wait_until(lambda: callers.cut > 0 or len(living(program, first)) > 0, "nothing came of it")
                callers.wait_for(5)
                if callers.cut:
                    break
        assert callers.cut > 0  # calls were under way when it died
        wait_until(lambda: len(workers_of(program)) == 2 and bool(living(program, first)), "no worker took its place")
        wait_until(lambda: ready(base) == 200, "it is not ready again")
        with Callers(base, 2) as later:
            later.wait_for(5)
        assert later.cut == 0
    ledger = open_ledger(database_url)
    for answer in callers.answers:
        for name in told(answer):
            entry = ledger.find(name)
            assert entry is not None
            assert entry.body is not None
            recorded = [each["id"] for each in entry.body["assessments"]] + [
                card["uuid"] for card in entry.body["cards"]
            ]
            assert name in recorded
    assert list(ledger.breaks()) == []
    # Some may be on record whose answer was cut off; never the other way round.
    assert len(list(ledger.entries(CALL))) >= len(callers.answers) >= 20


def living(program: Program, first: list[int]) -> list[int]:
    """Workers that were not there at first."""
    return [pid for pid in workers_of(program) if pid not in first]


def wait_until(true: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + 3 * SECONDS
    while not true():
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)


def ready(base: str) -> int:
    return requests.get(f"{base}/health/ready", timeout=SECONDS).status_code


def test_calls_are_refused_and_then_answered_when_the_database_is_away(
    database: Database, tmp_path: Path, open_ledger: Callable[..., Ledger]
) -> None:
    with serving(database.url, tmp_path, workers=1) as (base, _):
        for way in database.ways:
            assert ready(base) == 200
            with database.away(way):
                with Callers(base) as callers:
                    callers.wait_for(5, callers.refusals)
                    assert requests.get(f"{base}/health/live", timeout=SECONDS).status_code == 200
                    assert ready(base) == 503
                assert callers.answers == []
                assert callers.cut == 0
                assert callers.refusals
                for refusal in callers.refusals:
                    assert refusal.status_code == 503
                    assert refusal.elapsed.total_seconds() < SECONDS
                    (issue,) = refusal.json()["issue"]
                    assert issue["details"]["coding"][0]["code"] == "CDS-401"
                    assert "cards" not in refusal.json()
            wait_until(lambda: ready(base) == 200, "the database is back, and nobody asks it")
            with Callers(base, 2) as callers:
                callers.wait_for(5)
            assert callers.refusals == []
    assert list(open_ledger(database.url).breaks()) == []


def test_the_service_starts_and_answers_later_when_the_database_is_away_at_first(
    database: Database, tmp_path: Path
) -> None:
    with database.away(database.ways[-1]), serving(database.url, tmp_path, workers=1) as (base, _):
        refusal = requests.post(f"{base}/cds-services/order-sign-therapy", json=request(), timeout=SECONDS)
        assert (refusal.status_code, "cards" in refusal.text) == (503, False)
        assert requests.get(f"{base}/cds-services", timeout=SECONDS).status_code == 200


@pytest.mark.parametrize("url", ["mysql://localhost/ledger", "sqlite:////dev/null/ledger.sqlite3"])
def test_it_is_one_line_and_exit_status_2_when_the_url_is_none_for_a_ledger(url: str) -> None:
    settings = {"THERAPY_CDS_DATABASE_URL": url, "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "hooks.cli", "serve", "--port", str(free_port())]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("therapy-cds: THERAPY_CDS_DATABASE_URL names ")
    assert done.stderr.count("\n") == 1
