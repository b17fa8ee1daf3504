"""A policy as a FHIR R4 PlanDefinition, so that others' tools can list what is in force (hl7.org/fhir/R4)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from cds.authoring.explain import KIND_SAYS, sentence
from cds.authoring.sentences import Words
from cds.rules.policy import Citation, Criterion, Policy
from cds.terminology import Terminology

Json = dict[str, Any]
_TYPES = "http://terminology.hl7.org/CodeSystem/plan-definition-type"
_CONTEXTS = "http://terminology.hl7.org/CodeSystem/usage-context-type"
_PAYERS = "https://therapy-cds.example/payers"
_SUBDIVISIONS = "urn:iso:std:iso:3166:-2"
_COUNTRIES = "urn:iso:std:iso:3166"


def plan_definition(policy: Policy, terms: Terminology, base: str, today: date) -> Json:
    """The PlanDefinition of a policy; `base` is the FHIR base under which it is found."""
    words = Words(policy, terms)
    contexts = list(_contexts(policy, terms))
    places = [{"coding": [_place(place)]} for place in policy.applies_to.jurisdictions]
    return {
        "resourceType": "PlanDefinition",
        "id": policy.id,
        "url": f"{base}/PlanDefinition/{policy.id}",
        "version": policy.version,
        "name": "".join(part.capitalize() for part in policy.id.split("-")),
        "title": policy.title,
        "subtitle": KIND_SAYS[policy.kind],
        "type": {"coding": [{"system": _TYPES, "code": "eca-rule"}], "text": policy.kind},
        "status": status(policy, today),
        "date": policy.version,
        **({"description": policy.summary} if policy.summary else {}),
        **({"useContext": contexts} if contexts else {}),
        **({"jurisdiction": places} if places else {}),
        "effectivePeriod": _period(policy),
        "relatedArtifact": [_artifact(cite) for cite in _citations(policy)],
        "action": [_action(criterion, words) for criterion in policy.criteria],
    }


def status(policy: Policy, today: date) -> str:
    """`active` while in force, `retired` afterwards, `draft` before."""
    if policy.in_force(today):
        return "active"
    return "draft" if today < policy.start else "retired"


def _period(policy: Policy) -> Json:
    """FHIR's periods include their last day; a policy's end is the first day on which it no longer holds."""
    end = {"end": (policy.end - timedelta(days=1)).isoformat()} if policy.end else {}
    return {"start": policy.start.isoformat(), **end}


def _contexts(policy: Policy, terms: Terminology) -> Iterator[Json]:
    """Diagnoses as focus, services as task, payers, plans and lines of business as programme."""
    applies = policy.applies_to
    for branch in applies.diagnoses:
        yield _context("focus", {"coding": [{"system": terms.url("icd-10-cm"), "code": branch}]})
    for name in applies.services:
        yield _context("task", {"text": terms.valueset(name).title})
    for payer in applies.payers:
        yield _context("program", {"coding": [{"system": _PAYERS, "code": payer}], "text": f"payer {payer}"})
    for plan in applies.plans:
        yield _context("program", {"text": f"plan {plan}"})
    for line in applies.lines_of_business:
        yield _context("program", {"text": line.replace("-", " ")})


def _context(code: str, concept: Json) -> Json:
    return {"code": {"system": _CONTEXTS, "code": code}, "valueCodeableConcept": concept}


def _place(code: str) -> Json:
    return {"system": _SUBDIVISIONS if "-" in code else _COUNTRIES, "code": code}


def _citations(policy: Policy) -> Iterator[Citation]:
    """Every source of the policy, once."""
    figures = [value.cite for threshold in policy.thresholds.values() for value in threshold.values]
    yield from dict.fromkeys((policy.cite, *figures, *(criterion.cite for criterion in policy.criteria)))


def _artifact(cite: Citation, kind: str = "citation") -> Json:
    checked = f"Checked on {cite.checked_on}, {'verified' if cite.verified else 'not verified'}"
    return {"type": kind, "display": checked, "citation": cite.text, **({"url": cite.url} if cite.url else {})}


def _action(criterion: Criterion, words: Words) -> Json:
    """One criterion. Its logic stays here: no expression language that others would have to run."""
    text = sentence(criterion.test, words)
    if criterion.applies_when is not None:
        text = f"Asked only when: {sentence(criterion.applies_when, words)} {text}"
    return {
        "id": criterion.id,
        "title": criterion.statement,
        "textEquivalent": text,
        "code": [{"text": "required" if criterion.required else "advice"}],
        "documentation": [_artifact(criterion.cite, "documentation")],
    }
