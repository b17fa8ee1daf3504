"""Which policy is in force for an order, under a coverage, on a service date (domain rule 1.5).

Exact beats wildcard field by field, in the order line of business, jurisdiction, payer, plan, service,
diagnosis, phase. Two equally specific coverage policies are a tie, and a tie is no policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from cds.model import Concept, Coverage, Order
from cds.rules.policy import AppliesTo, Policy
from cds.terminology import ICD10, Terminology

ADDING_KINDS = ("statute", "billing", "benefit")


@dataclass(frozen=True)
class Selection:
    """The selected policy (None: no policy, and `why`), and the policies of other kinds that add to it."""

    policy: Policy | None
    why: str
    adding: tuple[Policy, ...] = ()

    @property
    def all(self) -> tuple[Policy, ...]:
        """The selected policy and what adds to it; nothing where no policy was selected."""
        return (self.policy, *self.adding) if self.policy else ()


def select_policy(
    policies: Iterable[Policy],
    order: Order,
    coverage: Coverage | None,
    day: date,
    terms: Terminology,
    phase: str | None = None,
) -> Selection:
    """Choose by specificity; never by the order of files."""
    reigning = [policy for policy in policies if policy.in_force(day)]
    fitting = [
        (rank, policy)
        for policy in reigning
        if (rank := specificity(policy.applies_to, order, coverage, terms, phase)) is not None
    ]
    adding = tuple(sorted((p for _, p in fitting if p.kind in ADDING_KINDS), key=lambda policy: policy.id))
    candidates = [(rank, policy) for rank, policy in fitting if policy.kind not in ADDING_KINDS]
    if not candidates and adding:
        return Selection(adding[0], "", adding[1:])  # rules that only add are all there is for this coverage
    if not candidates:
        return Selection(None, _none_applies(reigning, order, coverage, day, terms))
    best = max(rank for rank, _ in candidates)
    chosen = sorted((policy for rank, policy in candidates if rank == best), key=lambda policy: policy.id)
    if len(chosen) > 1:
        named = " and ".join(f"{policy.title} ({policy.id})" for policy in chosen)
        return Selection(None, f"two policies match equally well: {named}", adding)
    return Selection(chosen[0], "", adding)


def choose_named(policies: Iterable[Policy], name: str, day: date) -> Selection:
    """The policy that somebody asked for by name, and what adds to policies of its payers or lines."""
    known = tuple(policies)
    named = next((policy for policy in known if policy.id == name), None)
    if named is None:
        return Selection(None, f"there is no policy '{name}'")
    adding = (p for p in known if p.kind in ADDING_KINDS and p.id != name and p.in_force(max(day, p.start)))
    own = named.applies_to
    kin = [p for p in adding if _shares(p.applies_to.payers, own.payers) or _shares(p.applies_to.plans, own.plans)]
    return Selection(named, "", tuple(sorted(kin, key=lambda policy: policy.id)))


def _shares(mine: Sequence[str], others: Sequence[str]) -> bool:
    return bool(set(mine) & set(others))


def _none_applies(
    policies: Sequence[Policy], order: Order, coverage: Coverage | None, day: date, terms: Terminology
) -> str:
    if coverage and not coverage.payers and not coverage.payer_name:
        return "the coverage names no payer that can be read, so it cannot be told whose policy applies"
    if coverage and not coverage.payers:
        return f"the payer {coverage.payer_name} is named without an identifier, so its policy cannot be told"
    payer = coverage.payer_name or "this payer" if coverage else "this payer"
    others = (replace(p.applies_to, diagnoses=()) for p in policies if p.applies_to.diagnoses)
    if not _coded(order) and any(specificity(other, order, coverage, terms) for other in others):
        return f"the order names no coded diagnosis, by which a policy of {payer} would be chosen"
    return f"no policy of {payer} for {order.label[:1].lower()}{order.label[1:]} is in force on {day.isoformat()}"


def _coded(order: Order) -> bool:
    return any(code.system == ICD10 for reason in order.reasons for code in reason.codes)


def specificity(
    applies: AppliesTo, order: Order, coverage: Coverage | None, terms: Terminology, phase: str | None = None
) -> tuple[int, ...] | None:
    """One number for each field (0: wildcard); None where the policy does not apply."""
    line = coverage.line_of_business if coverage else None
    ranks = [
        _one_of(applies.lines_of_business, [line]),
        _one_of(applies.jurisdictions, [coverage.jurisdiction if coverage else None]),
        _one_of(applies.payers, coverage.payers if coverage else ()),
        _one_of(applies.plans, [coverage.plan if coverage else None]),
        _services(applies, order, terms),
        _diagnoses(applies.diagnoses, order),
        _one_of(applies.disciplines, [order.discipline.value]) if order.discipline else 0,
        _one_of(applies.phases, [phase]),
    ]
    if any(rank is None for rank in ranks):
        return None
    return tuple(rank for rank in ranks if rank is not None)


def _one_of(wanted: Sequence[str], given: Iterable[str | None]) -> int | None:
    if not wanted:
        return 0
    return 1 if set(wanted) & set(given) else None


def _services(applies: AppliesTo, order: Order, terms: Terminology) -> int | None:
    if not applies.services:
        return 0
    codes = Concept((*order.concept.codes, *(line.code for line in order.lines)), order.concept.text)
    return 1 if any(terms.in_set(codes, name) for name in applies.services) else None


def _diagnoses(prefixes: Sequence[str], order: Order) -> int | None:
    """How long the longest branch is that fits one of the order's diagnoses."""
    if not prefixes:
        return 0
    codes = [code.code.replace(".", "") for r in order.reasons for code in r.codes if code.system == ICD10]
    fitting = [len(p) for p in prefixes if any(code.startswith(p.replace(".", "")) for code in codes)]
    return max(fitting, default=None)
