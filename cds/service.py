"""The one use case: draft orders in, assessments out. Read this first.

    orders -> coverage (a payer is never guessed) -> policy in force on the service date -> its needs
    -> evidence (prefetch first, the rest side by side) -> record -> criteria -> assessment

Pure rooms do the reading and the weighing; what touches the world comes in as `Ports`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cds.asked import BASICS, TECHNICAL, Asked, Ports, Source
from cds.choosing import Choice, choose, evaluation_date, needs_before_selection, payers_of
from cds.errors import MissingData
from cds.fhir.measures import read_measures
from cds.fhir.queries import INDISPENSABLE, queries_for
from cds.fhir.record import read_record, start_reading, supplementary_gaps
from cds.model import (
    Assessment,
    Evidence,
    EvidenceState,
    Fact,
    Gap,
    Need,
    Outcome,
    Query,
    Record,
    Statement,
)
from cds.rules.assess import assess
from cds.rules.needs import needs_of
from cds.rules.safety import safety_of

__all__ = ["BASICS", "TECHNICAL", "Asked", "Ports", "Source", "assess_orders", "evaluation_date"]

log = logging.getLogger(__name__)
# What may be read by an order's word: anything else in its place could turn a read into a search.
_REQUESTER = re.compile(r"Practitioner(Role)?/(?!\.\.?$)[A-Za-z0-9.-]{1,64}")


def assess_orders(asked: Asked, ports: Ports) -> tuple[Assessment, ...]:
    """Assess each therapy order. A failure inside one order's assessment fails that order alone.

    Raises MissingData (412) when what is indispensable was neither sent nor can be fetched.
    """
    if not asked.orders:
        return ()
    first = needs_before_selection(asked, ports)
    basics = _gather(ports, queries_for(first, ports.terms))
    payers = payers_of(asked, ports, basics)
    known_first = _record(asked, ports, basics) if len(first) > len(BASICS) else Record()
    choices = [choose(asked, ports, order, payers, known_first) for order in asked.orders]
    needs = (*needs_of(policy for choice in choices for policy in choice.selection.all), *first)
    known = {each.query.key for each in basics}
    queries = {key: query for key, query in queries_for(needs, ports.terms).items() if key not in known}
    evidence = (*basics, *payers.organizations, *_gather(ports, queries), *_requesters(asked, ports, needs))
    record = _record(asked, ports, evidence)
    extra = supplementary_gaps(evidence)
    told = _statements(asked, ports, evidence, record)
    return tuple(
        replace(_assess_one(choice, record, ports, extra), safety=safety_of(told, choice.as_of, ports.terms))
        for choice in choices
    )


def _requesters(asked: Asked, ports: Ports, needs: Sequence[Need]) -> tuple[Evidence, ...]:
    """Who orders, where a policy asks for it."""
    if all(need.fact is not Fact.REQUESTER for need in needs):
        return ()
    return ports.source.read([order.requester for order in asked.orders if _REQUESTER.fullmatch(order.requester)])


def _statements(asked: Asked, ports: Ports, evidence: Sequence[Evidence], record: Record) -> tuple[Statement, ...]:
    """What somebody stated, for the safety of the patient: also where no policy asks for it, but it was sent.

    What no policy needs is read apart, so that it can put none of their facts in doubt.
    """
    known = {each.query.key for each in evidence}
    rest = {k: q for k, q in queries_for((Need(Fact.MEASURES),), ports.terms).items() if k not in known}
    if not rest:
        return record.statements
    reading, by_type = start_reading(ports.terms, asked.patient, (*evidence, *ports.source.held(rest)), ports.zone)
    return read_measures(reading, by_type)[1]


def _record(asked: Asked, ports: Ports, evidence: Sequence[Evidence]) -> Record:
    reading, by_type = start_reading(ports.terms, asked.patient, evidence, ports.zone)
    return read_record(reading, by_type, evidence)


def _gather(ports: Ports, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
    evidence = ports.source.gather(queries)
    absent = [e for e in evidence if e.state is EvidenceState.NOT_ASKED and e.query.key in INDISPENSABLE]
    if absent:
        keys = ", ".join(sorted(each.query.key for each in absent))
        raise MissingData(
            f"Data that is needed cannot be had: {keys}. {absent[0].reason}",
            where="prefetch",
            remedy="Satisfy these prefetch keys, or send fhirServer and fhirAuthorization of an allowed FHIR server",
        )
    return evidence


def _assess_one(choice: Choice, record: Record, ports: Ports, extra: Sequence[Gap]) -> Assessment:
    policy = choice.selection.policy
    if policy is None:
        says = f"No policy applies: {choice.selection.why}"
        return Assessment(
            choice.order,
            choice.as_of,
            Outcome.NO_POLICY,
            says,
            coverage=choice.coverage,
            technical=choice.technical,
            standing=choice.standing,
            lapsed=choice.lapsed,
        )
    try:
        done = assess(choice.order, choice.coverage, record, policy, choice.as_of, ports.terms, choice.selection.adding)
    except Exception:  # one order's failure must not cost the others, and must be seen: a card and a log entry
        log.exception("assessment of one order under policy %s failed", policy.id)
        says = (
            "Not enough information: the policy could not be applied to this record because of a fault in the service"
        )
        return Assessment(
            choice.order, choice.as_of, Outcome.INSUFFICIENT_INFORMATION, says, policy.id, policy.title,
            policy.version, policy.kind, coverage=choice.coverage, technical=True,
        )  # fmt: skip
    technical = choice.technical or any(gap.state in TECHNICAL for gap in record.gaps)
    return replace(done, gaps=(*done.gaps, *extra), technical=technical) if extra or technical else done
