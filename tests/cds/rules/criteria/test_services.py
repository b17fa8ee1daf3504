from __future__ import annotations

import pytest

from tests.cds.build import CPT, Json, concept, found, result, service_request, visits

LIST: Json = {"params": {"set": "sample-physical-therapy-code-list"}}


def order(*codes: str) -> Json:
    return service_request(quantityQuantity=visits(2), orderDetail=[concept(CPT, code) for code in codes])


@pytest.mark.parametrize(
    ("codes", "outcome"),
    [
        (["97110", "97112"], "met"),
        (["97110", "20561"], "not-met"),
        (["20560", "20561"], "not-met"),
        ([], "not-applicable"),
    ],
)
def test_lines_are_covered_when_all_are_on_the_plans_list(codes: list[str], outcome: str) -> None:
    assert result("services-listed", order=order(*codes), **LIST) == outcome


def test_only_the_line_that_is_not_listed_is_named_when_there_are_several() -> None:
    weighed = found("services-listed", order=order("97110", "20561"), **LIST)
    assert weighed.facts["unlisted"] == ["20561"]
    assert weighed.facts["listed"] == ["97110"]
    assert weighed.would_change == ("met if line 20561 is taken off the order",)


@pytest.mark.parametrize(("codes", "outcome"), [(["97164"], "met"), (["97110"], "not-met"), ([], "not-met")])
def test_a_service_is_ordered_when_a_line_is_of_its_set(codes: list[str], outcome: str) -> None:
    assert result("service-ordered", order=order(*codes), params={"set": "therapy-re-evaluations"}) == outcome
