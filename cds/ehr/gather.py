"""Queries become evidence: what prefetch holds is used, the rest is searched side by side before the deadline."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future, wait

from cds.ehr.client import Deadline, FhirClient
from cds.ehr.failure import Failed
from cds.fhir.bundles import Answer, parse_answer
from cds.fhir.queries import INDISPENSABLE, read_of, search_of
from cds.model import Evidence, EvidenceState, Query, Resource

log = logging.getLogger(__name__)
_PATIENTS = re.compile(rb'"(?:[^"\s]*/)?Patient/([A-Za-z0-9.-]{1,64})(?:/_history/[^"]*)?"')
# `Organization/1`, and nothing that leads out of the server's base or turns a read into a search.
_READABLE = re.compile(r"[A-Z][A-Za-z]+/(?!\.\.?(?:/|$))[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9-]{1,64})?")
NO_SERVER = "the EHR did not send it and gave no access to its FHIR server"


class EhrSource:
    """The evidence of one call: its prefetch, and its FHIR server where one may be asked."""

    def __init__(
        self,
        patient: str,
        prefetch: Mapping[str, bytes | memoryview],
        client: FhirClient | None,
        pool: Executor,
        deadline: Deadline,
        no_client: str = NO_SERVER,
    ) -> None:
        """`prefetch` holds the raw JSON of each key; `no_client` says why there is no server to ask."""
        self._patient = patient
        self._prefetch = prefetch
        self._client = client
        self._pool = pool
        self._deadline = deadline
        self._no_client = no_client

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """One Evidence for each query, in their order."""
        supplied = {key: self._supplied(query) for key, query in queries.items()}
        ask = [query for key, query in queries.items() if not supplied[key].whole] if self._client else []
        lacking = [query for query in ask if self._lacks(query)]
        supplied |= {query.key: _not_offered(supplied[query.key]) for query in lacking}
        fetched = self._fetch([query for query in ask if query not in lacking])
        return tuple(_better(supplied[key], fetched.get(key)) for key in queries)

    def learn(self) -> None:
        """Have it found out in the background what the server offers: for the calls to come."""
        if self._client is not None:
            self._client.learn(self._pool)

    def _lacks(self, query: Query) -> bool:
        """Whether asking is in vain. What is indispensable is asked all the same: statements are not always right."""
        return self._client is not None and query.key not in INDISPENSABLE and self._client.lacks(query.resource)

    def held(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What prefetch holds for these queries; nothing is searched."""
        return tuple(self._supplied(query) for query in queries.values())

    def read(self, references: Sequence[str]) -> tuple[Evidence, ...]:
        """Single resources: from the prefetch key `organizations` where it was sent, else by read."""
        held = self._organizations()
        queries = [read_of(ref) for ref in references if ref not in held]
        lost = {query.key: _leads_nowhere(query) for query in queries if not _READABLE.fullmatch(query.path)}
        fetched = self._fetch([query for query in queries if query.key not in lost]) if self._client else {}
        fetched |= lost
        found = [Evidence(read_of(ref), EvidenceState.SUPPLIED, (held[ref],)) for ref in references if ref in held]
        rest = [fetched.get(q.key, Evidence(q, EvidenceState.NOT_ASKED, reason=self._no_client)) for q in queries]
        return (*found, *rest)

    def _organizations(self) -> dict[str, Resource]:
        if (raw := self._prefetch.get("organizations")) is None:
            return {}
        try:
            found = parse_answer(raw).resources
            return {name: resource for resource in found for name in (resource.reference, resource.url) if name}
        except (ValueError, RecursionError):
            return {}

    # ------------------------------------------------------------------------------------------- prefetch

    def _supplied(self, query: Query) -> Evidence:
        """What the EHR sent under a query's key: absent, null, an error, a page, or the whole."""
        raw = self._prefetch.get(query.key)
        if raw is None:
            return Evidence(query, EvidenceState.NOT_ASKED, reason=f"{query.resource}: {self._no_client}")
        try:
            answer = parse_answer(raw)
        except ValueError as problem:
            return Evidence(query, EvidenceState.FAILED, reason=f"prefetch '{query.key}': {problem}")
        except RecursionError:
            reason = f"prefetch '{query.key}': it is nested too deeply"
            return Evidence(query, EvidenceState.FAILED, reason=reason)
        return self._weigh(query, answer)

    def _weigh(self, query: Query, answer: Answer) -> Evidence:
        here = f"prefetch '{query.key}'"
        if answer.is_null:
            return Evidence(
                query, EvidenceState.NULL, reason=f"{here} is null: the EHR says nothing of {query.resource}"
            )
        if answer.outcome and not answer.resources:
            return Evidence(query, EvidenceState.FAILED, reason=f"{here} is an error of the EHR ({answer.outcome})")
        types = [resource.type for resource in answer.resources]
        wrong = [kind for kind in types if kind not in (query.resource, "Organization", "Patient")]
        if wrong or (types and query.resource not in types):
            wrong = wrong or types
            reason = f"{here} holds {wrong[0]} where {query.resource} was asked for"
            return Evidence(query, EvidenceState.FAILED, reason=reason)
        if _all_of_others(answer.resources, self._patient):
            return Evidence(query, EvidenceState.FAILED, reason=f"{here} holds another patient's resources")
        if answer.cut or answer.problems or answer.outcome:
            error = answer.outcome and f"it holds an error of the EHR ({answer.outcome})"
            why = answer.problems[0] if answer.problems else error or "it is one page of more"
            return Evidence(query, EvidenceState.CUT, answer.resources, f"{here} is not whole: {why}")
        return Evidence(query, EvidenceState.SUPPLIED, answer.resources)

    # ------------------------------------------------------------------------------------------- searches

    def _fetch(self, queries: Sequence[Query]) -> dict[str, Evidence]:
        """All searches at once; those that are not back at the deadline are late."""
        began, firsts = time.monotonic(), self._batched(queries)
        running: dict[Future[Evidence], Query] = {
            self._pool.submit(self._search, query, firsts.get(query.key), began): query for query in queries
        }
        done, late = wait(running, timeout=self._deadline.left)
        for future in late:
            future.cancel()
        found = {running[future].key: _result(future, running[future]) for future in done}
        for future in late:
            query = running[future]
            reason = f"{query.resource} could not be read: the FHIR server did not answer in time"
            found[query.key] = Evidence(query, EvidenceState.LATE, reason=reason)
        return found

    def _batched(self, queries: Sequence[Query]) -> Mapping[str, Answer | Failed]:
        """What one request brought of several, by key; of half of the time that is left, to search for the rest in."""
        if self._client is None or len(queries) < 2 or not self._client.takes_batches:
            return {}
        paths = {query.key: search_of(query, self._patient) for query in queries}
        deadline = Deadline.after(self._deadline.left / 2)
        future = self._pool.submit(self._client.batch, list(paths.values()), deadline)
        try:
            found = future.result(timeout=deadline.left)
        except TimeoutError:
            future.cancel()
            return {}
        except Exception as fault:
            # Its class only: the message may hold the token or the patient.
            log.error("a batch of searches failed (%s)", type(fault).__name__)
            return {}
        return {key: found[path] for key, path in paths.items() if path in found}

    def _search(self, query: Query, first: Answer | Failed | None, asked: float) -> Evidence:
        began = time.monotonic() if first is None else asked
        if self._client is None:
            return Evidence(query, EvidenceState.NOT_ASKED, reason=self._no_client)
        fetched = self._client.search(search_of(query, self._patient), self._deadline, first)
        spent = (time.monotonic() - began) * 1000
        if _all_of_others(fetched.resources, self._patient):
            reason = f"{query.resource} could not be read: the FHIR server answered for another patient"
            return Evidence(query, EvidenceState.FAILED, reason=reason, milliseconds=spent)
        return Evidence(query, fetched.state, fetched.resources, fetched.reason, spent, fetched.absent)


def _result(future: Future[Evidence], query: Query) -> Evidence:
    """What a search came to. A fault of ours in one search is said of that search, and costs nothing else."""
    try:
        return future.result()
    except Exception as fault:
        # Its class only: the message may hold the token or the patient.
        log.error("a search of %s failed (%s)", query.resource, type(fault).__name__)
        reason = f"{query.resource} could not be read because of a fault in the service"
        return Evidence(query, EvidenceState.FAILED, reason=reason)


def _all_of_others(resources: Sequence[Resource], patient: str) -> bool:
    """Whether all that came speaks of one other patient: an answer to another question, which tells nothing of ours.

    Where it speaks of several, the server did not narrow its search down, and the readers leave the rest out.
    """
    wanted, others = patient.encode(), set[bytes]()
    for resource in resources:
        if resource.type == "Organization":
            continue
        is_patient = resource.type == "Patient"
        named = [resource.id.encode()] if is_patient else _PATIENTS.findall(resource.payload)
        others.update(named)
        if not named or wanted in named or len(others) > 1:
            return False
    return bool(others)


def _not_offered(supplied: Evidence) -> Evidence:
    """Nothing was sent, and the server cannot tell: that is unknown, never "none"."""
    if supplied.state is not EvidenceState.NOT_ASKED:
        return supplied
    kind = supplied.query.resource
    reason = f"{kind}: the EHR did not send it, and its FHIR server does not offer {kind}"
    return Evidence(supplied.query, EvidenceState.NOT_ASKED, reason=reason)


def _leads_nowhere(query: Query) -> Evidence:
    """A reference under which no server can be asked: `urn:uuid:…` of a resource that was not sent with it."""
    kind = "Organization" if query.resource.startswith("urn:") else query.resource
    return Evidence(query, EvidenceState.FAILED, reason=f"{kind} could not be read: the reference to it leads nowhere")


def _better(supplied: Evidence, fetched: Evidence | None) -> Evidence:
    """What was fetched, unless it failed and the EHR had sent at least a part."""
    if fetched is None or (not fetched.whole and len(supplied.resources) > len(fetched.resources)):
        return supplied
    return fetched


class BundleSource:
    """The evidence in one Bundle: everything of a type that it holds; there is no server to ask."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        """`resources` are the Bundle's entries."""
        self._resources = resources

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """Every resource of each query's type; none is an answer too, since the Bundle is the whole record."""
        kinds = {
            query.key: (query.resource, *(("Claim",) if query.key == "explanationOfBenefits" else ()))
            for query in queries.values()
        }
        return tuple(
            Evidence(query, EvidenceState.SUPPLIED, tuple(r for r in self._resources if r.type in kinds[query.key]))
            for query in queries.values()
        )

    def held(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """The same as what is gathered: all of it is at hand."""
        return self.gather(queries)

    def read(self, references: Sequence[str]) -> tuple[Evidence, ...]:
        """The resources of the Bundle under these references."""
        return tuple(
            Evidence(
                read_of(ref),
                EvidenceState.SUPPLIED,
                tuple(r for r in self._resources if ref in (r.reference, r.url)),
            )
            for ref in references
        )
