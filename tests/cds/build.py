"""Small builders of FHIR resources, and the ways by which the tests read and weigh them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from cds.ehr.gather import BundleSource
from cds.fhir.bundles import parse_answer
from cds.fhir.orders import read_orders
from cds.fhir.queries import queries_for
from cds.fhir.record import read_record, start_reading
from cds.model import Assessment, CriterionResult, Evidence, EvidenceState, Fact, Need, Order, Query, Record, Resource
from cds.rules.load import load_policies, packaged_policies
from cds.rules.policy import (
    AppliesTo,
    Citation,
    Criterion,
    DatedValue,
    EpisodeRule,
    Leaf,
    Policy,
    Test,
    Threshold,
)
from cds.service import Asked, Ports, assess_orders
from cds.terminology import Terminology, packaged

Json = dict[str, Any]
PATIENT = "p"
TODAY = date(2025, 3, 10)
HIP = "hip-pain-extended-therapy"
CPT = "http://www.ama-assn.org/go/cpt"
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
UCUM = "http://unitsofmeasure.org"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
MEASURES = "https://therapy-cds.example/CodeSystem/outcome-measures"
THERAPY = "91251008"
OCCUPATIONAL = "84478008"
LEFT_HIP = "M25.552"
RIGHT_HIP = "M25.551"
LEFT_KNEE = "M25.562"


def terms() -> Terminology:
    return packaged()


@lru_cache(maxsize=1)
def policies() -> tuple[Policy, ...]:
    return load_policies([packaged_policies()], packaged())


# ------------------------------------------------------------------------------------------------- elements


def concept(system: str, code: str, text: str = "") -> Json:
    return {"coding": [{"system": system, "code": code}], **({"text": text} if text else {})}


def about(patient: str = PATIENT) -> Json:
    return {"reference": f"Patient/{patient}"}


def period(start: str, end: str | None = None) -> Json:
    return {"start": start, **({"end": end} if end else {})}


# ------------------------------------------------------------------------------------------------- resources


def patient(name: str = PATIENT) -> Json:
    return {"resourceType": "Patient", "id": name, "birthDate": "1988-05-01", "gender": "female"}


def coverage(payer: str = "hip-benchmark-plan", **more: Any) -> Json:
    return {
        "resourceType": "Coverage",
        "id": "c",
        "status": "active",
        "type": concept(ACT, "EHCPOL"),
        "beneficiary": about(),
        "payor": [{"identifier": {"system": "https://therapy-cds.example/payers", "value": payer}}],
    } | more


def encounter(day: str, *, reason: str | None = LEFT_HIP, service: str | None = THERAPY, **more: Any) -> Json:
    """A finished outpatient therapy visit of one day (or moment)."""
    found: Json = {
        "resourceType": "Encounter",
        "id": f"e-{day.replace(':', '').replace('+', 'p')}",
        "status": "finished",
        "class": {"system": ACT, "code": "AMB"},
        "subject": about(),
        "period": period(day, day),
    }
    if service:
        found["type"] = [concept(SNOMED, service)]
    if reason:
        found["reasonCode"] = [concept(ICD10, reason)]
    return found | more


def procedure(day: str, code: str = "97110", *, visit: str | None = None, **more: Any) -> Json:
    found: Json = {
        "resourceType": "Procedure",
        "id": f"pr-{day}-{code}",
        "status": "completed",
        "code": concept(CPT, code),
        "subject": about(),
        "performedDateTime": day,
    }
    if visit:
        found["encounter"] = {"reference": visit}
    return found | more


def surgery(day: str, **more: Any) -> Json:
    return procedure(day, "29916", id="surgery", bodySite=[concept(SNOMED, "287679003")]) | more


def claim(day: str, code: str = "97110", kind: str = "ExplanationOfBenefit", **more: Any) -> Json:
    return {
        "resourceType": kind,
        "id": f"cl-{day}",
        "status": "active",
        "use": "claim",
        "outcome": "complete",
        "patient": about(),
        "item": [{"sequence": 1, "productOrService": concept(CPT, code), "servicedDate": day}],
    } | more


def appointment(start: str, status: str = "booked", **more: Any) -> Json:
    return {
        "resourceType": "Appointment",
        "id": f"a-{start}",
        "status": status,
        "start": start,
        "serviceType": [concept(SNOMED, THERAPY)],
        "participant": [{"actor": about(), "status": "accepted"}],
    } | more


def condition(code: str, onset: str | None = None, *, status: str | None = "active", **more: Any) -> Json:
    found: Json = {"resourceType": "Condition", "id": f"co-{code}", "code": concept(ICD10, code), "subject": about()}
    if status:
        found["clinicalStatus"] = concept("http://terminology.hl7.org/CodeSystem/condition-clinical", status)
    if onset:
        found["onsetDateTime"] = onset
    return found | more


def observation(day: str, code: Json, value: float | None = None, **more: Any) -> Json:
    found: Json = {
        "resourceType": "Observation",
        "id": f"o-{day}-{code.get('text') or code['coding'][0]['code']}".replace(" ", "-"),
        "status": "final",
        "code": code,
        "subject": about(),
        "effectiveDateTime": day,
    }
    if value is not None:
        found["valueQuantity"] = {"value": value}
    return found | more


def ihot(day: str, score: float | None, **more: Any) -> Json:
    """An iHOT-12 total under the project's own code."""
    return observation(day, concept(MEASURES, "ihot-12"), score, **more)


def goal(status: str | None = None, day: str | None = None, **more: Any) -> Json:
    found: Json = {
        "resourceType": "Goal",
        "id": f"g-{status}-{day}",
        "lifecycleStatus": "active",
        "description": {"text": "Climb a flight of stairs"},
        "subject": about(),
    }
    if status:
        found["achievementStatus"] = concept("http://terminology.hl7.org/CodeSystem/goal-achievement", status)
    if day:
        found["statusDate"] = day
    return found | more


def care_plan(timing: Json | None, **detail: Any) -> Json:
    timed = {"scheduledTiming": timing} if timing else {}
    return {
        "resourceType": "CarePlan",
        "id": "plan",
        "status": "active",
        "intent": "plan",
        "subject": about(),
        "activity": [{"detail": {"status": "not-started", "code": concept(SNOMED, THERAPY), **timed, **detail}}],
    }


def service_request(**more: Any) -> Json:
    """A draft order of physical therapy for the left hip, written on TODAY; `None` leaves a member out."""
    found: Json = {
        "resourceType": "ServiceRequest",
        "id": "order",
        "status": "draft",
        "intent": "order",
        "code": concept(SNOMED, THERAPY, "Physical therapy"),
        "subject": about(),
        "authoredOn": "2025-03-10",
        "reasonCode": [concept(ICD10, LEFT_HIP)],
    } | more
    return {key: value for key, value in found.items() if value is not None}


def visits(number: int = 2, unit: str = "visit", code: str = "{visit}") -> Json:
    return {"value": number, "unit": unit, "system": UCUM, "code": code}


def weekly(frequency: int = 2, most: int | None = None, **bounds: Any) -> Json:
    more = {"frequencyMax": most} if most else {}
    return {"repeat": {"frequency": frequency, **more, "period": 1, "periodUnit": "wk", **bounds}}


def bundle(*resources: Json, kind: str = "collection", **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": kind, "entry": [{"resource": r} for r in resources]} | more


# -------------------------------------------------------------------------------------------------- examples


@lru_cache(maxsize=8)
def _example_text(name: str) -> str:
    return files("fhir_profiles").joinpath("examples").joinpath(f"{name}.json").read_text("utf-8")


def example(name: str) -> list[Json]:
    """The resources of an example patient, fresh to be changed."""
    return [entry["resource"] for entry in json.loads(_example_text(name))["entry"]]


def changed(resources: list[Json], name: str, change: Callable[[Json], Json | None]) -> list[Json]:
    """The resources with one (by id) changed, or taken out where `change` gives None."""
    assert any(resource["id"] == name for resource in resources), name
    made = [change(copy.deepcopy(r)) if r["id"] == name else r for r in resources]
    return [resource for resource in made if resource is not None]


def visits_of(resources: list[Json]) -> list[str]:
    """Ids of the example's visits in order."""
    return sorted(r["id"] for r in resources if r["resourceType"] == "Encounter")


# --------------------------------------------------------------------------------------------- reading, weighing


def entries(*resources: Json) -> tuple[Resource, ...]:
    return parse_answer(json.dumps(bundle(*resources)).encode()).resources


class Failing(BundleSource):
    """A Bundle, some of whose queries come out as a server's failures."""

    def __init__(self, resources: tuple[Resource, ...], states: Mapping[str, EvidenceState]) -> None:
        super().__init__(resources)
        self.states = states

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        whole = super().gather(queries)
        return tuple(
            Evidence(e.query, self.states[e.query.key], reason=f"{e.query.resource} could not be read")
            if e.query.key in self.states
            else e
            for e in whole
        )


def assess(
    *resources: Json,
    as_of: date | None = None,
    policy: str | None = None,
    failing: Mapping[str, EvidenceState] | None = None,
    today: date = TODAY,
    among: tuple[Policy, ...] | None = None,
) -> Assessment:
    """The assessment of the one draft order among the resources, by the path that every face takes."""
    drafts = [r for r in resources if r["resourceType"] == "ServiceRequest" and r.get("status") == "draft"]
    assert len(drafts) == 1
    held = entries(*(r for r in resources if r not in drafts))
    name = next(r["id"] for r in resources if r["resourceType"] == "Patient")
    orders, problems = read_orders([("draft", drafts[0])], terms(), name)
    assert not problems
    source = Failing(held, failing or {})
    asked = Asked(name, orders, today, as_of, policy)
    (assessment,) = assess_orders(asked, Ports(terms(), among or policies(), source))
    return assessment


def results(assessment: Assessment) -> dict[str, str]:
    return {criterion.id: criterion.result.value for criterion in assessment.criteria}


def says(assessment: Assessment, criterion: str) -> str:
    return next(c.says for c in assessment.criteria if c.id == criterion)


def basics() -> list[Json]:
    """Patient and coverage: what every Bundle needs beside its order."""
    return [patient(), coverage()]


def weigh(*resources: Json, order: Json | None = None, **how: Any) -> Assessment:
    """Weigh a usual order (two visits) of a patient whose record these resources are."""
    return assess(*basics(), *resources, order or service_request(quantityQuantity=visits(2)), **how)


def record_of(*resources: Json, name: str = PATIENT, zone: ZoneInfo | None = None) -> Record:
    needs = [Need(fact) for fact in Fact]
    evidence = BundleSource(entries(*resources)).gather(queries_for(needs, terms()))
    reading, by_type = start_reading(terms(), name, evidence, zone)
    return read_record(reading, by_type, evidence)


def order_of(resource: Json, name: str = PATIENT, aliases: Mapping[str, str] | None = None) -> Order:
    orders, problems = read_orders([("draftOrders.entry[0]", resource)], terms(), name, aliases)
    assert not problems
    (order,) = orders
    return order


def reasons(record: Record) -> list[str]:
    """What is noted, as `source: reason`."""
    return [f"{note.source}: {note.reason}" for note in record.notes]


# -------------------------------------------------------------------------------------------------- policies

CITE = Citation("A choice of the tests", "", "2026-11-22", verified=True)


def policy_of(*criteria: Criterion, name: str = "tested", thresholds: Mapping[str, float] | None = None) -> Policy:
    """A policy in force for all, with these criteria and figures (`episode-gap` is 60 days unless given)."""
    figures = {"episode-gap": 60.0, **(thresholds or {})}
    start = date(2000, 1, 1)
    return Policy(
        id=name,
        version="2000-01-01",
        title="A policy of the tests",
        kind="benchmark",
        summary="",
        applies_to=AppliesTo(),
        start=start,
        end=None,
        episode=EpisodeRule(gap="episode-gap"),
        thresholds={
            key: Threshold(key, "days", (DatedValue(start, figure, (), CITE),)) for key, figure in figures.items()
        },
        criteria=criteria,
        cite=CITE,
    )


def criterion(
    test: Test, name: str = "tested", *, required: bool = True, applies_when: Test | None = None
) -> Criterion:
    return Criterion(name, "It is as it should be", required, test, applies_when, None, CITE)


def found(
    kind: str,
    *resources: Json,
    params: Mapping[str, Any] | None = None,
    figures: Mapping[str, float] | None = None,
    **how: Any,
) -> CriterionResult:
    """What one kind of test finds of a patient whose record these resources are."""
    policy = policy_of(criterion(Leaf(kind, params or {})), thresholds=figures)
    (result,) = weigh(*resources, policy="tested", among=(policy,), **how).criteria
    return result


def result(kind: str, *resources: Json, **how: Any) -> str:
    return found(kind, *resources, **how).result.value
