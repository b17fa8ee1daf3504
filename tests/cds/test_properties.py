"""What holds for every record: order, repetition and what is beside the point change nothing, doubt never helps.

The records are the five examples with resources taken out, added, moved in time, given other scores.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds.as_json import assessment_json
from cds.ehr.gather import BundleSource
from cds.fhir.orders import read_orders
from cds.model import Assessment, Evidence, EvidenceState, Query, Resource
from cds.rules.policy import Policy
from cds.service import Asked, Ports, assess_orders
from tests.cds.build import (
    CPT,
    ICD10,
    LOINC,
    MEASURES,
    SNOMED,
    THERAPY,
    Json,
    concept,
    entries,
    example,
    policies,
    results,
    terms,
)

STATEMENTS = "https://therapy-cds.example/CodeSystem/clinical-statements"
WORK = "https://therapy-cds.example/CodeSystem/work-status"
RIGHT, LEFT = "287579007", "287679003"
TODAY = date(2026, 1, 15)
FIXED = frozenset(("Patient", "Coverage", "Organization", "Practitioner", "ServiceRequest"))
# Searches that always count; the rest are supplements, whose refusal leaves the EHR's own record whole.
COUNTED = (
    "Encounter",
    "Procedure",
    "Condition",
    "Observation",
    "QuestionnaireResponse",
    "Goal",
    "CarePlan",
    "ImagingStudy",
    "DiagnosticReport",
    "MedicationRequest",
    "DocumentReference",
    "Appointment",
)
STRICT = "pain-rehabilitation-program-strict"
UNSETTLED = frozenset(("unknown", "not-met"))
# A generated record is long, and hypothesis warns that it is when it tells of a failure.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass(frozen=True)
class Setting:
    """An example: its evaluation date, the policies to weigh it under (None: its coverage's), its sites."""

    name: str
    day: date
    policies: tuple[str | None, ...]
    site: str


SETTINGS = (
    Setting("f000", date(2025, 3, 10), (None, "medicare-outpatient-therapy", "plan-visit-limit-template"), LEFT),
    Setting("f001", date(2025, 9, 5), (None, "sample-prior-authorization-97110", "medicare-outpatient-therapy"), LEFT),
    Setting("f002", date(2015, 8, 21), (None, "hip-pain-extended-therapy"), RIGHT),
    Setting("f003", date(2025, 6, 1), (None, "hip-pain-extended-therapy"), RIGHT),
    Setting("f004", date(2025, 3, 3), (None, STRICT), LEFT),
)


@dataclass(frozen=True, repr=False)
class Given:
    """A generated record, and how it is to be weighed."""

    setting: Setting
    policy: str | None
    resources: tuple[Json, ...]

    def __repr__(self) -> str:
        """What differs from the example, for whoever has to find the fault."""
        known = {r["id"]: r for r in base(self.setting.name)}
        gone = sorted(known.keys() - {r["id"] for r in self.resources})
        other = [r for r in self.resources if known.get(r["id"]) != r]
        return f"{self.setting.name} under {self.policy}, without {gone}, with {json.dumps(other)}"

    @property
    def patient(self) -> str:
        return self.setting.name

    def with_(self, resources: Sequence[Json]) -> Given:
        return replace(self, resources=tuple(resources))


# ----------------------------------------------------------------------------------------------- what is added


def on(day: date) -> str:
    return day.isoformat()


def visit(day: date, given: Setting, number: int) -> Json:
    return {
        "resourceType": "Encounter",
        "id": f"visit-{number}",
        "status": ("finished", "finished", "finished", "cancelled", "noshow")[number % 5],
        "class": {"code": "AMB"},
        "type": [concept(SNOMED, THERAPY)],
        "reasonCode": [concept(ICD10, "M25.552" if given.site == LEFT else "M25.551")],
        "period": {"start": on(day), "end": on(day)},
    }


def score(system: str, code: str, most: int) -> Callable[[date, Setting, int], Json]:
    def made(day: date, given: Setting, number: int) -> Json:
        value = {"value": (number * 7) % (most + 1)}
        return _observation(day, number, concept(system, code), valueQuantity=value)

    return made


def statement(code: str) -> Callable[[date, Setting, int], Json]:
    def made(day: date, given: Setting, number: int) -> Json:
        return _observation(day, number, concept(STATEMENTS, code), valueBoolean=number % 3 > 0)

    return made


def _observation(day: date, number: int, code: Json, **value: Any) -> Json:
    more = {"status": "final", "code": code, "effectiveDateTime": on(day)}
    return {"resourceType": "Observation", "id": f"observation-{number}", **more, **value}


def work_status(day: date, given: Setting, number: int) -> Json:
    code = ("full-duty", "modified-duty", "total-temporary-disability")[number % 3]
    return _observation(day, number, concept(STATEMENTS, "work-status"), valueCodeableConcept=concept(WORK, code))


def goal(day: date, given: Setting, number: int) -> Json:
    status = ("achieved", "improving", "in-progress", "no-progress")[number % 4]
    achieved = concept("http://terminology.hl7.org/CodeSystem/goal-achievement", status)
    told = {"description": {"text": "Walk"}, "achievementStatus": achieved, "statusDate": on(day)}
    return {"resourceType": "Goal", "id": f"goal-{number}", "lifecycleStatus": "active", **told}


def condition(day: date, given: Setting, number: int) -> Json:
    code = ("M00.9", "E11.9", "Z33.1", "I82.402", "G89.3", "R45.851", "M21.372")[number % 7]
    clinical = concept("http://terminology.hl7.org/CodeSystem/condition-clinical", ("active", "resolved")[number % 2])
    told = {"code": concept(ICD10, code), "clinicalStatus": clinical, "onsetDateTime": on(day)}
    return {"resourceType": "Condition", "id": f"condition-{number}", **told}


def surgery(day: date, given: Setting, number: int) -> Json:
    told = {"code": concept(CPT, "29916"), "bodySite": [concept(SNOMED, given.site)], "performedDateTime": on(day)}
    return {"resourceType": "Procedure", "id": f"surgery-{number}", "status": "completed", **told}


def study(day: date, given: Setting, number: int) -> Json:
    kind = {
        "modality": [{"code": ("DX", "MR")[number % 2]}],
        "procedureCode": [concept(CPT, ("73502", "73721")[number % 2])],
    }
    return {"resourceType": "ImagingStudy", "id": f"study-{number}", "status": "available", "started": on(day), **kind}


def note(day: date, given: Setting, number: int) -> Json:
    kind = concept(LOINC, ("34117-2", "11488-4", "11506-3")[number % 3])
    return {
        "resourceType": "DocumentReference",
        "id": f"note-{number}",
        "status": "current",
        "type": kind,
        "date": on(day),
    }


def booking(day: date, given: Setting, number: int) -> Json:
    told = {"status": ("booked", "noshow", "fulfilled")[number % 3], "start": f"{on(day)}T09:00:00-05:00"}
    who = {"participant": [{"actor": {"reference": f"Patient/{given.name}"}, "status": "accepted"}]}
    return {
        "resourceType": "Appointment",
        "id": f"booking-{number}",
        "serviceType": [concept(SNOMED, THERAPY)],
        **told,
        **who,
    }


def medicine(day: date, given: Setting, number: int) -> Json:
    told = {"medicationCodeableConcept": {"text": "Ibuprofen"}, "authoredOn": on(day), "status": "completed"}
    return {"resourceType": "MedicationRequest", "id": f"medicine-{number}", "intent": "order", **told}


def plan(day: date, given: Setting, number: int) -> Json:
    weekly = {"repeat": {"frequency": 2, "period": 1, "periodUnit": "wk"}}
    detail = {"code": concept(SNOMED, THERAPY), "status": "in-progress", "scheduledTiming": weekly}
    told = {"status": "active", "intent": "plan", "period": {"start": on(day)}, "activity": [{"detail": detail}]}
    return {"resourceType": "CarePlan", "id": f"plan-{number}", **told}


MAKERS: tuple[Callable[[date, Setting, int], Json], ...] = (
    visit,
    visit,
    visit,
    score(MEASURES, "ihot-12", 100),
    score(MEASURES, "ihot-12", 100),
    score(MEASURES, "fabq-physical-activity", 24),
    score(LOINC, "72514-3", 10),
    score(LOINC, "44261-6", 27),
    statement("skilled-need"),
    statement("reduced-dependence-on-treatment"),
    statement("employer-authorized-more-visits"),
    statement("violent-behaviour"),
    statement("surgery-considered"),
    statement("comorbidity-contraindicates-therapy"),
    statement("therapy-necessary-in-pregnancy"),
    work_status,
    goal,
    condition,
    surgery,
    study,
    note,
    booking,
    medicine,
    plan,
)


# ----------------------------------------------------------------------------------------------- strategies

_DAY = re.compile(r"^(\d{4}-\d{2}-\d{2})(.*)$", re.DOTALL)


def moved(item: Any, days: int) -> Any:
    """The same resource with every date in it some days earlier or later."""
    if isinstance(item, dict):
        return {key: moved(value, days) for key, value in item.items()}
    if isinstance(item, list):
        return [moved(value, days) for value in item]
    if isinstance(item, str) and (found := _DAY.match(item)):
        return on(date.fromisoformat(found[1]) + timedelta(days=days)) + found[2]
    return item


def _told_of(resource: Json) -> str:
    """What moves it in time: a procedure goes with its visit."""
    visited: str = (resource.get("encounter") or {}).get("reference", "")
    return visited.removeprefix("Encounter/") or str(resource["id"])


def with_score(resource: Json, value: int) -> Json:
    quantity = resource.get("valueQuantity")
    return {**resource, "valueQuantity": {**quantity, "value": value}} if quantity else resource


@cache
def base(name: str) -> tuple[Json, ...]:
    return tuple(example(name))


@st.composite
def records(draw: st.DrawFn) -> Given:
    """An example, changed in several ways at once."""
    setting = draw(st.sampled_from(SETTINGS))
    held = [copy.deepcopy(r) for r in base(setting.name)]
    loose = [r for r in held if r["resourceType"] not in FIXED]
    gone = draw(st.sets(st.sampled_from([r["id"] for r in loose]), max_size=len(loose)))
    shift = draw(st.dictionaries(st.sampled_from([r["id"] for r in loose]), st.integers(-90, 90), max_size=3))
    scores = draw(st.dictionaries(st.sampled_from([r["id"] for r in loose]), st.integers(0, 27), max_size=2))
    kept = [r for r in held if r["id"] not in gone]
    kept = [moved(r, shift.get(_told_of(r), 0)) for r in kept]
    kept = [with_score(r, scores[r["id"]]) if r["id"] in scores else r for r in kept]
    wanted = draw(st.lists(st.tuples(st.sampled_from(MAKERS), st.integers(0, 200), st.integers(0, 20)), max_size=8))
    made = [
        make(setting.day - timedelta(days=days), setting, 21 * place + number)
        for place, (make, days, number) in enumerate(wanted)
    ]
    return Given(setting, draw(st.sampled_from(setting.policies)), (*kept, *made))


@dataclass(frozen=True)
class Failure:
    """How the search of a type fails: with nothing, or with a part of what there is (`keeps`, 0 to 100 percent)."""

    state: EvidenceState
    keeps: int = 0


failures = st.dictionaries(
    st.sampled_from(COUNTED),
    st.one_of(
        st.sampled_from([EvidenceState.REFUSED, EvidenceState.LATE, EvidenceState.FAILED, EvidenceState.NULL]).map(
            Failure
        ),
        st.integers(0, 90).map(lambda keeps: Failure(EvidenceState.CUT, keeps)),
    ),
    min_size=1,
    max_size=3,
)


class Faulty(BundleSource):
    """A Bundle, the searches of some of whose types fail or come back in part."""

    def __init__(self, resources: Sequence[Resource], failing: Mapping[str, Failure]) -> None:
        super().__init__(resources)
        self.failing = failing

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        return tuple(self._spoilt(evidence) for evidence in super().gather(queries))

    def _spoilt(self, evidence: Evidence) -> Evidence:
        failure = self.failing.get(evidence.query.resource)
        if failure is None:
            return evidence
        part = evidence.resources[: len(evidence.resources) * failure.keeps // 100]
        return Evidence(evidence.query, failure.state, part, f"{evidence.query.resource} could not be read")


def weigh(record: Given, failing: Mapping[str, Failure] | None = None, among: Sequence[Policy] = ()) -> Assessment:
    """The assessment, by the path that every face takes."""
    drafts = [r for r in record.resources if r["resourceType"] == "ServiceRequest"]
    held = entries(*(r for r in record.resources if r["resourceType"] != "ServiceRequest"))
    orders, _ = read_orders([("draft", drafts[0])], terms(), record.patient)
    asked = Asked(record.patient, orders, TODAY, record.setting.day, record.policy)
    ports = Ports(terms(), tuple(among) or policies(), Faulty(held, failing or {}))
    (found,) = assess_orders(asked, ports)
    assert "fault in the service" not in found.says
    return found


def told(assessment: Assessment) -> Json:
    return assessment_json(assessment)


def gist(assessment: Assessment) -> Json:
    """The outcome, the results and the numbers: what nothing irrelevant may change."""
    full = told(assessment)
    numbers = {key: value for key, value in (full["visits"] or {}).items() if key != "atLeast"}
    return {"outcome": full["outcome"], "policy": full["policy"], "results": results(assessment), "visits": numbers}


# ----------------------------------------------------------------------------------------------- order, repetition

chances = st.randoms(use_true_random=True)


@quick
@given(records(), chances)
def test_every_word_is_the_same_when_the_entries_stand_in_another_order(record: Given, chance: Random) -> None:
    shuffled = chance.sample(record.resources, len(record.resources))
    assert told(weigh(record.with_(shuffled))) == told(weigh(record))


@quick
@given(records())
def test_every_word_is_the_same_when_entries_stand_twice(record: Given) -> None:
    assert told(weigh(record.with_((*record.resources, *record.resources[::-1])))) == told(weigh(record))


@quick
@given(records(), chances)
def test_results_are_the_same_when_policies_and_their_criteria_stand_in_another_order(
    record: Given, chance: Random
) -> None:
    among = [replace(p, criteria=tuple(chance.sample(p.criteria, len(p.criteria)))) for p in policies()]
    chance.shuffle(among)
    assert gist(weigh(record, among=among)) == gist(weigh(record))


@quick
@given(records())
def test_every_word_is_the_same_when_a_record_is_weighed_twice(record: Given) -> None:
    assert told(weigh(record)) == told(weigh(record))


@quick
@given(records())
def test_a_visit_is_counted_once_when_a_procedure_tells_of_it_too(record: Given) -> None:
    done = [
        {
            "resourceType": "Procedure",
            "id": f"again-{r['id']}",
            "status": "completed",
            "code": concept(SNOMED, THERAPY),
            "encounter": {"reference": f"Encounter/{r['id']}"},
            "performedDateTime": r["period"]["start"],
        }
        for r in record.resources
        if r["resourceType"] == "Encounter" and r["id"].startswith("visit-")
    ]
    before, after = weigh(record), weigh(record.with_((*record.resources, *done)))
    assert (after.visits and after.visits.completed) == (before.visits and before.visits.completed)


# ----------------------------------------------------------------------------------------------- beside the point

_OTHER = {"reference": "Patient/somebody-else"}


def _beside(kind: str, **told: Any) -> Json:
    return {"resourceType": kind, **told}


def _visit(**more: Any) -> Json:
    told = {"class": {"code": "AMB"}, "type": [concept(SNOMED, THERAPY)], "status": "finished"}
    return _beside("Encounter", **{**told, "period": {"start": "2015-06-02", "end": "2015-06-02"}, **more})


def _pain(**more: Any) -> Json:
    told = {"status": "final", "code": concept(LOINC, "72514-3"), "valueQuantity": {"value": 9}}
    return _beside("Observation", **{**told, **more})


_HEART_RATE = {"code": concept(LOINC, "8867-4"), "category": [{"coding": [{"code": "vital-signs"}]}]}
_LISINOPRIL = {"medicationCodeableConcept": {"text": "Lisinopril"}, "authoredOn": "2014-01-01", "intent": "order"}
_EDUCATION = [{"detail": {"code": {"text": "Diabetes education"}, "status": "in-progress"}}]
_REFUTED = {"verificationStatus": {"coding": [{"code": "refuted"}]}}
BESIDE: dict[str, Json] = {
    "a heart rate": _pain(**_HEART_RATE),
    "an allergy": _beside("AllergyIntolerance", code={"text": "Penicillin"}),
    "a vaccine": _beside("Immunization", status="completed", vaccineCode={"text": "Influenza"}),
    "high blood pressure": _beside("Condition", code=concept(ICD10, "I10"), onsetDateTime="2010-01-01"),
    "a medicine for it": _beside("MedicationRequest", status="active", **_LISINOPRIL),
    "an appendectomy": _beside("Procedure", status="completed", code={"text": "Appendectomy"}),
    "an office visit": _visit(type=[{"text": "Annual physical"}]),
    "a study that was cancelled": _beside("ImagingStudy", status="cancelled", modality=[{"code": "DX"}]),
    "a discharge summary": _beside("DocumentReference", status="current", type=concept(LOINC, "18842-5")),
    "a laboratory report": _beside("DiagnosticReport", status="final", code={"text": "Complete blood count"}),
    "a plan for diabetes": _beside("CarePlan", status="active", period={"start": "2015-07-01"}, activity=_EDUCATION),
    "a visit of another patient": _visit(subject=_OTHER),
    "a goal of another patient": _beside("Goal", lifecycleStatus="active", subject=_OTHER),
    "a pain score of another patient": _pain(subject=_OTHER),
    "a pain score entered in error": _pain(status="entered-in-error"),
    "a visit entered in error": _visit(status="entered-in-error"),
    "a diagnosis that was refuted": _beside("Condition", code=concept(ICD10, "M00.9"), **_REFUTED),
    "a cancelled goal": _beside("Goal", lifecycleStatus="cancelled", description={"text": "Walk"}),
    "a task of somebody": _beside("Task", status="requested", intent="order", code={"text": "Call back"}),
    "a booking at the dentist": _beside("Appointment", status="booked", serviceType=[{"text": "Dentist"}]),
}
DATES = ("effectiveDateTime", "performedDateTime", "started", "date")


@quick
@given(records(), st.sets(st.sampled_from(sorted(BESIDE)), min_size=1))
def test_nothing_changes_when_something_beside_the_point_is_added(record: Given, names: set[str]) -> None:
    days = dict.fromkeys(DATES, on(record.setting.day)) | {"start": f"{on(record.setting.day)}T09:00:00-05:00"}
    more = [{**days, **BESIDE[name], "id": f"beside-{number}"} for number, name in enumerate(sorted(names))]
    assert gist(weigh(record.with_((*record.resources, *more)))) == gist(weigh(record))


# ----------------------------------------------------------------------------------------------- doubt never helps


@settings(quick, max_examples=120)
@given(records(), failures)
def test_nothing_becomes_met_when_searches_fail(record: Given, failing: dict[str, Failure]) -> None:
    whole, spoilt = weigh(record), weigh(record, failing)
    before, after = results(whole), results(spoilt)
    assert {name: before[name] for name in after if after[name] == "met" and before[name] in UNSETTLED} == {}
    if whole.outcome != "criteria-met":
        assert spoilt.outcome != "criteria-met"


@settings(quick, max_examples=120)
@given(records(), failures)
def test_nothing_is_called_missing_when_searches_fail(record: Given, failing: dict[str, Failure]) -> None:
    before, after = results(weigh(record)), results(weigh(record, failing))
    assert {name: before[name] for name in after if after[name] == "not-met" and before[name] == "met"} == {}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
@pytest.mark.parametrize("kind", COUNTED)
def test_outcome_is_never_met_anew_when_one_search_fails(setting: Setting, kind: str) -> None:
    for policy in setting.policies:
        record = Given(setting, policy, base(setting.name))
        before, after = weigh(record), weigh(record, {kind: Failure(EvidenceState.REFUSED)})
        assert (before.outcome, after.outcome) not in [
            ("criteria-not-met", "criteria-met"),
            ("insufficient-information", "criteria-met"),
        ]


# Visits and surgeries bound the episode, and without them the limits are further away: they speak for no order.
SPEAKING = (
    "Observation",
    "Goal",
    "DocumentReference",
    "ImagingStudy",
    "MedicationRequest",
    "CarePlan",
    "ClaimResponse",
)


@settings(quick, max_examples=120)
@given(records(), st.data())
def test_nothing_becomes_met_when_evidence_for_the_order_is_taken_away(record: Given, data: st.DataObject) -> None:
    whole = weigh(record)
    speaking = sorted(
        {
            source
            for criterion in whole.criteria
            if criterion.result == "met"
            for source in criterion.evidence
            if source.startswith(SPEAKING)
        }
    )
    gone = data.draw(st.sets(st.sampled_from(speaking), min_size=1)) if speaking else set()
    rest = [r for r in record.resources if f"{r['resourceType']}/{r['id']}" not in gone]
    before, after = results(whole), results(weigh(record.with_(rest)))
    assert {name: before[name] for name in after if after[name] == "met" and before[name] in UNSETTLED} == {}
