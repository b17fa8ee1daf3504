"""Where in its course an order stands, for policies that apply to one phase only (domain rule 1.5)."""

from __future__ import annotations

from datetime import date

from cds.model import Fact, Order, Record, add_months
from cds.rules.episode import find_spell, surgeries_of
from cds.terminology import Terminology

PHASES = ("initial", "continuation", "post-op", "programme")
# The gap after which therapy begins anew, and the months after surgery that other standards apply to. Policies
# have their own figures for their criteria; these two only choose the policy.
GAP_DAYS = 60
POST_OP_MONTHS = 6


def phase_of(order: Order, record: Record, as_of: date, terms: Terminology) -> str | None:
    """The phase of an order as of a day, or None where the record leaves it in doubt."""
    if terms.in_set(order.concept, "pain-programme-services"):
        return "programme"
    since = add_months(as_of, -POST_OP_MONTHS)
    surgeries = [done.day.within(since, as_of) for done in surgeries_of(order, record.procedures)]
    if any(surgeries):
        return "post-op"
    if None in surgeries or record.doubts(Fact.PROCEDURES):
        return None
    spell = find_spell(order, record, as_of, GAP_DAYS)
    if spell.visits:
        return "continuation"
    return None if spell.unsure or record.doubts(Fact.VISITS) else "initial"
