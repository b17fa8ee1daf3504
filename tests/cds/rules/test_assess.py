from __future__ import annotations

from typing import Any

import pytest

from cds.model import EvidenceState, Result, Standing
from cds.rules.assess import outcome_of
from cds.rules.policy import AllOf, AnyOf, Criterion, Leaf, Not, OfCriterion, Test
from tests.cds.build import (
    Json,
    assess,
    basics,
    coverage,
    criterion,
    encounter,
    patient,
    period,
    policy_of,
    results,
    service_request,
    visits,
    weigh,
)

MET = Leaf("service-ordered", {"set": "therapy-services"})
NOT_MET = Leaf("service-ordered", {"set": "therapy-re-evaluations"})
UNKNOWN = Leaf("goals-open", {})
NOT_APPLICABLE = Leaf("services-listed", {"set": "sample-physical-therapy-code-list"})
WITHIN = Leaf("within-authorization", {"days": "days"})
FORMS = {"met": MET, "not-met": NOT_MET, "unknown": UNKNOWN, "not-applicable": NOT_APPLICABLE}


def weighed(*criteria: Criterion, resources: tuple[Json, ...] = ()) -> dict[str, str]:
    found = weigh(*resources, policy="tested", among=(policy_of(*criteria),))
    return {**results(found), "outcome": found.outcome.value}


def one(test: Test, applies_when: Test | None = None) -> str:
    return weighed(criterion(test, applies_when=applies_when))["tested"]


@pytest.mark.parametrize(("expected", "test"), FORMS.items())
def test_a_leaf_comes_out_as_it_is_found_when_it_stands_alone(expected: str, test: Test) -> None:
    assert one(test) == expected


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (AllOf((MET, UNKNOWN)), "unknown"),
        (AllOf((MET, UNKNOWN, NOT_MET)), "not-met"),
        (AnyOf((NOT_MET, UNKNOWN)), "unknown"),
        (AnyOf((NOT_MET, UNKNOWN, MET)), "met"),
        (AnyOf((NOT_MET, NOT_APPLICABLE)), "not-met"),
        (Not(NOT_MET), "met"),
        (Not(UNKNOWN), "unknown"),
        (AllOf((Not(NOT_MET), AnyOf((UNKNOWN, MET)))), "met"),
    ],
)
def test_tests_are_joined_by_kleenes_logic_when_they_are_nested(test: Test, expected: str) -> None:
    assert one(test) == expected


@pytest.mark.parametrize(
    ("applies", "test", "expected"),
    [
        (MET, NOT_MET, "not-met"),
        (NOT_MET, NOT_MET, "not-applicable"),
        (NOT_APPLICABLE, MET, "not-applicable"),
        (UNKNOWN, MET, "met"),
        (UNKNOWN, NOT_MET, "unknown"),
        (UNKNOWN, UNKNOWN, "unknown"),
    ],
)
def test_only_met_stands_when_it_is_not_sure_that_a_criterion_applies(applies: Test, test: Test, expected: str) -> None:
    assert one(test, applies) == expected


def test_a_criterion_comes_out_as_the_one_that_it_refers_to_when_it_does() -> None:
    found = weighed(
        criterion(OfCriterion("base"), "same"),
        criterion(UNKNOWN, "base"),
        criterion(Not(OfCriterion("met")), "other"),
        criterion(MET, "met"),
    )
    assert (found["same"], found["other"]) == ("unknown", "not-met")


@pytest.mark.parametrize(
    ("required", "outcome"),
    [
        (["met", "met"], "criteria-met"),
        (["met", "not-applicable"], "criteria-met"),
        (["met", "unknown"], "insufficient-information"),
        (["unknown", "not-met"], "criteria-not-met"),
        (["met", "not-met"], "criteria-not-met"),
    ],
)
def test_required_criteria_make_the_outcome_when_others_only_advise(required: list[str], outcome: str) -> None:
    criteria = [criterion(FORMS[form], f"c{number}") for number, form in enumerate(required)]
    advice = [criterion(form, f"a{number}", required=False) for number, form in enumerate(FORMS.values())]
    assert weighed(*criteria, *advice)["outcome"] == outcome


def test_the_outcome_is_met_when_no_criterion_is_required() -> None:
    assert outcome_of(()).value == "criteria-met"


def test_what_would_change_it_is_told_when_required_criteria_are_not_met() -> None:
    limit = criterion(Leaf("visits-within", {"limit": "limit"}), "visits")
    policy = policy_of(
        limit, criterion(UNKNOWN, "goals"), criterion(NOT_MET, "advice", required=False), thresholds={"limit": 1}
    )
    found = weigh(policy="tested", among=(policy,))
    assert found.would_change == (
        "It is as it should be: met if the order asks for no more than 1 visit",
        "It is as it should be: could be told from measurable treatment goals",
    )


def test_only_evidence_of_not_met_is_changeable_when_it_is_unknown() -> None:
    found = weigh(policy="tested", among=(policy_of(criterion(UNKNOWN)),))
    assert found.criteria[0].would_change == ()
    assert found.criteria[0].missing


def test_the_others_are_weighed_when_one_orders_assessment_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from cds.rules.criteria import KINDS
    from cds.rules.criteria.kinds import Kind

    def broken(case: object, params: object) -> object:
        raise ZeroDivisionError("Nora Hale")

    monkeypatch.setitem(KINDS, "goals-open", Kind("goals-open", broken, ()))  # type: ignore[arg-type]
    found = weigh(policy="tested", among=(policy_of(criterion(UNKNOWN)),))
    assert (found.outcome.value, found.technical) == ("insufficient-information", True)
    assert "Nora" not in found.says


def test_the_same_is_found_when_it_is_weighed_twice() -> None:
    resources = [*basics(), encounter("2025-03-03"), service_request(quantityQuantity=visits(2))]
    assert assess(*resources) == assess(*resources)


def test_a_gap_is_kept_for_the_reader_when_a_search_failed() -> None:
    found = weigh(failing={"goals": EvidenceState.REFUSED})
    assert [gap.key for gap in found.gaps] == ["goals"]
    assert found.technical
    assert all(c.result is not Result.MET for c in found.criteria if c.id == "goals-open")


def authorization(name: str, start: str | None, end: str | None, **more: Any) -> Json:
    days = {**({"start": start} if start else {}), **({"end": end} if end else {})}
    return {
        "resourceType": "ClaimResponse", "id": name, "status": "active", "use": "preauthorization",
        "patient": {"reference": "Patient/p"}, "preAuthRef": f"AUTH-{name}", "preAuthPeriod": days,
    } | more  # fmt: skip


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ([], None),
        ([("a", "2025-03-10", "2025-03-10")], "AUTH-a"),
        ([("a", "2025-01-01", None)], "AUTH-a"),
        ([("a", "2025-03-11", "2025-04-01")], None),
        ([("a", "2025-01-01", "2025-03-09")], None),
        ([("a", None, "2025-04-01")], None),
        ([("a", "2025-01-01", "2025-12-31"), ("b", "2025-02-01", "2025-12-31")], "AUTH-b"),
        ([("b", "2025-02-01", "2025-12-31"), ("a", "2025-01-01", "2025-12-31")], "AUTH-b"),
    ],
)
def test_the_authorization_in_force_is_kept_when_the_policy_asks_for_any(
    held: list[tuple[str, str | None, str | None]], expected: str | None
) -> None:
    mine = policy_of(criterion(WITHIN), thresholds={"days": 90})
    found = weigh(*(authorization(*each) for each in held), policy="tested", among=(mine,))
    assert (found.authorization.number if found.authorization else None) == expected


def test_no_authorization_is_kept_when_the_policy_asks_for_none() -> None:
    held = authorization("a", "2025-01-01", "2025-12-31")
    assert weigh(held, policy="tested", among=(policy_of(criterion(MET)),)).authorization is None


@pytest.mark.parametrize(
    ("sent", "standing", "lapsed"),
    [
        ([coverage(period=period("2023-01-01", "2023-12-31"))], Standing.LAPSED, "Coverage/c"),
        ([coverage(status="cancelled")], Standing.LAPSED, "Coverage/c"),
        ([], Standing.NONE, None),
        ([coverage(), coverage("another-plan", id="other")], Standing.SEVERAL, None),
    ],
)
def test_it_is_kept_how_the_coverage_stands_when_there_is_none_in_force(
    sent: list[Json], standing: Standing, lapsed: str | None
) -> None:
    found = assess(patient(), *sent, service_request(quantityQuantity=visits(2)))
    assert (found.outcome.value, found.coverage, found.standing) == ("no-policy", None, standing)
    assert (found.lapsed.reference if found.lapsed else None) == lapsed
