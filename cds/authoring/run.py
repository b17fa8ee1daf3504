"""Run cases through the real path, from resources to assessment, and say what differs from what is expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from cds.as_json import visits_json
from cds.authoring.cases import SELECTED, PolicyCase
from cds.authoring.given import Given, build
from cds.ehr.gather import BundleSource
from cds.model import Assessment, Evidence, EvidenceState, Query, Resource
from cds.rules.policy import Policy
from cds.service import Asked, Ports, assess_orders
from cds.terminology import Terminology


class CaseSource(BundleSource):
    """A Bundle as evidence, with searches that the EHR refuses. It keeps what it gave."""

    def __init__(self, resources: Sequence[Resource], fails: frozenset[str]) -> None:
        """`fails` are the resource types whose searches are refused."""
        super().__init__(resources)
        self._fails = fails
        self.given: list[Evidence] = []

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        """What the Bundle holds, or a refusal."""
        found = tuple(self._refused(evidence) for evidence in super().gather(queries))
        self.given += found
        return found

    def read(self, references: Sequence[str]) -> tuple[Evidence, ...]:
        """Single resources of the Bundle, or a refusal."""
        found = tuple(self._refused(evidence) for evidence in super().read(references))
        self.given += found
        return found

    def _refused(self, evidence: Evidence) -> Evidence:
        kind = evidence.query.resource
        if kind not in self._fails:
            return evidence
        reason = f"{kind} could not be read: the FHIR server refused the search"
        return replace(evidence, state=EvidenceState.REFUSED, resources=(), reason=reason)


@dataclass(frozen=True)
class Difference:
    """One thing that came out otherwise than the case expects; `says` is what the assessment said of it."""

    what: str
    expected: object
    got: object
    says: str = ""

    def __str__(self) -> str:
        """In one line."""
        said = f' ("{self.says}")' if self.says else ""
        return f"{self.what}: expected {_word(self.expected)}, got {_word(self.got)}{said}"


def _word(value: object) -> str:
    return "unknown (null)" if value is None else str(value)


@dataclass(frozen=True)
class Ran:
    """What came of a case."""

    case: PolicyCase
    assessment: Assessment
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        """Whether everything came out as expected."""
        return not self.differences


def run_case(case: PolicyCase, policies: tuple[Policy, ...], terms: Terminology, today: date) -> Ran:
    """Build what is given, assess it, compare; PolicyError where the case itself is wrong."""
    given = build(case, terms, today)
    source = CaseSource(given.record, given.fails)
    assessment = assess_given(case, given, Ports(terms, policies, source), today)
    return Ran(case, assessment, tuple(differences(case, assessment)))


def assess_given(case: PolicyCase, given: Given, ports: Ports, today: date) -> Assessment:
    """The assessment of the first order under the policy that the case is about."""
    forced = None if case.policy == SELECTED else case.policy
    asked = Asked(given.patient, given.orders[:1], today, case.on, forced)
    found = assess_orders(asked, ports)
    wanted = case.expect.get("policy", case.owner)
    return next((assessment for assessment in found if assessment.policy == wanted), found[0])


def differences(case: PolicyCase, assessment: Assessment) -> Iterator[Difference]:
    """Whatever is not as expected: the outcome, the policy, the visits, the criteria."""
    expect = case.expect
    if expect.get("outcome", assessment.outcome) != assessment.outcome:
        yield Difference("outcome", expect["outcome"], assessment.outcome.value, assessment.says)
    if "policy" in expect and assessment.policy != expect["policy"]:
        yield Difference("policy", expect["policy"], assessment.policy, assessment.says)
    if "adding" in expect and sorted(expect["adding"]) != sorted(assessment.adding):
        yield Difference("adding", expect["adding"], list(assessment.adding), assessment.says)
    yield from _visits_differ(expect.get("visits", {}), assessment)
    results = {result.id: result for result in assessment.criteria}
    for name, wanted in expect.get("criteria", {}).items():
        result = results.get(name)
        if result is None:
            yield Difference(name, wanted, "no such criterion in the assessment", assessment.says)
        elif result.result != wanted:
            yield Difference(name, wanted, result.result.value, result.says)


def _visits_differ(wanted: Mapping[str, Any], assessment: Assessment) -> Iterator[Difference]:
    found = visits_json(assessment.visits) or {}
    for key, value in wanted.items():
        if found.get(key) != value:
            says = assessment.visits.says if assessment.visits else ""
            yield Difference(f"visits.{key}", value, found.get(key), says)
