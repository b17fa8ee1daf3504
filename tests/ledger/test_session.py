"""Collected last (tests/conftest.py): whatever this session has put on record is replayed, and its chain verified."""

from __future__ import annotations

from collections.abc import Callable

from cds.ledger.ledger import CALL, Ledger
from cds.replay import replay_then
from hooks.app import create_app
from hooks.settings import Settings
from tests.hooks.calls import EXAMPLES, answered, request


def test_every_assessment_comes_out_the_same_when_the_session_is_over(
    ledger_url: str, open_ledger: Callable[..., Ledger]
) -> None:
    client = create_app(Settings()).test_client()
    for name in EXAMPLES:  # so that there is something to replay, whichever tests were chosen
        answered(client, request(name=name))
    ledger = open_ledger(ledger_url)
    replayed, unlike = 0, []
    for entry in ledger.entries(CALL):
        if entry.body is None:
            continue
        found = replay_then(ledger, entry)
        replayed += len(found.assessments)
        unlike += [f"entry {entry.sequence}, {entry.body['hook']}: {each}" for each in found.differences]
    assert unlike == []
    assert replayed >= len(EXAMPLES)
    assert [str(each) for each in ledger.breaks()] == []
