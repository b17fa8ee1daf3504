"""Which authorizations on file are for an order: by who gave them, and by what they were given for. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from cds.model import Authorization, Concept, Coverage, Order
from cds.terminology import Terminology

_THERAPY = ("therapy-services", "pain-programme-services")


def authorizations_for(
    order: Order, coverage: Coverage | None, among: Iterable[Authorization], terms: Terminology
) -> tuple[tuple[Authorization, ...], tuple[Authorization, ...]]:
    """The authorizations that are for an order, and those of which it cannot be told; others are left out."""
    mine = [each for each in among if not _is_of_another(each, coverage)]
    sure = [each for each in mine if _is_for(each, order, terms)]
    return tuple(sure), tuple(each for each in mine if each not in sure)


def _is_of_another(authorization: Authorization, coverage: Coverage | None) -> bool:
    """Whether another insurer gave it than the coverage's payer, where both are known by the same means."""
    if coverage is None:
        return False
    pairs = [
        (set(authorization.insurers), set(coverage.payers)),
        (set(authorization.insurer_references), set(coverage.payer_references)),
    ]
    known = [(theirs, ours) for theirs, ours in pairs if theirs and ours]
    return bool(known) and not any(theirs & ours for theirs, ours in known)


def _is_for(authorization: Authorization, order: Order, terms: Terminology) -> bool:
    """Whether nothing that the authorization says of its services leaves it open that the order is meant."""
    granted, refused = _codes(authorization.services), _codes(authorization.refused)
    lines = {(line.code.system, line.code.code) for line in order.lines}
    if authorization.partial or lines & (refused - granted):
        return False
    if any(_is_therapy_of(order, each, terms) for each in authorization.refused) and not authorization.services:
        return False
    return (
        not authorization.services
        or bool(lines & granted)
        or any(_is_therapy_of(order, service, terms) for service in authorization.services)
    )


def _codes(concepts: Iterable[Concept]) -> set[tuple[str, str]]:
    return {(code.system, code.code) for concept in concepts for code in concept.codes}


def _is_therapy_of(order: Order, service: Concept, terms: Terminology) -> bool:
    """Whether a service is a therapy, and of no other discipline than the order's."""
    if not any(terms.in_set(service, name) for name in _THERAPY):
        return False
    return (terms.discipline(service) or order.discipline) in (order.discipline, None) or order.discipline is None
