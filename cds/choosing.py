"""Which coverage an order is weighed under, and which policy. A payer is never guessed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from cds.asked import BASICS, TECHNICAL, Asked, Ports
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
from cds.fhir.orders import first_proposed, with_reasons
from cds.fhir.record import start_reading
from cds.model import Coverage, Evidence, EvidenceState, Fact, Need, Order, Record, Standing
from cds.rules.phase import phase_of
from cds.rules.select import Selection, choose_named, select_policy

# What may be read by an order's word: anything else in its place could turn a read into a search.
_COVERAGE = re.compile(r"Coverage/(?!\.\.?$)[A-Za-z0-9.-]{1,64}")


@dataclass(frozen=True)
class Choice:
    """What one order is weighed by: the day, the coverage, the policies; `technical`: another system failed to tell."""

    order: Order
    as_of: date
    coverage: Coverage | None
    selection: Selection
    technical: bool = False
    standing: Standing = Standing.IN_FORCE
    lapsed: Coverage | None = None


@dataclass(frozen=True)
class Payers:
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


def payers_of(asked: Asked, ports: Ports, basics: Sequence[Evidence]) -> Payers:
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
    return Payers(coverages, cancelled, why, broken, reading.aliases, known, unread)


def _missing(asked: Asked, ports: Ports, held: Collection[str], aliases: Mapping[str, str]) -> tuple[Evidence, ...]:
    """The coverages that orders name, and that are not among the patient's active ones: what came of reading them."""
    named = [aliases.get(reference, reference) for order in asked.orders for reference in order.insurance]
    wanted = [ref for ref in dict.fromkeys(named) if _COVERAGE.fullmatch(ref) and ref not in held]
    return ports.source.read(wanted) if wanted else ()


def choose(asked: Asked, ports: Ports, order: Order, payers: Payers, known: Record) -> Choice:
    """The policy in force for one order; forced by name where somebody asked for one."""
    order = with_reasons(order, known.conditions)
    as_of = evaluation_date(asked, order)
    named = payers.named(order)
    held, cancelled = named_among(payers.coverages, named), named_among(payers.cancelled, named)
    coverage, why = choose_coverage(held, as_of)
    if asked.policy is not None:
        return Choice(order, as_of, coverage, choose_named(ports.policies, asked.policy, as_of))
    if coverage is None:
        standing, lapsed = standing_of(held, cancelled, as_of)
        unread = not payers.unread.isdisjoint(named)
        is_told = named and (payers.coverages or lapsed) and not payers.broken
        told = why_not_named(named, standing, as_of, unread=unread) if is_told else ""
        reason = told or (why if held else payers.why_none)
        broken = payers.broken or unread
        return Choice(order, as_of, None, Selection(None, reason), broken, standing, lapsed)
    phased = any(policy.applies_to.phases for policy in ports.policies)
    phase = phase_of(order, known, as_of, ports.terms) if phased else None
    selection = select_policy(ports.policies, order, coverage, as_of, ports.terms, phase)
    return Choice(order, as_of, coverage, selection, technical=payers.broken)


def evaluation_date(asked: Asked, order: Order) -> date:
    """The day that was chosen, else the first proposed service date, else the day the order was written, else today.

    (domain rule 1.2)
    """
    authored = order.authored.exact if order.authored else None
    return asked.as_of or asked.days.get(order.reference) or first_proposed(order) or authored or asked.today


def needs_before_selection(asked: Asked, ports: Ports) -> tuple[Need, ...]:
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
