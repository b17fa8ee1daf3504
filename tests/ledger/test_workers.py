"""Every answer that somebody got is on record, whatever happens to the workers and to the database."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import requests

from cds.ledger.ledger import CALL, Ledger
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
        with Callers(base) as callers:
            callers.wait_for(20)
            workers = workers_of(program)
            assert len(workers) == 2, workers
            os.kill(workers[0], signal.SIGKILL)
            time.sleep(0.5)
        assert callers.cut > 0  # calls were under way when it died
        with Callers(base, 2) as later:
            later.wait_for(5)
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
            assert ready(base) == 200
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
