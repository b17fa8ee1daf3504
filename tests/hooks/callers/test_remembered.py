"""Each question is asked once in a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cds.model import Evidence, EvidenceState, Query
from hooks.callers import Remembered


class Asked:
    """A source that tells what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        self.asked += queries
        return tuple(Evidence(query, EvidenceState.FETCHED) for query in queries.values())

    def held(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        return tuple(Evidence(query, EvidenceState.NOT_ASKED) for query in queries.values())

    def read(self, references: Sequence[str]) -> tuple[Evidence, ...]:
        self.asked += references
        found = [Query(reference, "Organization", reference, frozenset()) for reference in references]
        return tuple(Evidence(query, EvidenceState.FETCHED) for query in found)


def queries(*keys: str) -> dict[str, Query]:
    return {key: Query(key, "Encounter", "Encounter?", frozenset()) for key in keys}


def test_only_what_is_new_is_asked_when_something_was_asked_before() -> None:
    source = Asked()
    remembered = Remembered(source)
    remembered.gather(queries("a", "b"))
    found = remembered.gather(queries("b", "c"))
    assert source.asked == ["a", "b", "c"]
    assert [each.query.key for each in found] == ["b", "c"]


def test_a_resource_is_read_once_when_it_is_named_again() -> None:
    source = Asked()
    remembered = Remembered(source)
    remembered.read(["Organization/1", "Organization/1"])
    found = remembered.read(["Organization/1", "Organization/2"])
    assert source.asked == ["Organization/1", "Organization/2"]
    assert [each.query.key for each in found] == ["Organization/1", "Organization/2"]


def test_what_was_asked_is_at_hand_when_what_is_held_is_asked_for() -> None:
    remembered = Remembered(Asked())
    remembered.gather(queries("a"))
    states = {each.query.key: each.state for each in remembered.held(queries("a", "b"))}
    assert states == {"a": EvidenceState.FETCHED, "b": EvidenceState.NOT_ASKED}
