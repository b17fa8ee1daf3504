"""Which mistakes in a policy would none of its cases notice?

Each case is read once; a mutation then only weighs the records again, which takes a millisecond or less.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase

from cds.authoring.cases import EQUIVALENT, SELECTED, PolicyCase, read_cases
from cds.authoring.equivalents import Equivalent, read_equivalents
from cds.authoring.given import Given, build
from cds.authoring.library import Authored
from cds.authoring.mutations import Mutation, mutations
from cds.authoring.run import CaseSource, assess_given, differences
from cds.errors import PolicyError
from cds.fhir.record import read_record, start_reading
from cds.model import Assessment, Record
from cds.rules.assess import assess
from cds.rules.policy import Policy
from cds.rules.select import choose_named
from cds.service import Ports
from cds.terminology import Terminology
from cds.yamlfile import read_yaml


@dataclass(frozen=True)
class Prepared:
    """A case with its record read, ready to be weighed under one changed policy after another."""

    case: PolicyCase
    given: Given
    record: Record
    assessment: Assessment

    def notices(self, mutation: Mutation, policies: Sequence[Policy], terms: Terminology, today: date) -> bool:
        """Whether the case comes out otherwise than it expects under the changed policy."""
        library = tuple(mutation.policy if p.id == mutation.policy.id else p for p in policies)
        if self.case.policy == SELECTED:
            ports = Ports(terms, library, CaseSource(self.given.record, self.given.fails))
            changed = assess_given(self.case, self.given, ports, today)
        else:
            try:
                changed = self.weigh(library, terms)
            except Exception:  # the service would answer with a fault: nobody could overlook that
                return True
        return any(differences(self.case, changed))

    def weigh(self, policies: Sequence[Policy], terms: Terminology) -> Assessment:
        """Weigh the record as it was read, under the policy that the case forces."""
        known = self.assessment
        chosen = choose_named(policies, self.case.policy, known.as_of)
        if chosen.policy is None:
            return known
        return assess(known.order, known.coverage, self.record, chosen.policy, known.as_of, terms, chosen.adding)


@dataclass(frozen=True)
class Hole:
    """A mutation that no case notices, or a declaration of an equivalent that does not hold."""

    group: str
    says: str
    where: str


@dataclass(frozen=True)
class Report:
    """What came of mutating one policy."""

    policy: str
    tried: int
    equivalent: int
    holes: tuple[Hole, ...]


def mutate_policy(authored: Authored, library: Sequence[Authored], terms: Terminology, today: date) -> Report:
    """Try every mutation of a policy on its cases; PolicyError where a case fails before anything is changed."""
    policy, policies = authored.policy, tuple(each.policy for each in library)
    document = read_yaml(authored.folder.joinpath("policy.yaml"), PolicyError, name=policy.source)
    own = [case for case in read_cases(authored, library) if case.policy in (policy.id, SELECTED)]
    cases = [prepare(case, policies, terms, today) for case in own]
    declared = read_equivalents(authored)
    used: set[int] = set()
    holes: list[Hole] = []
    tried = 0
    for mutation in mutations(policy):
        tried += 1
        if _noticed(mutation, cases, policies, terms, today):
            continue
        excuse = [index for index, each in enumerate(declared) if fnmatchcase(mutation.says, each.mutation)]
        used.update(excuse)
        if not excuse:
            holes.append(Hole(mutation.group, mutation.says, document.where(mutation.path)))
    holes += _idle(declared, used)
    return Report(policy.id, tried, len(used), tuple(sorted(holes, key=lambda hole: hole.group)))


def _noticed(
    mutation: Mutation, cases: Sequence[Prepared], policies: Sequence[Policy], terms: Terminology, today: date
) -> bool:
    ordered = sorted(cases, key=lambda each: _distance(each, mutation))
    # A mutation may bring about a fault, which the service logs; here it only means that it was noticed.
    logging.disable(logging.CRITICAL)
    try:
        return any(each.notices(mutation, policies, terms, today) for each in ordered)
    finally:
        logging.disable(logging.NOTSET)


def prepare(case: PolicyCase, policies: tuple[Policy, ...], terms: Terminology, today: date) -> Prepared:
    """Read a case once; PolicyError where it is not as expected to begin with."""
    given = build(case, terms, today)
    source = CaseSource(given.record, given.fails)
    assessment = assess_given(case, given, Ports(terms, policies, source), today)
    if wrong := next(differences(case, assessment), None):
        raise case.wrong(f"This case fails before anything is changed: {wrong}", "Run `policy test` first")
    reading, by_type = start_reading(terms, given.patient, source.given)
    return Prepared(case, given, read_record(reading, by_type, source.given), assessment)


def _distance(prepared: Prepared, mutation: Mutation) -> tuple[bool, bool]:
    """Cases that are likely to notice come first: those that name the criterion, and those that are quick."""
    named = bool(mutation.concerns & prepared.case.expect.get("criteria", {}).keys())
    selected = prepared.case.policy == SELECTED
    return (selected, not named) if mutation.concerns else (not selected, not named)


def _idle(declared: Sequence[Equivalent], used: set[int]) -> Iterator[Hole]:
    for index, each in enumerate(declared):
        if index not in used:
            says = f"'{each.mutation}' is declared equivalent, but a case notices it or there is no such mutation"
            yield Hole(EQUIVALENT, says, each.where)
