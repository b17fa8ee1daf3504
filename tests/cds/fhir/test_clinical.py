from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds.model import Fact, Site, Span
from tests.cds.build import (
    SNOMED,
    Json,
    about,
    care_plan,
    concept,
    condition,
    encounter,
    goal,
    period,
    procedure,
    reasons,
    record_of,
    surgery,
    weekly,
)

VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


# ------------------------------------------------------------------------------------------------ conditions


@pytest.mark.parametrize(
    ("more", "active"),
    [
        ({}, True),
        ({"clinicalStatus": concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "recurrence")}, True),
        ({"clinicalStatus": concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "remission")}, False),
        ({"clinicalStatus": "active"}, True),
        ({"clinicalStatus": "resolved"}, False),
        ({"clinicalStatus": {"text": "Active"}}, True),
        ({"clinicalStatus": None}, None),
        ({"clinicalStatus": None, "abatementDateTime": "2024"}, False),
        ({"clinicalStatus": None, "abatementString": "last spring"}, False),
        ({"clinicalStatus": {"text": "see note"}}, None),
    ],
)
def test_a_condition_is_active_or_over_or_unsaid_when_its_status_tells_so(more: Json, active: bool | None) -> None:
    (found,) = record_of(condition("I10") | more).conditions
    assert found.active is active


@pytest.mark.parametrize("status", ["refuted", "entered-in-error"])
def test_a_condition_is_left_out_when_it_was_refuted(status: str) -> None:
    assert record_of(condition("I10", verificationStatus=concept(VERIFICATION, status))).conditions == ()


def test_the_onset_stays_an_interval_when_it_is_partial_or_a_period() -> None:
    (month,) = record_of(condition("I10", "2023-03")).conditions
    (span,) = record_of(condition("I10", onsetPeriod=period("2023-03-01", "2023-05"))).conditions
    assert month.onset is not None
    assert (month.onset.first, month.onset.last) == (date(2023, 3, 1), date(2023, 3, 31))
    assert span.onset is not None
    assert (span.onset.first, span.onset.last) == (date(2023, 3, 1), date(2023, 5, 31))


def test_the_onset_is_noted_when_it_is_told_in_words_or_cannot_be_read() -> None:
    record = record_of(condition("I10", onsetString="years ago"), condition("E11.9", "a while ago"))
    assert all(found.onset is None for found in record.conditions)
    assert len(reasons(record)) == 2


def test_a_side_is_added_when_only_the_body_site_names_it() -> None:
    (found,) = record_of(condition("M25.559", bodySite=[concept(SNOMED, "287679003")])).conditions
    assert found.sites == (Site("hip", "left"),)


def test_the_conditions_are_not_in_doubt_when_a_lone_body_site_is_no_list() -> None:
    record = record_of(condition("M25.559", bodySite=concept(SNOMED, "287679003")))
    assert record.conditions[0].sites == (Site("hip", "left"),)
    assert not record.doubts(Fact.CONDITIONS)


# ------------------------------------------------------------------------------------------------ procedures


def test_a_surgery_is_known_when_its_code_or_category_says_so() -> None:
    record = record_of(surgery("2024-08-05"), procedure("2024-08-06", "99999", category=concept(SNOMED, "387713003")))
    assert [done.surgical for done in record.procedures] == [True, True]
    assert record.procedures[1].sites == (Site("hip", "left"),)


@pytest.mark.parametrize("status", ["not-done", "entered-in-error", "preparation", "in-progress"])
def test_a_procedure_is_left_out_when_it_was_not_completed(status: str) -> None:
    assert record_of(surgery("2024-08-05", status=status)).procedures == ()


def test_a_procedure_keeps_its_interval_when_its_date_is_partial_or_missing() -> None:
    undated = surgery("2024") | {"id": "undated", "performedDateTime": None}
    year, none = record_of(surgery("2024"), undated).procedures
    assert (year.day.first, year.day.last) == (date(2024, 1, 1), date(2024, 12, 31))
    assert (none.day.first, none.day.last) == (None, None)


# ------------------------------------------------------------------------------------------------ goals, plans


@pytest.mark.parametrize(
    ("resource", "open_"),
    [
        (goal(), True),
        (goal("in-progress"), True),
        (goal("achieved"), False),
        (goal(lifecycleStatus="completed"), False),
        (goal(lifecycleStatus="on-hold"), True),
        (goal(lifecycleStatus=""), False),
    ],
)
def test_a_goal_is_open_when_it_is_pursued_and_not_achieved(resource: Json, open_: bool) -> None:
    (found,) = record_of(resource).goals
    assert found.open is open_


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error", "rejected"])
def test_a_goal_is_left_out_when_it_was_given_up(status: str) -> None:
    assert record_of(goal(lifecycleStatus=status)).goals == ()


@pytest.mark.parametrize(
    ("target", "measurable"),
    [
        ([], False),
        ([{"detailQuantity": {"value": 30}}], True),
        ([{"detailString": "without a rail"}], True),
        ([{"dueDate": "2025-05-01"}], False),
        ({"detailQuantity": {"value": 30}}, True),
    ],
)
def test_a_goal_is_measurable_when_it_has_a_target(target: Json, measurable: bool) -> None:
    (found,) = record_of(goal(target=target)).goals
    assert found.measurable is measurable


def test_a_plan_tells_its_visits_when_it_has_a_timing_or_a_quantity() -> None:
    bounds = period("2025-03-13", "2025-05-08")
    (timed,) = record_of(care_plan(weekly(1, 2, boundsPeriod=bounds))).plans
    (counted,) = record_of(care_plan(None, quantity={"value": 12}, scheduledPeriod=bounds)).plans
    assert timed.timings[0].visits == Span(8, 16)
    assert counted.timings[0].visits == Span(12, 12)
    assert counted.timings[0].bounds is not None


@pytest.mark.parametrize(
    "detail",
    [
        {"code": concept(SNOMED, "229072005", "Low salt diet")},
        {"code": None, "description": "Check blood sugar"},
        {"code": None},
        {"status": "cancelled"},
        {"status": "completed"},
    ],
)
def test_an_activity_tells_no_visits_when_it_is_no_therapy_or_is_over(detail: Json) -> None:
    (plan,) = record_of(care_plan(weekly(7, boundsPeriod=period("2025-03-13", "2025-05-08")), **detail)).plans
    assert plan.timings == ()


def test_an_activity_is_therapy_when_only_its_description_says_so() -> None:
    detail = {"code": None, "description": "Physical therapy for the left hip"}
    (plan,) = record_of(care_plan(weekly(1, boundsPeriod=period("2025-03-13", "2025-05-08")), **detail)).plans
    assert plan.timings


@pytest.mark.parametrize(
    ("status", "active"),
    [("active", True), ("draft", True), ("completed", False), ("revoked", None), ("entered-in-error", None)],
)
def test_a_plan_is_active_or_over_or_left_out_when_its_status_tells_so(status: str, active: bool | None) -> None:
    plans = record_of(care_plan(None) | {"status": status}).plans
    assert [plan.active for plan in plans] == ([] if active is None else [active])


# ------------------------------------------------------------------------------------- treatments, images, others


@pytest.mark.parametrize(
    ("kind", "more", "days"),
    [
        ("MedicationRequest", {"authoredOn": "2025-01-15"}, ("2025-01-15", "2025-01-15")),
        ("MedicationStatement", {"effectivePeriod": period("2025-01-15", "2025-05-10")}, ("2025-01-15", "2025-05-10")),
        ("MedicationStatement", {"effectiveDateTime": "2025-01"}, ("2025-01-01", "2025-01-31")),
        ("MedicationStatement", {"dateAsserted": "2025-01-20"}, ("2025-01-20", "2025-01-20")),
        (
            "MedicationRequest",
            {
                "authoredOn": "2025-01-15",
                "dosageInstruction": [{"timing": weekly(7, boundsPeriod=period("2025-01-15", "2025-02-15"))}],
            },
            ("2025-01-15", "2025-02-15"),
        ),
    ],
)
def test_a_medicine_is_dated_when_order_or_statement_tells_its_days(
    kind: str, more: Json, days: tuple[str, str]
) -> None:
    resource = {
        "resourceType": kind,
        "id": "m",
        "status": "active",
        "subject": about(),
        "category": {"text": "x"},
        "medicationCodeableConcept": {"text": "naproxen"},
    }
    (found,) = record_of(resource | more).treatments
    assert (str(found.day.first), str(found.day.last)) == days
    assert found.concept.label == "naproxen"


def test_an_image_is_known_when_a_study_or_a_report_tells_of_it() -> None:
    study = {
        "resourceType": "ImagingStudy",
        "id": "s",
        "status": "available",
        "subject": about(),
        "started": "2025-01-20",
        "series": [
            {
                "uid": "1",
                "modality": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "DX"},
                "bodySite": {"system": SNOMED, "code": "287679003"},
            }
        ],
    }
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r",
        "status": "final",
        "subject": about(),
        "code": {"text": "X-ray of the left hip"},
        "issued": "2025-01-21T10:00:00Z",
    }
    first, second = record_of(study, report).images
    assert (first.modality, first.sites, str(first.day)) == ("DX", (Site("hip", "left"),), "2025-01-20")
    assert second.sites == (Site("hip", "left"),)
    assert str(second.day) == "2025-01-21"


def test_an_image_is_left_out_when_it_was_cancelled_or_only_ordered() -> None:
    study = {"resourceType": "ImagingStudy", "id": "s", "status": "cancelled", "subject": about()}
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r",
        "status": "registered",
        "subject": about(),
        "code": {"text": "x"},
    }
    assert record_of(study, report).images == ()


def test_only_open_tasks_are_kept_when_some_are_done() -> None:
    task = {
        "resourceType": "Task",
        "id": "t",
        "status": "requested",
        "for": about(),
        "description": "Complete iHOT-12",
        "input": [{"type": {"text": "q"}, "valueCanonical": "https://x/Questionnaire/ihot-12"}],
    }
    (found,) = record_of(task, task | {"id": "u", "status": "completed"}).tasks
    assert "iHOT-12" in found.text
    assert "Questionnaire/ihot-12" in found.text


def test_documents_are_pointers_when_they_are_current() -> None:
    note = {
        "resourceType": "DocumentReference",
        "id": "d",
        "status": "current",
        "subject": about(),
        "date": "2025-03-05T10:00:00Z",
        "type": {"text": "Progress note"},
        "description": "PT daily note",
    }
    (found,) = record_of(note, note | {"id": "old", "status": "superseded"}).documents
    assert (found.concept.label, str(found.day)) == ("Progress note", "2025-03-05")


def episode(**more: Any) -> Json:
    return {
        "resourceType": "EpisodeOfCare",
        "id": "ep",
        "status": "active",
        "patient": about(),
        "period": period("2025-01-08"),
        "type": [concept(SNOMED, "91251008")],
    } | more


def test_an_episode_has_its_diagnosis_site_when_it_names_the_condition() -> None:
    knee = condition("M25.562")
    (found,) = record_of(knee, episode(diagnosis=[{"condition": {"reference": "Condition/co-M25.562"}}])).episodes
    assert found.sites == (Site("knee", "left"),)


@pytest.mark.parametrize(
    "more",
    [
        {"status": "planned"},
        {"status": "cancelled"},
        {"status": "entered-in-error"},
        {"status": "finished"},
        {"period": None},
        {"type": [{"text": "Diabetes care"}]},
    ],
)
def test_an_episode_is_left_out_when_it_is_no_therapy_or_has_no_days(more: Json) -> None:
    assert record_of(episode(**more)).episodes == ()


def test_a_finished_episode_is_kept_when_its_end_is_told() -> None:
    (found,) = record_of(episode(status="finished", period=period("2025-01-08", "2025-02-08"))).episodes
    assert found.end is not None


def authorization(**changes: Any) -> Json:
    answer = {
        "resourceType": "ClaimResponse",
        "id": "x",
        "status": "active",
        "use": "preauthorization",
        "patient": about(),
        "preAuthRef": "A-1",
        "preAuthPeriod": period("2025-06-05", "2025-09-03"),
    }
    return answer | changes


def test_an_authorization_is_known_when_its_number_and_days_are_told() -> None:
    (found,) = record_of(authorization(), authorization(id="y", preAuthRef=None)).authorizations
    assert (found.number, str(found.period.last)) == ("A-1", "2025-09-03")


@pytest.mark.parametrize("said", [{"outcome": "complete"}, {"outcome": "partial"}, {"use": None}])
def test_an_authorization_counts_when_its_request_was_processed(said: Json) -> None:
    assert len(record_of(authorization(**said)).authorizations) == 1


@pytest.mark.parametrize(
    "said", [{"outcome": "error"}, {"outcome": "queued"}, {"use": "claim"}, {"use": "predetermination"}]
)
def test_nothing_is_authorized_when_a_request_failed_or_waits_or_was_for_something_else(said: Json) -> None:
    assert record_of(authorization(**said)).authorizations == ()


def test_the_record_is_empty_and_without_notes_when_there_is_nothing() -> None:
    record = record_of(encounter("2025-03-05", service=None, reason="J06.9"))
    assert not record.visits
    assert record.notes == ()
