"""The five determinations, by the command that everybody has; what selects a policy; what a change of facts does."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
from click.testing import CliRunner

from cds.model import Assessment, EvidenceState
from hooks.cli import main
from tests.cds.build import (
    HIP,
    Json,
    assess,
    changed,
    concept,
    coverage,
    example,
    policies,
    results,
    says,
    visits_of,
)

MTUS = "california-mtus-chronic-pain-2009"
CAP = "california-labor-code-4604-5"
SAMPLE = "sample-prior-authorization-97110"
PROGRAMME = "pain-rehabilitation-program"
STRICT = "pain-rehabilitation-program-strict"
REVIEW = date(2015, 8, 21)
WORDS_OF_A_PAYER = ("approve", "denied", "denial", "deny", "authorize therapy", "is covered", "not covered")


@cache
def evaluated(name: str, *options: str) -> Json:
    """The one assessment that `evaluate --json` prints of an example."""
    path = str(files("fhir_profiles").joinpath("examples").joinpath(f"{name}.json"))
    done = CliRunner().invoke(main, ["evaluate", path, "--json", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    printed: Json = json.loads(done.stdout)
    (assessment,) = printed["assessments"]
    return {**assessment, "asOf": printed["asOf"], "cards": printed["cards"]}


def criteria(assessment: Json) -> dict[str, str]:
    return {criterion["id"]: criterion["result"] for criterion in assessment["criteria"]}


# --------------------------------------------------------------------------------------- what the five come to

DETERMINATIONS: dict[str, tuple[tuple[str, ...], str, str, dict[str, str]]] = {
    "f000": (
        (),
        HIP,
        "criteria-not-met",
        {
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
        },
    ),
    "f001": (
        (),
        HIP,
        "criteria-met",
        {
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
        },
    ),
    "f002": (
        ("--as-of", "2015-08-21"),
        MTUS,
        "criteria-not-met",
        {
            "chronic-pain": "met",
            "visits-within-guideline": "unknown",
            "functional-improvement": "not-met",
            "treatment-goals-stated": "not-met",
            "expected-benefit-stated": "not-met",
            "visits-within-statutory-cap": "unknown",
        },
    ),
    "f003": (
        (),
        SAMPLE,
        "criteria-met",
        {
            "conservative-treatment": "met",
            "symptom-duration": "met",
            "history-and-physical": "met",
            "diagnostic-tests": "met",
            "recent-radiographs": "met",
            "recent-mri": "met",
            "pain-severity": "met",
            "functional-impairment": "met",
            "response-expected": "met",
            "failed-treatment": "met",
            "treatment-logs": "not-applicable",
            "specialist-consultation": "met",
            "no-active-infection": "met",
            "pregnancy-considered": "met",
            "comorbidity-considered": "met",
            "not-cosmetic": "met",
            "within-authorization": "met",
        },
    ),
    "f004": (
        (),
        PROGRAMME,
        "criteria-met",
        {
            "chronic-pain-duration": "met",
            "conventional-treatment-failed": "met",
            "mental-health-evaluated": "met",
            "function-impaired": "met",
            "depression-severity": "not-met",
            "programme-volume": "met",
        },
    ),
    "f004, strict": (
        ("--policy", STRICT),
        STRICT,
        "insufficient-information",
        {
            "chronic-pain-duration": "met",
            "conventional-treatment-failed": "met",
            "mental-health-evaluated": "unknown",
            "function-impaired": "met",
            "surgery-considered": "unknown",
            "referred": "met",
            "cause-not-psychogenic": "unknown",
            "no-programme-contraindication": "unknown",
            "depression-severity": "not-met",
            "programme-volume": "met",
        },
    ),
}


@pytest.mark.parametrize("name", DETERMINATIONS)
def test_determination_is_reproduced_when_its_example_is_evaluated(name: str) -> None:
    options, policy, outcome, expected = DETERMINATIONS[name]
    found = evaluated(name.split(",")[0], *options)
    assert (found["policy"], found["outcome"]) == (policy, outcome)
    assert criteria(found) == expected


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("f000", {"completed": 18, "requested": 2, "total": 20, "limit": 14, "projected": [28, 36], "complete": True}),
        ("f001", {"completed": 6, "requested": 8, "total": 14, "limit": 14, "projected": [14, 14], "complete": True}),
        ("f002", {"completed": None, "requested": 6, "total": None, "limit": 10, "complete": False}),
        ("f003", {"completed": 0, "requested": 12, "total": 12, "limit": None}),
        ("f004", {"requested": 17, "limit": None}),
    ],
)
def test_numbers_are_those_of_the_determination_when_its_example_is_evaluated(name: str, numbers: Json) -> None:
    visits = evaluated(name, *DETERMINATIONS[name][0])["visits"]
    assert {key: visits[key] for key in numbers} == numbers


@pytest.mark.parametrize(
    ("name", "day"),
    [("f000", "2025-03-10"), ("f001", "2025-09-05"), ("f003", "2025-06-01"), ("f004", "2025-03-03")],
)
def test_evaluation_date_is_the_orders_own_when_nobody_chose_one(name: str, day: str) -> None:
    assert evaluated(name)["asOf"] == day


@pytest.mark.parametrize("name", DETERMINATIONS)
def test_nothing_speaks_of_approval_or_doses_when_an_example_is_evaluated(name: str) -> None:
    printed = json.dumps(evaluated(name.split(",")[0], *DETERMINATIONS[name][0])).lower()
    assert [word for word in WORDS_OF_A_PAYER if word in printed] == []
    assert "acetaminophen" not in printed
    assert " mg" not in printed


@pytest.mark.parametrize("name", DETERMINATIONS)
def test_every_criterion_tells_what_was_found_when_an_example_is_evaluated(name: str) -> None:
    for criterion in evaluated(name.split(",")[0], *DETERMINATIONS[name][0])["criteria"]:
        assert criterion["says"]
        assert criterion["cite"]
        assert bool(criterion["missing"]) is (criterion["result"] == "unknown"), criterion["id"]


def test_a_change_would_turn_each_outcome_that_is_not_met() -> None:
    for name, (options, _, outcome, _) in DETERMINATIONS.items():
        found = evaluated(name.split(",")[0], *options)
        assert bool(found["wouldChange"]) is (outcome != "criteria-met"), name


@pytest.mark.parametrize(
    ("score", "band"), [(4, "minimal"), (5, "mild"), (10, "moderate"), (15, "moderately severe"), (20, "severe")]
)
def test_depression_band_is_computed_when_a_phq_9_is_told(score: int, band: str) -> None:
    held = changed(example("f004"), "f004-phq-9", lambda o: o | {"valueQuantity": {"value": score}})
    assert f"PHQ-9 {score} ({band})" in says(assess(*held), "depression-severity")


def test_units_are_told_by_the_day_and_never_as_visits_when_a_programme_is_ordered() -> None:
    found = assess(*example("f004"))
    told = says(found, "programme-volume")
    assert "96165: 244 units, 14.4 a day" in told
    assert "97150: 65 units, 3.8 a day" in told
    assert "76 h" in told
    assert found.visits is not None
    assert found.visits.requested is not None
    assert found.visits.requested.exact == 17


# --------------------------------------------------------------------------------------- under another policy


def test_first_line_therapy_is_not_met_when_the_sample_policy_wants_twelve_weeks_before_it() -> None:
    found = evaluated("f001", "--policy", SAMPLE)
    assert found["outcome"] == "criteria-not-met"
    by_id = criteria(found)
    assert by_id["conservative-treatment"] == "not-met"  # 59 days since the injury
    assert by_id["symptom-duration"] == "met"
    assert by_id["pain-severity"] == by_id["functional-impairment"] == "unknown"


def test_twenty_visits_stay_within_the_cap_when_workers_compensation_pays() -> None:
    found = assess(*example("f000"), policy=CAP)
    assert results(found) == {"visits-within-statutory-cap": "met"}
    assert found.visits is not None
    assert found.visits.total is not None
    assert (found.visits.total.exact, found.visits.limit) == (20, 24)


def test_six_visits_stay_within_the_benchmark_when_there_was_no_therapy_before() -> None:
    record = [r for r in example("f002") if r["resourceType"] != "DocumentReference"]
    found = assess(*record, policy=HIP, as_of=REVIEW)
    assert results(found)["visits-within-benchmark"] == "met"


# --------------------------------------------------------------------------------------- which policy

OWN = {"f000": HIP, "f001": HIP, "f002": MTUS, "f003": SAMPLE, "f004": PROGRAMME}


def paid_by(resources: Iterable[Json], *payers: str, **more: Any) -> list[Json]:
    """The resources under coverages of other payers."""
    held = [r for r in resources if r["resourceType"] not in ("Coverage", "Organization")]
    name = next(r["id"] for r in held if r["resourceType"] == "Patient")
    whose = {"beneficiary": {"reference": f"Patient/{name}"}}
    return [*held, *(coverage(payer, **{"id": f"c-{payer}", **whose, **more}) for payer in payers)]


@pytest.mark.parametrize("name", OWN)
def test_each_example_is_judged_by_its_own_payers_policy_when_none_is_named(name: str) -> None:
    found = assess(*example(name), as_of=REVIEW if name == "f002" else None)
    assert found.policy == OWN[name]
    assert found.adding == ((CAP,) if name == "f002" else ())


def why_none(found: Assessment) -> str:
    assert found.outcome == "no-policy"
    assert found.policy is None
    assert found.criteria == ()
    return found.says


def test_tie_names_both_policies_when_two_match_equally_well() -> None:
    hip = next(policy for policy in policies() if policy.id == HIP)
    twin = replace(hip, id="another-hip-policy", title="Another hip policy")
    for among in ((*policies(), twin), (twin, *policies())):
        told = why_none(assess(*example("f001"), among=among))
        assert HIP in told
        assert "another-hip-policy" in told


def test_more_exact_policy_wins_when_one_names_the_plan() -> None:
    hip = next(policy for policy in policies() if policy.id == HIP)
    exact = replace(hip, id="of-the-plan", applies_to=replace(hip.applies_to, plans=("hip-benchmark-plan",)))
    assert assess(*example("f001"), among=(hip, exact)).policy == "of-the-plan"


def test_statute_adds_to_the_guideline_and_each_limit_keeps_its_kind() -> None:
    found = assess(*example("f002"), as_of=REVIEW)
    kinds = {criterion.id: criterion.policy_kind for criterion in found.criteria}
    assert kinds["visits-within-guideline"] == "guideline"
    assert kinds["visits-within-statutory-cap"] == "statute"


@pytest.mark.parametrize(
    ("day", "policy", "adding"),
    [
        (date(2017, 11, 30), MTUS, (CAP,)),
        (date(2017, 12, 1), CAP, ()),
        (date(2025, 8, 21), CAP, ()),
    ],
)
def test_only_the_statute_is_left_when_the_guidelines_text_is_no_longer_in_force(
    day: date, policy: str, adding: tuple[str, ...]
) -> None:
    found = assess(*example("f002"), as_of=day)
    assert (found.policy, found.adding) == (policy, adding)


def test_no_policy_applies_when_no_coverage_is_on_file() -> None:
    held = [r for r in example("f001") if r["resourceType"] != "Coverage"]
    assert "no active coverage" in why_none(assess(*held))


def test_no_policy_applies_when_the_payer_is_unknown() -> None:
    why_none(assess(*paid_by(example("f001"), "some-other-plan")))


def test_no_policy_applies_when_the_coverage_names_no_payer() -> None:
    payor = [{"display": "Hip benchmark plan"}]
    why_none(assess(*paid_by(example("f001"), "hip-benchmark-plan", payor=payor)))


@pytest.mark.parametrize("order", [None, 1])
def test_no_payer_is_guessed_when_two_coverages_are_primary(order: int | None) -> None:
    more = {} if order is None else {"order": order}
    held = paid_by(example("f001"), "hip-benchmark-plan", "sample-health-plan", **more)
    for resources in (held, held[::-1]):
        assert "several coverages" in why_none(assess(*resources))


def test_primary_coverage_selects_when_a_second_one_is_secondary() -> None:
    held = paid_by(example("f001"), "hip-benchmark-plan", "sample-health-plan")
    ranked = [r | {"order": 1 if "hip" in r["id"] else 2} if r["resourceType"] == "Coverage" else r for r in held]
    assert assess(*ranked).policy == HIP


def test_no_policy_applies_when_the_coverage_is_over() -> None:
    over = {"start": "2024-01-01", "end": "2025-09-04"}
    why_none(assess(*paid_by(example("f001"), "hip-benchmark-plan", period=over)))


@pytest.mark.parametrize("state", [EvidenceState.REFUSED, EvidenceState.LATE, EvidenceState.FAILED])
def test_no_policy_applies_when_the_coverage_cannot_be_read(state: EvidenceState) -> None:
    found = assess(*example("f001"), failing={"coverage": state})
    assert "could not be read" in why_none(found)
    assert found.technical


def test_line_of_business_decides_when_the_same_payer_has_several() -> None:
    act = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    commercial = changed(example("f002"), "f002-coverage", lambda c: c | {"type": concept(act, "EHCPOL")})
    why_none(assess(*commercial, as_of=REVIEW))


# --------------------------------------------------------------------------------------- counterfactuals


@pytest.mark.parametrize(("visits", "outcome"), [(6, "criteria-met"), (7, "criteria-not-met")])
def test_one_visit_more_turns_the_outcome_when_the_benchmark_is_reached(visits: int, outcome: str) -> None:
    held = example("f001")
    one = next(r for r in held if r["id"] == visits_of(held)[0])
    extra = {**one, "id": "one-more", "period": {"start": "2025-08-15", "end": "2025-08-15"}}
    assert assess(*held, *([extra] if visits == 7 else [])).outcome == outcome


def test_number_of_visits_is_unknown_and_never_nought_when_encounters_are_refused() -> None:
    found = assess(*example("f001"), failing={"encounters": EvidenceState.REFUSED})
    assert found.outcome == "insufficient-information"
    assert results(found)["visits-within-benchmark"] == "unknown"
    assert found.visits is not None
    assert not found.visits.complete


def test_window_after_surgery_is_unknown_when_only_its_year_is_on_file() -> None:
    vague = changed(example("f000"), "f000-labral-repair", lambda p: p | {"performedDateTime": "2024"})
    found = assess(*vague)
    assert results(found)["post-surgical-window"] == "unknown"
    assert "69 to 434 days" in says(found, "post-surgical-window")
