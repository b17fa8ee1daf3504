"""Nobody waits for a database that is away: after some failures it is asked now and then, by one at a time."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DatabaseError, OperationalError

from cds.ledger.breaker import FAILURES, PAUSE_SECONDS, Breaker, NotAsked


class Seconds:
    """A clock that stands still until somebody moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fail(breaker: Breaker) -> None:
    with pytest.raises(OperationalError), breaker.guarding():
        raise OperationalError("SELECT 1", {}, Exception("away"))


def closed(breaker: Breaker) -> bool:
    try:
        with breaker.guarding():
            return True
    except NotAsked:
        return False


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def breaker(clock: Seconds) -> Breaker:
    """One that has just seen enough."""
    made = Breaker(now=clock)
    for _ in range(FAILURES):
        fail(made)
    return made


def test_nobody_is_let_through_when_it_failed_often_until_the_pause_is_over(breaker: Breaker, clock: Seconds) -> None:
    assert not closed(breaker)
    clock.now += PAUSE_SECONDS - 0.1
    assert not closed(breaker)
    clock.now += 0.1
    assert closed(breaker)
    fail(breaker)  # one failure is none in a row
    assert closed(breaker)


def test_one_is_let_through_at_a_time_when_the_pause_is_over(breaker: Breaker, clock: Seconds) -> None:
    clock.now += PAUSE_SECONDS
    with breaker.guarding():
        assert not closed(breaker)
    assert closed(breaker)


def test_there_is_another_pause_when_the_trial_fails(breaker: Breaker, clock: Seconds) -> None:
    clock.now += PAUSE_SECONDS
    fail(breaker)
    assert not closed(breaker)
    clock.now += PAUSE_SECONDS
    assert closed(breaker)


def test_the_pause_stays_as_long_when_calls_fail_that_began_before_it(clock: Seconds) -> None:
    breaker = Breaker(now=clock)
    began = [breaker.guarding() for _ in range(FAILURES + 1)]
    for each in began:
        each.__enter__()
    for each in began[:-1]:
        assert not each.__exit__(OperationalError, OperationalError("", {}, Exception()), None)
    clock.now += PAUSE_SECONDS - 1
    assert not began[-1].__exit__(OperationalError, OperationalError("", {}, Exception()), None)
    clock.now += 1
    assert closed(breaker)


def test_the_database_is_asked_on_when_it_answers_that_something_is_wrong() -> None:
    breaker = Breaker()
    for _ in range(FAILURES + 1):
        with pytest.raises(DatabaseError), breaker.guarding():
            raise DatabaseError("INSERT", {}, Exception("refused"))
    assert closed(breaker)
