from __future__ import annotations

from datetime import date

import pytest

from cds.rules.policy import AllOf, AnyOf, DatedValue, Leaf, Not, OfCriterion, Threshold, leaves, references
from tests.cds.build import CITE

OLD = DatedValue(date(2024, 1, 1), 10, (), CITE)
NEW = DatedValue(date(2025, 1, 1), 14, (), CITE)
HIP = DatedValue(date(2024, 1, 1), 20, ("M25.55",), CITE)
LIMIT = Threshold("limit", "visits", (OLD, NEW, HIP))


@pytest.mark.parametrize(
    ("day", "value"),
    [
        (date(2023, 12, 31), None),
        (date(2024, 1, 1), 10),
        (date(2024, 12, 31), 10),
        (date(2025, 1, 1), 14),
        (date(2030, 1, 1), 14),
    ],
)
def test_the_value_in_force_on_the_day_is_taken_when_a_figure_changed(day: date, value: float | None) -> None:
    found = LIMIT.at(day)
    assert (found.value if found else None) == value


@pytest.mark.parametrize(("diagnosis", "value"), [("M25.552", 20), ("M25.562", 14), ("M25.55", 20)])
def test_the_diagnosis_own_value_is_taken_when_there_is_one(diagnosis: str, value: float) -> None:
    found = LIMIT.at(date(2025, 3, 10), (diagnosis,))
    assert found is not None
    assert found.value == value


def test_leaves_and_references_are_found_when_a_test_is_nested() -> None:
    one, two = Leaf("one", {}), Leaf("two", {})
    test = AllOf((one, AnyOf((Not(two), OfCriterion("a"))), OfCriterion("b")))
    assert list(leaves(test)) == [one, two]
    assert list(references(test)) == ["a", "b"]
    assert list(leaves(None)) == []
