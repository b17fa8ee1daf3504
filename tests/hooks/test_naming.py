"""What orders are called where a card has to say which of them it is about."""

from __future__ import annotations

from typing import Any

import pytest

from cds.fhir.orders import read_order
from cds.model import Order
from cds.terminology import packaged
from hooks.naming import names_of
from tests.hooks.calls import Json, draft


def order(**changes: Any) -> Order:
    """The example's draft, with members changed, or (None) left out."""
    found = read_order(draft(**changes), packaged(), "f000", "draft", {})
    assert found is not None
    return found


def lines(*codes: str) -> Json:
    return {"orderDetail": [{"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": code}]} for code in codes]}


NO_DAYS: Json = {"occurrenceTiming": None}
VAGUE: Json = NO_DAYS | {"orderDetail": None, "quantityQuantity": None}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "Physical therapy, left hip; lines 97110, 97112, 20561; 2 visits; from 2025-03-10"),
        (NO_DAYS | lines("97110"), "Physical therapy, left hip; line 97110; 2 visits"),
        (NO_DAYS | lines(*map(str, range(97110, 97117))) | {"quantityQuantity": {"value": 1, "unit": "visit"}},
         "Physical therapy, left hip; lines 97110, 97111, 97112, 97113, 97114, 97115, …; 1 visit"),
        (VAGUE, "Physical therapy, left hip"),
        (VAGUE | {"bodySite": None, "reasonCode": None}, "Physical therapy"),
    ],
)  # fmt: skip
def test_an_order_is_named_by_what_it_says_when_it_is_one_of_several(changes: Json, expected: str) -> None:
    assert names_of([order(**changes)]) == [expected]


def test_orders_are_numbered_as_they_came_when_nothing_tells_them_apart() -> None:
    alike, other = order(**VAGUE), order(**VAGUE | {"bodySite": None, "reasonCode": None})
    assert names_of([alike, other, alike]) == [
        "Physical therapy, left hip (1 of 2 alike)",
        "Physical therapy",
        "Physical therapy, left hip (2 of 2 alike)",
    ]
