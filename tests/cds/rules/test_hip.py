"""The first two determinations, criterion by criterion, with the variants that the domain guide names."""

from __future__ import annotations

import pytest

from cds.model import EvidenceState
from tests.cds.build import (
    HIP,
    ICD10,
    Json,
    about,
    assess,
    changed,
    concept,
    condition,
    encounter,
    example,
    goal,
    ihot,
    results,
    says,
    visits,
)

F000 = {
    "visits-within-benchmark": "not-met",
    "projected-visits-within-benchmark": "not-met",
    "visits-approaching-benchmark": "not-met",
    "baseline-outcome-measure": "not-met",
    "current-outcome-measure": "not-met",
    "outcome-measure-improved": "unknown",
    "baseline-impairment-measures": "not-met",
    "objective-progress": "not-met",
    "exercise-prescription-described": "unknown",
    "reassessed-after-six-weeks": "not-met",
    "benefit-after-three-months": "not-met",
    "re-evaluation-due": "not-met",
    "restart-after-gap": "not-applicable",
    "services-covered": "not-met",
    "manual-therapy-indicated": "not-applicable",
    "post-surgical-window": "not-met",
    "recent-imaging": "not-met",
    "goals-open": "met",
    "participation": "unknown",
    "skilled-need": "unknown",
    "no-contraindication": "met",
}
F001 = {
    "visits-within-benchmark": "met",
    "projected-visits-within-benchmark": "met",
    "visits-approaching-benchmark": "not-met",
    "baseline-outcome-measure": "not-met",
    "current-outcome-measure": "not-met",
    "outcome-measure-improved": "unknown",
    "baseline-impairment-measures": "met",
    "objective-progress": "met",
    "exercise-prescription-described": "unknown",
    "reassessed-after-six-weeks": "met",
    "benefit-after-three-months": "met",
    "re-evaluation-due": "met",
    "restart-after-gap": "not-applicable",
    "services-covered": "met",
    "manual-therapy-indicated": "met",
    "post-surgical-window": "not-applicable",
    "recent-imaging": "not-applicable",
    "goals-open": "met",
    "participation": "unknown",
    "skilled-need": "met",
    "no-contraindication": "met",
}
REFUSED = {"encounters": EvidenceState.REFUSED}


def of(name: str) -> Json:
    return {"subject": about(name)}


# ------------------------------------------------------------------------------------------------------ f000


def test_every_criterion_comes_out_as_determined_when_f000_is_weighed() -> None:
    assessment = assess(*example("f000"))
    assert (assessment.policy, assessment.outcome.value, str(assessment.as_of)) == (
        HIP,
        "criteria-not-met",
        "2025-03-10",
    )
    assert results(assessment) == F000


def test_the_numbers_are_told_when_f000_is_weighed() -> None:
    assessment = assess(*example("f000"))
    assert says(assessment, "visits-within-benchmark") == "20 of 14 visits: 18 completed and 2 requested"
    assert "28 to 36" in says(assessment, "projected-visits-within-benchmark")
    assert says(assessment, "post-surgical-window").startswith("217 days since")
    assert "Day 210" in says(assessment, "benefit-after-three-months")
    assert "20561" in says(assessment, "services-covered")
    assert "HAGOS" in says(assessment, "baseline-outcome-measure")
    assert "iHOT" in says(assessment, "baseline-outcome-measure")


def test_only_the_surgical_window_is_unknown_when_the_surgery_is_known_as_2024() -> None:
    vague = changed(example("f000"), "f000-labral-repair", lambda p: p | {"performedDateTime": "2024"})
    assessment = assess(*vague)
    assert results(assessment) == F000 | {"post-surgical-window": "unknown"}
    assert says(assessment, "post-surgical-window").startswith("69 to 434 days since")


def test_progress_and_benefit_are_met_when_f000_has_measures_that_improved() -> None:
    scores = [ihot("2024-08-12", 41, **of("f000")), ihot("2025-03-05", 60, **of("f000"))]
    found = results(assess(*example("f000"), *scores))
    met = (
        "baseline-outcome-measure",
        "current-outcome-measure",
        "outcome-measure-improved",
        "objective-progress",
        "benefit-after-three-months",
        "reassessed-after-six-weeks",
    )
    assert found == F000 | dict.fromkeys(met, "met") | {"recent-imaging": "not-applicable"}


def test_progress_is_not_met_when_f000_has_measures_that_did_not_improve() -> None:
    scores = [ihot("2024-08-12", 41, **of("f000")), ihot("2025-03-05", 46, **of("f000"))]
    assessment = assess(*example("f000"), *scores)
    assert results(assessment)["outcome-measure-improved"] == "not-met"
    assert results(assessment)["objective-progress"] == "not-met"
    assert says(assessment, "outcome-measure-improved") == "iHOT-12 41 to 46, no important change (MCII 14)"


def test_progress_is_unknown_when_a_score_that_could_show_it_cannot_be_used() -> None:
    scores = [ihot("2024-08-12", 41, **of("f000")), ihot("2025-03-05", 600, **of("f000"))]
    assessment = assess(*example("f000"), *scores)
    assert results(assessment)["objective-progress"] == "unknown"
    assert assessment.outcome.value == "criteria-not-met"  # the visits alone exceed the benchmark


def test_everything_but_the_lines_is_weighed_alike_when_dry_needling_is_left_out() -> None:
    def without(order: Json) -> Json:
        return order | {"orderDetail": order["orderDetail"][:2]}

    assert results(assess(*changed(example("f000"), "f000-order", without))) == F000 | {"services-covered": "met"}


def test_the_outcome_needs_no_visits_when_f000_cannot_be_searched_for_encounters() -> None:
    assessment = assess(*example("f000"), failing=REFUSED)
    assert assessment.outcome.value == "criteria-not-met"  # procedures alone tell of 18 visits
    assert assessment.visits is not None
    assert (assessment.visits.completed.low, assessment.visits.completed.high) == (18, None)


# ------------------------------------------------------------------------------------------------------ f001


def test_every_criterion_comes_out_as_determined_when_f001_is_weighed() -> None:
    assessment = assess(*example("f001"))
    assert (assessment.policy, assessment.outcome.value, str(assessment.as_of)) == (HIP, "criteria-met", "2025-09-05")
    assert results(assessment) == F001
    assert says(assessment, "visits-within-benchmark") == "14 of 14 visits: 6 completed and 8 requested"


def test_the_benchmark_is_exceeded_when_f001_had_seven_visits_before() -> None:
    seventh = encounter("2025-08-29T08:30:00-04:00", id="seventh", **of("f001"))
    assessment = assess(*example("f001"), seventh)
    assert assessment.outcome.value == "criteria-not-met"
    exceeded = {"visits-within-benchmark": "not-met", "projected-visits-within-benchmark": "not-met"}
    assert results(assessment) == F001 | exceeded
    assert says(assessment, "visits-within-benchmark") == "15 of 14 visits: 7 completed and 8 requested"


def bare(name: str) -> list[Json]:
    """The example without the Procedures that tell of visits too."""
    return [r for r in example(name) if not (r["resourceType"] == "Procedure" and "-visit-" in r["id"])]


@pytest.mark.parametrize("state", [EvidenceState.REFUSED, EvidenceState.FAILED, EvidenceState.LATE, EvidenceState.NULL])
def test_prior_visits_are_unknown_and_never_none_when_f001_cannot_be_searched(state: EvidenceState) -> None:
    for record in (example("f001"), bare("f001")):
        assessment = assess(*record, failing={"encounters": state})
        assert results(assessment)["visits-within-benchmark"] == "unknown"
        assert results(assessment)["projected-visits-within-benchmark"] == "unknown"
        assert assessment.outcome.value == "insufficient-information"
        assert assessment.visits is not None
        assert not assessment.visits.complete


def test_the_benchmark_is_exceeded_for_certain_when_fifteen_are_asked_for_and_prior_visits_are_unknown() -> None:
    more = changed(bare("f001"), "f001-order", lambda order: order | {"quantityQuantity": visits(15)})
    assert results(assess(*more, failing=REFUSED))["visits-within-benchmark"] == "not-met"
    fourteen = changed(bare("f001"), "f001-order", lambda order: order | {"quantityQuantity": visits(14)})
    assert results(assess(*fourteen, failing=REFUSED))["visits-within-benchmark"] == "unknown"


def test_the_outcome_is_the_same_when_outcome_measures_only_advise() -> None:
    assessment = assess(*example("f001"))
    advice = {c.id for c in assessment.criteria if not c.required and c.result.value == "not-met"}
    assert {"baseline-outcome-measure", "current-outcome-measure"} <= advice
    assert assessment.outcome.value == "criteria-met"


def test_progress_rests_on_what_is_left_when_f001_has_no_goals_or_no_report() -> None:
    without_goals = [r for r in example("f001") if r["resourceType"] != "Goal"]
    assert results(assess(*without_goals))["objective-progress"] == "met"  # the patient reports 55 %
    neither = [r for r in without_goals if r["id"] != "f001-improvement"]
    assert results(assess(*neither))["objective-progress"] == "not-met"
    assert results(assess(*neither, failing={"goals": EvidenceState.REFUSED}))["objective-progress"] == "unknown"


def test_old_numbness_is_no_contraindication_and_new_numbness_is_when_f001_is_weighed() -> None:
    new = condition("R20.2", "2025-08-20", id="new", **of("f001"))
    assert results(assess(*example("f001"), new))["no-contraindication"] == "not-met"
    assert (
        results(assess(*example("f001"), failing={"conditions": EvidenceState.FAILED}))["no-contraindication"]
        == "unknown"
    )


def test_manual_therapy_needs_an_irritable_hip_when_it_has_osteoarthritis() -> None:
    arthritis = condition("M16.12", "2020", **of("f001"))
    assert results(assess(*example("f001"), arthritis))["manual-therapy-indicated"] == "met"
    calm = [r for r in example("f001") if r["id"] not in ("f001-sleep", "f001-daily-activities")]
    assert results(assess(*calm, arthritis))["manual-therapy-indicated"] == "unknown"


def test_all_goals_reached_is_advice_when_none_is_open_any_more() -> None:
    reached = [
        goal("achieved", "2025-09-03", **of("f001")) if r["resourceType"] == "Goal" else r for r in example("f001")
    ]
    assessment = assess(*reached)
    assert results(assessment)["goals-open"] == "not-met"
    assert assessment.outcome.value == "criteria-met"


def test_no_policy_applies_when_the_diagnosis_is_of_the_knee() -> None:
    knee = {"reasonCode": [concept(ICD10, "M25.562")], "bodySite": []}
    assessment = assess(*changed(example("f001"), "f001-order", lambda order: order | knee))
    assert (assessment.outcome.value, assessment.policy) == ("no-policy", None)
