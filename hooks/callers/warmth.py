"""What order-select fetched, kept for a minute in this process, so that order-sign has less to wait for.

Only what nobody enters while an order is being signed: who pays, who the patient is, the visits so far. Scores, tasks
and the problem list are always asked for anew, or a card of order-select that was just answered would come again. It is
kept for one access token, user, patient and FHIR server together; without a token nothing is kept. Nothing is written
to disk, and the key holds a digest of the token only.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cds.model import Evidence, EvidenceState, Query
from cds.service import Source
from hooks.protocol import HookRequest

SECONDS = 60.0
MOST_BYTES = 32 * 2**20
MOST_OF_ONE = 4 * 2**20
_STEADY = frozenset(("coverage", "encounters", "episodesOfCare", "explanationOfBenefits", "patient", "procedures"))


@dataclass(frozen=True)
class _Kept:
    until: float
    size: int
    evidence: Mapping[str, Evidence]


class Warmth:
    """The evidence that is kept, bounded in bytes and in time; shared by the threads of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that only go forward."""
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, key: str, evidence: Iterable[Evidence]) -> None:
        """Keep what was fetched whole and is steady, in the place of what was kept before; each says when it came."""
        came = f"fetched at {datetime.now(UTC).isoformat(timespec='seconds')} for order-select"
        steady = [e for e in evidence if e.state is EvidenceState.FETCHED and _is_steady(e.query)]
        size = sum(len(resource.payload) for each in steady for resource in each.resources)
        if not steady or size > MOST_OF_ONE:
            return
        marked = {each.query.key: replace(each, reason=came) for each in steady}
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = _Kept(self._clock() + SECONDS, size, marked)
            self._shrink()

    def at_hand(self, key: str) -> Mapping[str, Evidence]:
        """What is kept under a key and is no older than a minute."""
        with self._lock:
            self._shrink()
            kept = self._kept.get(key)
        return kept.evidence if kept else {}

    def _shrink(self) -> None:
        """Forget what is too old, then the oldest until the rest fits. Each is kept as long: the first is oldest."""
        now = self._clock()
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if oldest.until > now and sum(kept.size for kept in self._kept.values()) <= MOST_BYTES:
                return
            self._kept.popitem(last=False)


def _is_steady(query: Query) -> bool:
    return query.key in _STEADY or query.resource == "Organization"


def key_of(hook: HookRequest) -> str | None:
    """Under which key a call's evidence is kept; None where it is not: without a server or a token."""
    if hook.fhir_server is None or hook.access_token is None:
        return None
    token = hashlib.sha256(hook.access_token.encode()).hexdigest()
    return "\n".join((token, hook.fhir_server, hook.patient, hook.user))


class Warmed:
    """A Source before another one: order-select leaves there what it fetched, order-sign finds it."""

    def __init__(self, source: Source, hook: HookRequest, warmth: Warmth) -> None:
        """`source` is asked for all that is not at hand. Lives for one call."""
        self._source = source
        self._warmth = warmth
        self._key = key_of(hook)
        self._leaves = hook.hook == "order-select"
        self._fetched: list[Evidence] = []
        self._warm = warmth.at_hand(self._key) if self._key and hook.hook == "order-sign" else {}

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What the call itself sent comes first, then what is warm, then what the source fetches."""
        sent = {e.query.key for e in self._source.held(queries) if e.whole} if self._warm else set()
        warm = {q.key for q in queries.values() if q.key in self._warm and q.key not in sent}
        asked = self._source.gather({key: query for key, query in queries.items() if query.key not in warm})
        found = {each.query.key: each for each in self._left(asked)}
        return tuple(
            replace(self._warm[query.key], query=query) if query.key in warm else found[query.key]
            for query in queries.values()
        )

    def held(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What the call itself sent."""
        return self._source.held(queries)

    def read(self, references: Sequence[str]) -> tuple[Evidence, ...]:
        """Single resources, warm or read."""
        asked = self._source.read([reference for reference in references if reference not in self._warm])
        found = {each.query.key: each for each in self._left(asked)}
        return tuple(self._warm.get(reference) or found[reference] for reference in references)

    def _left(self, evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
        if self._leaves and self._key:
            self._fetched += evidence
            self._warmth.keep(self._key, self._fetched)
        return evidence
