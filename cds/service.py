"""The one use case: draft orders in, assessments out. Read this first.

    orders -> coverage (a payer is never guessed) -> policy in force on the service date -> its needs
    -> evidence (prefetch first, the rest side by side) -> record -> criteria -> assessment

Pure rooms do the reading and the weighing; what touches the world comes in as `Ports`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Protocol
from zoneinfo import ZoneInfo

from cds.errors import MissingData
from cds.fhir.coverage import (
    CANCELLED,
    NOT_KNOWN,
    choose_coverage,
    named_among,
    read_coverages,
    standing_of,
    unresolved_payers,
    why_not_named,
)
from cds.fhir.measures import read_measures
from cds.fhir.orders import first_proposed, with_reasons
from cds.fhir.queries import INDISPENSABLE, queries_for
from cds.fhir.record import read_record, start_reading, supplementary_gaps
from cds.model import (
    Assessment,
    Coverage,
    Evidence,
    EvidenceState,
    Fact,
    Gap,
    Need,
    Order,
    Outcome,
    Query,
    Record,
    Standing,
    Statement,
)
from cds.rules.assess import assess
from cds.rules.needs import needs_of
from cds.rules.phase import phase_of
from cds.rules.policy import Policy
from cds.rules.safety import safety_of
from cds.rules.select import Selection, choose_named, select_policy
from cds.terminology import Terminology

log = logging.getLogger(__name__)
BASICS = (Need(Fact.PATIENT), Need(Fact.COVERAGE))
# What may be read by an order's word: anything else in its place could turn a read into a search.
_COVERAGE = re.compile(r"Coverage/(?!\.\.?$)[A-Za-z0-9.-]{1,64}")
_REQUESTER = re.compile(r"Practitioner(Role)?/(?!\.\.?$)[A-Za-z0-9.-]{1,64}")
TECHNICAL = (EvidenceState.REFUSED, EvidenceState.LATE, EvidenceState.FAILED)


class Source(Protocol):
    """Where evidence comes from: a call's prefetch and FHIR server, or a Bundle."""

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What came of each query, never an exception."""

    def held(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What is at hand for each query, without asking anybody."""

    def read(self, references: Sequence[str]) -> tuple[Evidence, ...]:
        """What came of reading single resources (`Organization/1`)."""


@dataclass(frozen=True)
class Ports:
    """What a deployment lends to every call. Immutable; holds nothing of any one call but its source."""

    terms: Terminology
    policies: tuple[Policy, ...]
    source: Source
    zone: ZoneInfo | None = None


@dataclass(frozen=True)
class Asked:
    """One question: these orders of this patient, today; `as_of` and `policy` only where somebody chose them.

    `days` are days chosen for single orders, by reference.
    """

    patient: str
    orders: tuple[Order, ...]
    today: date
    as_of: date | None = None
    policy: str | None = None
    days: Mapping[str, date] = field(default_factory=dict)


def assess_orders(asked: Asked, ports: Ports) -> tuple[Assessment, ...]:
    """Assess each therapy order. A failure inside one order's assessment fails that order alone.

    Raises MissingData (412) when what is indispensable was neither sent nor can be fetched.
    """
    if not asked.orders:
        return ()
    first = _needs_before_selection(asked, ports)
    basics = _gather(ports, queries_for(first, ports.terms))
    payers = _payers(asked, ports, basics)
    known_first = _record(asked, ports, basics) if len(first) > len(BASICS) else Record()
    choices = [_choose(asked, ports, order, payers, known_first) for order in asked.orders]
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


@dataclass(frozen=True)
class _Choice:
    order: Order
    as_of: date
    coverage: Coverage | None
    selection: Selection
    technical: bool = False
    standing: Standing = Standing.IN_FORCE
    lapsed: Coverage | None = None


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


def evaluation_date(asked: Asked, order: Order) -> date:
    """The day that was chosen, else the first proposed service date, else the day the order was written, else today.

    (domain rule 1.2)
    """
    authored = order.authored.exact if order.authored else None
    return asked.as_of or asked.days.get(order.reference) or first_proposed(order) or authored or asked.today


def _needs_before_selection(asked: Asked, ports: Ports) -> tuple[Need, ...]:
    """Coverage and patient, and what else the choice of a policy may turn on.

    That is the problem list where an order names its diagnosis by reference only, and what tells the phase
    of treatment where some policy applies to one phase only.
    """
    needs: tuple[Need, ...] = BASICS
    if any(ref.startswith("Condition/") for order in asked.orders for ref in order.supporting):
        needs += (Need(Fact.CONDITIONS),)
    if any(policy.applies_to.phases for policy in ports.policies):
        needs += (Need(Fact.VISITS), Need(Fact.PROCEDURES))
    return needs


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


@dataclass(frozen=True)
class _Payers:
    """The patient's coverages, or why there is none; `broken`: another system failed to say.

    `aliases` are the `Coverage/1` of entries that orders know by their URL, `organizations` the payers that were read.
    `unread` are coverages that an order names, and that another system failed to give.
    """

    coverages: tuple[tuple[Coverage, int | None], ...]
    cancelled: tuple[tuple[Coverage, int | None], ...]
    why_none: str
    broken: bool
    aliases: Mapping[str, str]
    organizations: tuple[Evidence, ...]
    unread: frozenset[str]

    def named(self, order: Order) -> tuple[str, ...]:
        """The coverages that an order names, as they are known here."""
        return tuple(dict.fromkeys(self.aliases.get(reference, reference) for reference in order.insurance))


def _payers(asked: Asked, ports: Ports, basics: Sequence[Evidence]) -> _Payers:
    """Coverages, with the payers that they name by reference only."""
    reading, by_type = start_reading(ports.terms, asked.patient, basics, ports.zone)
    found = by_type.get("Coverage", [])
    missing = _missing(asked, ports, {resource.reference for resource in found}, reading.aliases)
    found = [*found, *(one for each in missing for one in each.resources if one.reference == each.query.key)]
    held = {resource.reference for resource in by_type.get("Organization", [])}
    wanted = [reference for reference in unresolved_payers(reading, found) if reference not in held]
    more = ports.source.read(wanted) if wanted else ()
    organizations = [*by_type.get("Organization", []), *(r for each in more for r in each.resources)]
    failed = [e for e in (*basics, *more) if not e.whole and e.query.resource in ("Coverage", "Organization")]
    reason = failed[0].reason.removeprefix("Coverage could not be read: ") if failed else ""
    why = f"the coverage could not be read ({reason})" if failed else NOT_KNOWN
    # A list that was cut short may have held the coverage, or another one.
    broken = any(each.state in (*TECHNICAL, EvidenceState.CUT) for each in failed)
    coverages = read_coverages(reading, found, organizations)
    cancelled = read_coverages(reading.silent(), found, organizations, CANCELLED)
    unread = frozenset(each.query.key for each in missing if each.state in TECHNICAL and not each.absent)
    known = tuple(each for each in more if each.whole)
    return _Payers(coverages, cancelled, why, broken, reading.aliases, known, unread)


def _missing(asked: Asked, ports: Ports, held: Collection[str], aliases: Mapping[str, str]) -> tuple[Evidence, ...]:
    """The coverages that orders name, and that are not among the patient's active ones: what came of reading them."""
    named = [aliases.get(reference, reference) for order in asked.orders for reference in order.insurance]
    wanted = [ref for ref in dict.fromkeys(named) if _COVERAGE.fullmatch(ref) and ref not in held]
    return ports.source.read(wanted) if wanted else ()


def _choose(asked: Asked, ports: Ports, order: Order, payers: _Payers, known: Record) -> _Choice:
    """The policy in force for one order; forced by name where somebody asked for one."""
    order = with_reasons(order, known.conditions)
    as_of = evaluation_date(asked, order)
    named = payers.named(order)
    held, cancelled = named_among(payers.coverages, named), named_among(payers.cancelled, named)
    coverage, why = choose_coverage(held, as_of)
    if asked.policy is not None:
        return _Choice(order, as_of, coverage, choose_named(ports.policies, asked.policy, as_of))
    if coverage is None:
        standing, lapsed = standing_of(held, cancelled, as_of)
        unread = not payers.unread.isdisjoint(named)
        is_told = named and (payers.coverages or lapsed) and not payers.broken
        told = why_not_named(named, standing, as_of, unread=unread) if is_told else ""
        reason = told or (why if held else payers.why_none)
        broken = payers.broken or unread
        return _Choice(order, as_of, None, Selection(None, reason), broken, standing, lapsed)
    phased = any(policy.applies_to.phases for policy in ports.policies)
    phase = phase_of(order, known, as_of, ports.terms) if phased else None
    selection = select_policy(ports.policies, order, coverage, as_of, ports.terms, phase)
    return _Choice(order, as_of, coverage, selection, technical=payers.broken)


def _assess_one(choice: _Choice, record: Record, ports: Ports, extra: Sequence[Gap]) -> Assessment:
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
