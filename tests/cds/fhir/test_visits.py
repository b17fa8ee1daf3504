from __future__ import annotations

import pytest

from cds.model import Discipline, Fact, Visit
from tests.cds.build import (
    ACT,
    CPT,
    LEFT_KNEE,
    OCCUPATIONAL,
    SNOMED,
    Json,
    about,
    appointment,
    claim,
    concept,
    condition,
    encounter,
    period,
    procedure,
    reasons,
    record_of,
)

PT, OT = Discipline.PHYSICAL_THERAPY, Discipline.OCCUPATIONAL_THERAPY
DAY = "2025-03-05"
HERE = f"Encounter/e-{DAY}"


def days(*resources: Json) -> list[str]:
    return [str(visit.day) for visit in record_of(*resources).visits]


def one(*resources: Json) -> Visit:
    (visit,) = record_of(*resources).visits
    return visit


def of_class(value: object) -> Json:
    return {"class": value}


def in_doubt(*resources: Json) -> bool:
    return bool(record_of(*resources).doubts(Fact.VISITS))


# ------------------------------------------------------------------------------------------------ what counts


def test_one_visit_counts_when_encounter_procedures_and_claim_tell_of_the_same_day() -> None:
    visit = one(encounter(DAY), procedure(DAY, visit=HERE), procedure(DAY, "97112", visit=HERE), claim(DAY))
    assert visit.discipline is PT
    assert set(visit.sources) == {HERE, f"ExplanationOfBenefit/cl-{DAY}"}
    assert {"97110", "97112"} <= visit.codes


@pytest.mark.parametrize("status", ["finished", "completed"])
def test_a_visit_counts_when_its_encounter_is_over(status: str) -> None:
    assert days(encounter(DAY, status=status)) == [DAY]


@pytest.mark.parametrize("status", ["planned", "arrived", "triaged", "cancelled", "noshow", "entered-in-error"])
def test_no_visit_counts_when_the_encounter_did_not_take_place(status: str) -> None:
    resources = (encounter(DAY, status=status), procedure(DAY, visit=HERE))
    assert days(*resources) == []
    assert not in_doubt(*resources)


@pytest.mark.parametrize("status", ["unknown", "", "attended"])
def test_the_count_is_in_doubt_when_an_encounters_status_says_nothing(status: str) -> None:
    assert days(encounter(DAY, status=status)) == []
    assert in_doubt(encounter(DAY, status=status))


def test_a_visit_in_progress_counts_when_a_procedure_was_done() -> None:
    assert days(encounter(DAY, status="in-progress")) == []
    assert one(encounter(DAY, status="in-progress"), procedure(DAY, visit=HERE)).in_progress


@pytest.mark.parametrize("code", ["AMB", "VR"])
def test_a_visit_counts_when_it_was_outpatient_or_by_telehealth(code: str) -> None:
    assert days(encounter(DAY, **of_class({"system": ACT, "code": code}))) == [DAY]


@pytest.mark.parametrize("code", ["IMP", "EMER", "OBSENC", "ACUTE", "HH"])
def test_no_visit_counts_when_the_class_is_another(code: str) -> None:
    resources = (encounter(DAY, **of_class({"system": ACT, "code": code})), procedure(DAY, visit=HERE))
    assert days(*resources) == []


def test_a_visit_counts_when_the_class_is_a_code_of_the_ehrs_own() -> None:
    own = {
        "system": "urn:oid:1.2.840.114350.1.72.1.7.7.10.696784.13260",
        "code": "13",
        "display": "Support OP Encounter",
    }
    assert days(encounter(DAY, **of_class(own))) == [DAY]


@pytest.mark.parametrize("display", ["Hospital Inpatient", "Emergency", "Observation"])
def test_no_visit_counts_when_the_ehrs_own_class_says_inpatient_in_words(display: str) -> None:
    own = {"system": "urn:oid:1.2.840.114350", "code": "4", "display": display}
    assert days(encounter(DAY, **of_class(own))) == []


def test_a_visit_counts_when_the_encounter_is_shaped_as_in_r5() -> None:
    shaped = encounter(DAY, status="completed", actualPeriod=period(DAY), **of_class([concept(ACT, "AMB")]))
    del shaped["period"]
    assert days(shaped) == [DAY]
    assert not in_doubt(shaped)
    inpatient = shaped | {"class": [concept(ACT, "IMP")]}
    assert days(inpatient) == []


@pytest.mark.parametrize(
    "told",
    [
        {"type": [concept(CPT, "97110")]},
        {"type": [{"text": "Physical Therapy Visit"}]},
        {"serviceType": concept("http://terminology.hl7.org/CodeSystem/service-type", "65")},
        {"participant": [{"type": [concept(SNOMED, "36682004")]}]},
        {"participant": [{"type": [concept("http://nucc.org/provider-taxonomy", "225100000X")]}]},
    ],
)
def test_an_encounter_is_therapy_when_type_service_or_participant_says_so(told: Json) -> None:
    assert days(encounter(DAY, service=None, **told)) == [DAY]


def test_an_encounter_is_therapy_when_a_therapy_procedure_was_done_in_it() -> None:
    assert days(encounter(DAY, service=None), procedure(DAY, visit=HERE)) == [DAY]


@pytest.mark.parametrize(
    "resource",
    [
        encounter(DAY, service=None),
        encounter(DAY, service=None, type=[{"text": "Dermatology follow-up"}]),
        procedure(DAY, "90686"),
        claim(DAY, "99213"),
        procedure(DAY, status="not-done"),
        procedure(DAY, status="entered-in-error"),
    ],
)
def test_there_is_no_visit_and_no_doubt_when_nothing_of_it_is_therapy(resource: Json) -> None:
    assert days(resource) == []
    assert not in_doubt(resource)


# ------------------------------------------------------------------------------------------------------- days


def test_the_local_day_counts_when_a_visit_was_late_in_the_evening() -> None:
    assert days(encounter("2025-03-05T23:30:00-05:00")) == [DAY]


def test_a_visit_counts_on_its_first_day_when_it_ends_after_midnight() -> None:
    assert days(encounter(DAY, period=period("2025-03-05T23:30:00-05:00", "2025-03-06T00:15:00-05:00"))) == [DAY]


def test_a_procedure_without_encounter_is_a_visit_when_its_day_is_known() -> None:
    visit = one(procedure(DAY), procedure(DAY, "97112"))
    assert str(visit.day) == DAY
    assert visit.discipline is None


def test_a_procedure_is_a_visit_when_its_encounter_was_not_read() -> None:
    assert days(procedure(DAY, visit="Encounter/not-here")) == [DAY]


def test_one_visit_counts_when_its_procedure_is_filed_a_day_later() -> None:
    assert days(encounter(DAY), procedure("2025-03-06", visit=HERE)) == [DAY]


@pytest.mark.parametrize("day", ["2025-03", "2025", None])
def test_the_count_is_in_doubt_when_the_day_of_a_visit_is_not_known(day: str | None) -> None:
    vague_period = period(day) if day else {}
    assert days(encounter(DAY, period=vague_period), procedure(DAY) | {"performedDateTime": day, "id": "x"}) == []
    assert in_doubt(encounter(DAY, period=vague_period))
    assert in_doubt(procedure(DAY) | {"performedDateTime": day})


def test_each_procedures_day_counts_when_one_encounter_stands_for_a_series() -> None:
    series = encounter(DAY, id="series", period=period("2025-01-06", "2025-03-31"))
    done = [procedure(day, visit="Encounter/series") for day in ("2025-01-08", "2025-01-15", "2025-01-22")]
    record = record_of(series, *done, procedure("2025-01-15", "97112", visit="Encounter/series"))
    assert [str(v.day) for v in record.visits] == ["2025-01-08", "2025-01-15", "2025-01-22"]
    assert {v.discipline for v in record.visits} == {PT}
    assert {s.label for v in record.visits for s in v.sites} == {"left hip"}


def test_each_procedures_day_counts_when_a_series_encounter_has_no_end() -> None:
    series = encounter(DAY, id="series", status="in-progress", period=period("2025-01-06"))
    done = [procedure(day, visit="Encounter/series") for day in ("2025-01-08", "2025-01-15")]
    assert days(series, *done) == ["2025-01-08", "2025-01-15"]


def test_the_count_is_in_doubt_when_a_series_tells_no_single_days() -> None:
    series = encounter(DAY, period=period("2025-01-06", "2025-03-31"))
    assert days(series) == []
    assert in_doubt(series)


# ------------------------------------------------------------------------------------------------- discipline


def test_two_visits_count_when_two_disciplines_treat_on_one_day() -> None:
    record = record_of(encounter(DAY), encounter(DAY, id="ot", service=OCCUPATIONAL))
    assert {v.discipline for v in record.visits} == {PT, OT}


def test_one_visit_counts_when_one_discipline_treats_twice_on_one_day() -> None:
    assert days(encounter(DAY), encounter(DAY, id="afternoon")) == [DAY]


def test_two_visits_count_when_one_encounter_holds_the_procedures_of_two_disciplines() -> None:
    held = [procedure(DAY, code, visit=HERE) for code in ("97161", "97165", "97110")]
    for order in (held, held[::-1]):
        record = record_of(encounter(DAY, service=None), *order)
        assert {v.discipline for v in record.visits} == {PT, OT}


def test_each_day_has_its_discipline_when_a_series_holds_two() -> None:
    series = encounter(DAY, id="series", service=None, period=period("2025-01-06", "2025-03-31"))
    done = [
        procedure("2025-01-08", "97161", visit="Encounter/series"),
        procedure("2025-01-09", "97165", visit="Encounter/series"),
    ]
    assert [(str(v.day), v.discipline) for v in record_of(series, *done).visits] == [
        ("2025-01-08", PT),
        ("2025-01-09", OT),
    ]


@pytest.mark.parametrize(
    "other", [procedure(DAY), claim(DAY), encounter(DAY, id="x", service=None, type=[concept(CPT, "97110")])]
)
def test_an_event_of_unknown_discipline_joins_the_known_one_when_they_share_a_day(other: Json) -> None:
    visit = one(encounter(DAY), other)
    assert visit.discipline is PT
    assert len(visit.sources) == 2


@pytest.mark.parametrize(
    ("line", "discipline"),
    [
        ({"modifier": [concept("http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "GO")]}, OT),
        ({"modifier": [concept("http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "GP")]}, PT),
        ({"revenue": concept("https://www.nubc.org/CodeSystem/RevenueCodes", "0420")}, PT),
        ({"revenue": concept("https://www.nubc.org/CodeSystem/RevenueCodes", "0430")}, OT),
        ({}, None),
    ],
)
def test_modifier_or_revenue_code_tells_the_discipline_when_a_claim_has_one(
    line: Json, discipline: Discipline | None
) -> None:
    item = [{"productOrService": concept(CPT, "97110"), "servicedDate": DAY, **line}]
    assert one(claim(DAY, item=item)).discipline is discipline


# ------------------------------------------------------------------------------------------------------ sites


def test_the_site_is_that_of_the_reason_when_it_is_referenced() -> None:
    by_reason = encounter(DAY, reason=None, reasonReference=[{"reference": f"Condition/co-{LEFT_KNEE}"}])
    by_diagnosis = encounter(DAY, reason=None, diagnosis=[{"condition": {"reference": f"Condition/co-{LEFT_KNEE}"}}])
    for visit in (by_reason, by_diagnosis):
        assert [s.label for s in one(visit, condition(LEFT_KNEE)).sites] == ["left knee"]


def test_the_site_is_that_of_its_procedure_when_the_encounter_names_none() -> None:
    done = procedure(DAY, visit=HERE, bodySite=[concept(SNOMED, "287679003")])
    assert [s.label for s in one(encounter(DAY, reason=None), done).sites] == ["left hip"]


# ----------------------------------------------------------------------------------------------------- claims


@pytest.mark.parametrize("kind", ["Claim", "ExplanationOfBenefit"])
def test_each_day_of_a_claim_is_a_visit_when_several_lines_tell_days(kind: str) -> None:
    lines = [
        {"productOrService": concept(CPT, code), "servicedDate": day}
        for code, day in (("97110", "2025-03-03"), ("97112", "2025-03-03"), ("97110", DAY), ("99213", "2025-03-07"))
    ]
    assert days(claim(DAY, kind=kind, item=lines)) == ["2025-03-03", DAY]


@pytest.mark.parametrize(
    "more",
    [
        {"status": "cancelled"},
        {"status": "draft"},
        {"status": "entered-in-error"},
        {"use": "preauthorization"},
        {"use": "predetermination"},
        {"outcome": "error"},
        {"outcome": "queued"},
    ],
)
def test_no_visit_counts_when_a_claim_is_a_proposal_cancelled_or_in_error(more: Json) -> None:
    assert days(claim(DAY, **more)) == []


def replacing(name: str) -> list[Json]:
    return [{"claim": {"reference": name}, "relationship": {"coding": [{"code": "prior"}]}}]


@pytest.mark.parametrize("kind", ["Claim", "ExplanationOfBenefit"])
def test_only_the_later_claim_counts_when_it_replaces_another(kind: str) -> None:
    old = claim("2025-03-03", kind=kind, id="old")
    assert days(old, claim(DAY, kind=kind, related=replacing(f"{kind}/old"))) == [DAY]


def test_only_the_later_answer_counts_when_its_claim_replaces_another() -> None:
    old = claim("2025-03-03", claim={"reference": "Claim/1"})
    assert days(old, claim(DAY, claim={"reference": "Claim/2"}, related=replacing("Claim/1"))) == [DAY]


def test_a_line_has_the_claims_day_when_it_names_none_itself() -> None:
    lines = [{"productOrService": concept(CPT, "97110")}]
    assert days(claim(DAY, item=lines, billablePeriod=period(DAY, DAY))) == [DAY]
    month = claim(DAY, item=lines, billablePeriod=period("2025-03-01", "2025-03-31"))
    assert days(month) == []
    assert in_doubt(month)


def test_units_are_no_visits_when_a_line_has_many() -> None:
    line = {"productOrService": concept(CPT, "97110"), "servicedDate": DAY, "quantity": {"value": 6, "unit": "units"}}
    assert days(claim(DAY, item=[line])) == [DAY]


# ----------------------------------------------------------------------------------------------- appointments


def test_bookings_are_kept_when_they_are_therapy_of_this_patient() -> None:
    record = record_of(
        appointment("2025-03-12T10:00:00Z"),
        appointment("2025-03-13T10:00:00Z", "noshow"),
        appointment("2025-03-14T10:00:00Z", "proposed"),
        appointment("2025-03-15T10:00:00Z", serviceType=[{"text": "Dermatology"}]),
        appointment("2025-03-16T10:00:00Z", participant=[{"actor": about("other")}]),
    )
    assert [(str(a.day), a.missed) for a in record.appointments] == [("2025-03-12", False), ("2025-03-13", True)]
    assert record.visits == ()


def test_bookings_come_from_encounters_when_these_are_planned_or_missed() -> None:
    record = record_of(encounter("2025-03-12", status="planned"), encounter(DAY, status="cancelled"))
    assert [(str(a.day), a.missed) for a in record.appointments] == [(DAY, True), ("2025-03-12", False)]


def test_a_broken_field_leaves_no_doubt_when_it_does_not_tell_a_visit() -> None:
    odd = encounter(DAY, participant="Sam Lindqvist", basedOn=7)
    assert days(odd) == [DAY]
    assert not in_doubt(odd)
    assert len(reasons(record_of(odd))) == 2
