"""One assessment of the ledger as a story: what was said of an order, and the record as it was read on that day.

Nothing is asked of an EHR. What was said stands in the entry as it was said; the record is read once more from the
evidence that the ledger keeps, with the vocabularies of the day. Pure but for the cache of vocabularies in `Bases`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any

from cds.as_json import whole_assessment
from cds.errors import InputError
from cds.fhir.orders import with_reasons
from cds.fhir.queries import queries_for
from cds.fhir.record import read_record, start_reading
from cds.ledger.basis import Basis, restored
from cds.ledger.evidence import KeptSource
from cds.model import Coverage, Days, Evidence, Fact, Need, Order, Query, Record, Resource
from cds.recording import asked_of, evidence_of, zone_of
from cds.rules.case import Case
from cds.rules.part import part_of
from cds.rules.policy import Policy
from cds.service import Ports, Source, assess_orders
from cds.terminology import Terminology

Json = dict[str, Any]
Fetch = Callable[[Sequence[str]], Mapping[str, bytes]]
_ALL = tuple(Need(fact) for fact in Fact)
_KEPT_BASES = 4


@dataclass(frozen=True)
class Story:
    """One recorded assessment: what it said, and on what.

    `said` is `cds.as_json.whole_assessment` as it was on the day; `recorded` the moment in UTC, ISO. `record` is the
    patient's record as it was read; `policy` is None where none applied.
    """

    id: str
    recorded: str
    said: Json
    body: Json
    content: Mapping[str, bytes]
    order: Order
    record: Record
    terms: Terminology
    policies: tuple[Policy, ...]
    policy: Policy | None

    @property
    def as_of(self) -> date:
        """The day for which the order was weighed."""
        return date.fromisoformat(self.said["asOf"])

    @property
    def patient(self) -> str:
        """The patient's id at the EHR."""
        return str(self.body["question"]["patient"])

    @property
    def is_whole(self) -> bool:
        """Whether all criteria were weighed: hooks before and after signing weigh a part, which has no outcome."""
        return is_whole(self.body)

    @cached_property
    def case(self) -> Case | None:
        """The order, the record and the policy, as every criterion looked at them; None where no policy applied."""
        if self.policy is None:
            return None
        coverage = _coverage(self.said["coverage"])
        return Case(self.order, coverage, self.record, self.policy, self.as_of, self.terms)

    def with_added(self, resources: Sequence[Json]) -> tuple[Json, Json]:
        """The assessment by today's code without and with resources that were not there on the day.

        Both are in the shape of `said`. MissingData (412) cannot come: what was indispensable is in the ledger.
        """
        return self._weighed(()), self._weighed(resources)

    def _weighed(self, added: Sequence[Json]) -> Json:
        source = AddedSource(KeptSource(evidence_of(self.body), self.content), added)
        # As on the day, a call may have weighed a part of the policies only (order-select, a visit's start and end).
        policies = part_of(self.policies, self.body["question"].get("kinds"))
        ports = Ports(self.terms, policies, source, zone_of(self.body))
        assessments = assess_orders(asked_of(self.body, self.terms), ports)
        mine = next(each for each in assessments if each.order.reference == self.order.reference)
        return whole_assessment(mine)


def is_whole(body: Mapping[str, Any]) -> bool:
    """Whether a recorded call weighed all criteria, and not only those of some kinds of card."""
    return body["question"].get("kinds") is None


class Bases:
    """Vocabularies and policies by the hashes under which the ledger keeps them. Safe to share between threads.

    Reading them anew takes half a second, so the last few stay; the deployment's own are at hand from the start.
    """

    def __init__(self, own: Basis, terms: Terminology, policies: Sequence[Policy]) -> None:
        """`terms` and `policies` are what `own` holds."""
        self._known = {(own.policies_hash, own.vocabularies_hash): (terms, tuple(policies))}
        self._own = (own.policies_hash, own.vocabularies_hash)
        self._lock = threading.Lock()

    def of(self, body: Mapping[str, Any], fetch: Fetch) -> tuple[Terminology, tuple[Policy, ...]]:
        """Those that a recorded call rests on; KeyError where their content is gone."""
        name = (body["basis"]["policies"], body["basis"]["vocabularies"])
        with self._lock:
            found = self._known.get(name)
            if found is None:
                content = fetch(name)
                found = restored(content[name[0]], content[name[1]])
                oldest = [each for each in self._known if each != self._own]
                for each in oldest[: max(0, len(oldest) - _KEPT_BASES + 1)]:
                    del self._known[each]
            self._known[name] = found
            return found


def story_of(body: Json, recorded: str, name: str, fetch: Fetch, bases: Bases) -> Story:
    """The story of one assessment (`name` is its id) in the body of a recorded call.

    `fetch` gives the ledger's content by hashes. InputError where the entry has no such assessment, or where what it
    rested on is past its retention.
    """
    said = next((each["is"] for each in body["assessments"] if each["id"] == name), None)
    if said is None:
        raise InputError("The ledger has no assessment of that id", where="ID", remedy="Open it from its card")
    try:
        terms, policies = bases.of(body, fetch)
        content = fetch([each.blob for each in evidence_of(body) if each.blob])
        record = _record(body, content, terms)
    except KeyError as missing:
        remedy = "What it said can be read with `therapy-cds replay`; its grounds cannot"
        raise InputError(f"What the call rested on is gone ({str(missing)[1:13]}…)", remedy=remedy) from None
    orders = {order.reference: order for order in asked_of(body, terms).orders}
    order = with_reasons(orders[said["order"]], record.conditions)
    wanted = (said["policy"], said["policyVersion"])
    policy = next((each for each in policies if (each.id, each.version) == wanted), None)
    return Story(name, recorded, said, body, content, order, record, terms, policies, policy)


def _record(body: Json, content: Mapping[str, bytes], terms: Terminology) -> Record:
    """The record from all that was gathered for the call."""
    kept = evidence_of(body)
    source = KeptSource(kept, content)
    gathered = {each.key for each in kept if each.how == "gather"}
    queries = {key: query for key, query in queries_for(_ALL, terms).items() if key in gathered}
    evidence = (*source.gather(queries), *source.read([each.key for each in kept if each.how == "read"]))
    reading, by_type = start_reading(terms, body["question"]["patient"], evidence, zone_of(body))
    return read_record(reading, by_type, evidence)


def _coverage(told: Json | None) -> Coverage | None:
    """The coverage of a recorded assessment once more."""
    if told is None:
        return None
    first, last = (date.fromisoformat(day) if day else None for day in told["period"] or (None, None))
    return Coverage(
        reference=told["reference"],
        payers=tuple(told["payers"]),
        payer_name=told["payerName"],
        plan=told["plan"],
        line_of_business=told["lineOfBusiness"],
        jurisdiction=told["jurisdiction"],
        period=Days(first, last) if told["period"] else None,
        injury=date.fromisoformat(told["injury"]) if told["injury"] else None,
    )


class AddedSource:
    """A source whose answers hold some resources more: what somebody has just filled in."""

    def __init__(self, source: Source, added: Sequence[Json]) -> None:
        """`added` are FHIR resources with an id; each goes to the queries for its type."""
        self._source = source
        self._added = [Resource(each["resourceType"], each["id"], json.dumps(each).encode()) for each in added]

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What the source gathers, and what is added."""
        return tuple(map(self._more, self._source.gather(queries)))

    def held(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What the source holds, and what is added."""
        return tuple(map(self._more, self._source.held(queries)))

    def read(self, references: Sequence[str]) -> tuple[Evidence, ...]:
        """What the source reads."""
        return self._source.read(references)

    def _more(self, evidence: Evidence) -> Evidence:
        mine = tuple(each for each in self._added if each.type == evidence.query.resource)
        return replace(evidence, resources=(*evidence.resources, *mine)) if mine else evidence
