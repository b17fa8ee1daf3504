from __future__ import annotations

from datetime import date
from typing import Any

from hooks.sandbox.chart import chart_of, coverages
from hooks.sandbox.timeline import timeline_of

ON = date(2025, 3, 10)
PATIENT = {"resourceType": "Patient", "id": "p1"}


def encounter(day: str, status: str = "finished") -> dict[str, Any]:
    return {"resourceType": "Encounter", "status": status, "period": {"start": f"{day}T09:00:00-05:00"}}


def test_visits_are_days_that_were_attended_when_encounters_are_listed() -> None:
    record = [encounter("2025-03-05"), encounter("2025-03-05"), encounter("2025-03-07", "cancelled")]
    assert chart_of(PATIENT, record, ON).visits == ("2025-03-05",)


def test_payer_is_named_when_it_is_contained_fetched_or_displayed() -> None:
    record: list[dict[str, Any]] = [
        {"resourceType": "Organization", "id": "org", "name": "Fetched"},
        {
            "resourceType": "Coverage",
            "payor": [{"reference": "#c"}],
            "contained": [{"id": "c", "name": "Contained"}],
        },
        {"resourceType": "Coverage", "payor": [{"reference": "Organization/org"}]},
        {"resourceType": "Coverage", "payor": [{"reference": "Organization/other", "display": "Displayed"}]},
        {"resourceType": "Coverage"},
    ]
    names = [item.text for item in coverages(record)]
    assert names == ["Contained", "Fetched", "Displayed", "payer not named"]


def test_therapy_is_no_surgery_when_procedures_are_listed() -> None:
    therapy = {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "97110"}]}
    record = [
        {"resourceType": "Procedure", "status": "completed", "code": therapy},
        {
            "resourceType": "Procedure",
            "status": "completed",
            "code": {"text": "Repair"},
            "performedDateTime": "2024",
        },
        {"resourceType": "Procedure", "status": "entered-in-error", "code": {"text": "Mistake"}},
    ]
    (surgery,) = chart_of(PATIENT, record, ON).surgeries
    assert (surgery.text, surgery.when) == ("Repair", "2024")


def test_unread_kinds_are_told_when_a_search_failed() -> None:
    assert chart_of(PATIENT, [], ON, ["encounters"]).unread == ("encounters",)


def test_marks_stand_in_the_order_of_time_when_a_timeline_is_drawn() -> None:
    timeline = timeline_of(["2024-08-12", "2025-03-05"], ["2024-08-05"], ["2025-03-13"])
    assert timeline is not None
    marks = sorted(timeline.marks, key=lambda mark: mark.x)
    assert [mark.kind for mark in marks] == ["procedure", "visit", "visit", "order"]
    assert all(0 <= mark.x <= timeline.width for mark in marks)


def test_partial_dates_have_no_place_when_a_timeline_is_drawn() -> None:
    timeline = timeline_of(["2024-08-12"], ["2024"], ["2024-10"])
    assert timeline is not None
    assert [mark.kind for mark in timeline.marks] == ["visit"]
    assert timeline_of([], ["2024-08-05"], []) is None
