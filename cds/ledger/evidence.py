"""The evidence of one call as the ledger keeps it, and evidence taken from the ledger again.

`RecordingSource` stands before any source and remembers what it answered; `KeptSource` answers the same once more,
with no EHR. What is kept of a resource is the least that can be read again (`cds/fhir/least.py`).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import zstandard

from cds.fhir.least import NOT_JSON, TOO_DEEP, least_fields
from cds.fhir.queries import read_of
from cds.model import Evidence, EvidenceState, Query, Resource
from cds.terminology import Terminology

Json = dict[str, Any]


class Source(Protocol):
    """What can be asked for evidence (the same as `cds.service.Source`, which stands above this room)."""

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What came of each query."""

    def held(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What is at hand for each query."""

    def read(self, references: Sequence[str]) -> tuple[Evidence, ...]:
        """What came of reading single resources."""


class RecordingSource:
    """A source that remembers what another one answered, question by question."""

    def __init__(self, source: Source) -> None:
        """`source` is the one that truly answers. Lives for one call."""
        self._source = source
        self.answers: list[tuple[str, Evidence]] = []

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What the source gathers."""
        return self._kept("gather", self._source.gather(queries))

    def held(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What the source holds."""
        return self._kept("held", self._source.held(queries))

    def read(self, references: Sequence[str]) -> tuple[Evidence, ...]:
        """What the source reads."""
        return self._kept("read", self._source.read(references))

    def _kept(self, how: str, found: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
        self.answers += [(how, each) for each in found]
        return found


class KeptResource(msgspec.Struct, array_like=True):
    """A resource as it is kept: what it was, the SHA-256 of the bytes that came, and the fields that were read."""

    type: str
    id: str
    url: str
    sha256: str
    fields: msgspec.Raw


class KeptEvidence(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What came of one query, in an entry's body; `blob` is where the resources are."""

    how: str
    key: str
    resource: str
    state: str
    reason: str = ""
    milliseconds: float = 0.0
    absent: bool = False
    count: int = 0
    blob: str = ""


_ENCODER = msgspec.json.Encoder()
_RESOURCES = msgspec.json.Decoder(list[KeptResource])


def keep(answers: Sequence[tuple[str, Evidence]], terms: Terminology) -> tuple[list[KeptEvidence], dict[str, bytes]]:
    """What an entry says of its evidence, and the packed resources by their hash."""
    kept: dict[tuple[str, str, int], KeptEvidence] = {}
    packed: dict[str, bytes] = {}
    named: dict[int, str] = {}
    for how, each in answers:
        # A hook that looks at the record before its orders are assessed gets the same answer twice.
        key = (how, each.query.key, id(each))
        if key in kept:
            continue
        if each.resources and id(each.resources) not in named:
            content = _ENCODER.encode([_kept(resource, terms) for resource in each.resources])
            name = named[id(each.resources)] = hashlib.sha256(content).hexdigest()
            packed[name] = content
        kept[key] = KeptEvidence(
            how=how, key=each.query.key, resource=each.query.resource, state=each.state.value,
            reason=each.reason, milliseconds=round(each.milliseconds, 1), absent=each.absent,
            count=len(each.resources), blob=named[id(each.resources)] if each.resources else "",
        )  # fmt: skip
    return list(kept.values()), packed


# A compressor is for one thread at a time, and making one costs more than packing a small content.
_OF_THREAD = threading.local()


def pack(content: bytes) -> bytes:
    """Content as it lies in the database."""
    try:
        compressor: zstandard.ZstdCompressor = _OF_THREAD.compressor
    except AttributeError:
        compressor = _OF_THREAD.compressor = zstandard.ZstdCompressor(level=1)
    return compressor.compress(content)


def unpack(body: bytes) -> bytes:
    """What was packed."""
    return zstandard.decompress(body)


def resources_of(content: bytes) -> tuple[Resource, ...]:
    """The resources of a blob, as far as they were kept."""
    return tuple(Resource(kept.type, kept.id, _payload(kept), kept.url) for kept in _RESOURCES.decode(content))


# What stands in a blob, which is JSON, for a resource that is none.
_UNREADABLE: Mapping[bytes, bytes] = {NOT_JSON: b'"not JSON"', TOO_DEEP: b'"too deep"'}
_AS_THEY_WERE = {mark: payload for payload, mark in _UNREADABLE.items()}


def _kept(resource: Resource, terms: Terminology) -> tuple[str, str, str, str, object]:
    """A resource in the members of a `KeptResource`: as it was decoded, so that all are encoded in one go."""
    digest = hashlib.sha256(resource.payload).hexdigest()
    kept = least_fields(resource, terms)
    fields = msgspec.Raw(_UNREADABLE.get(kept, kept)) if isinstance(kept, bytes) else kept
    return resource.type, resource.id, resource.url, digest, fields


def _payload(kept: KeptResource) -> memoryview:
    fields = bytes(kept.fields)
    return memoryview(_AS_THEY_WERE.get(fields, fields))


class KeptSource:
    """Evidence from the ledger: each question is answered as it was answered on the day."""

    def __init__(self, kept: Iterable[KeptEvidence], blobs: Mapping[str, bytes]) -> None:
        """`blobs` hold the unpacked resources by hash."""
        self._answers = {(each.how, each.key): each for each in kept}
        self._blobs = blobs

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What was gathered."""
        return tuple(self._answer("gather", query) for query in queries.values())

    def held(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What was held."""
        return tuple(self._answer("held", query) for query in queries.values())

    def read(self, references: Sequence[str]) -> tuple[Evidence, ...]:
        """What was read."""
        found = (self._answers.get(("read", reference)) for reference in references)
        return tuple(self._evidence(kept, read_of(kept.key)) for kept in found if kept is not None)

    def _answer(self, how: str, query: Query) -> Evidence:
        kept = self._answers.get((how, query.key))
        if kept is None:
            # A policy of today may want to know what nobody asked for on that day.
            reason = f"{query.resource} was not asked for on that day"
            return Evidence(query, EvidenceState.NOT_ASKED, reason=reason)
        return self._evidence(kept, query)

    def _evidence(self, kept: KeptEvidence, query: Query) -> Evidence:
        resources = resources_of(self._blobs[kept.blob]) if kept.blob else ()
        state = EvidenceState(kept.state)
        return Evidence(query, state, resources, kept.reason, kept.milliseconds, kept.absent)
