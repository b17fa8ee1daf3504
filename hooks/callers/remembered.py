"""The evidence of one call, each question asked once: some hooks look at the record before orders are assessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cds.model import Evidence, Query
from cds.service import Source


class Remembered:
    """A Source that keeps what came of each query, for one call only."""

    def __init__(self, source: Source) -> None:
        """`source` is asked for what is not known yet."""
        self._source = source
        self._known: dict[str, Evidence] = {}

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What came of each query, asked now or before."""
        new = {key: query for key, query in queries.items() if query.key not in self._known}
        if new:
            self._known |= {each.query.key: each for each in self._source.gather(new)}
        return tuple(self._known[query.key] for query in queries.values())

    def held(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What is at hand: what was asked for before, else what the call itself sent."""
        sent = {each.query.key: each for each in self._source.held(queries)}
        return tuple(self._known.get(query.key, sent[query.key]) for query in queries.values())

    def read(self, references: Sequence[str]) -> tuple[Evidence, ...]:
        """What came of reading single resources, now or before."""
        new = [reference for reference in dict.fromkeys(references) if reference not in self._known]
        if new:
            self._known |= {each.query.key: each for each in self._source.read(new)}
        return tuple(self._known[reference] for reference in references)
