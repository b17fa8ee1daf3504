from __future__ import annotations

import copy
from typing import Any

import pytest

from hooks.sandbox.desk import edited
from hooks.sandbox.errors import InputError
from hooks.sandbox.orders import CPT, form_of, frequency_of, visits_of, without_lines


def cpt(code: str) -> dict[str, Any]:
    return {"coding": [{"system": CPT, "code": code}]}


ORDER: dict[str, Any] = {
    "resourceType": "ServiceRequest",
    "id": "o1",
    "status": "draft",
    "code": {
        "text": "Physical therapy",
        "coding": [{"system": "http://snomed.info/sct", "code": "91251008"}],
    },
    "orderDetail": [cpt("97110"), cpt("20561")],
    "quantityQuantity": {"value": 2, "unit": "visits"},
    "reasonCode": [{"coding": [{"code": "M25.552", "display": "Pain in left hip"}]}],
    "occurrenceTiming": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "wk"}},
}


def test_form_shows_what_is_asked_when_an_order_is_read() -> None:
    form = form_of(ORDER)
    assert form.title == "Physical therapy"
    assert [line.code for line in form.lines] == ["97110", "20561"]
    assert (form.visits, form.frequency, form.diagnosis) == (
        "2",
        "2 times a week",
        "Pain in left hip (M25.552)",
    )


def test_lines_are_read_from_the_code_when_it_carries_them() -> None:
    order = {"code": {"coding": [*cpt("97110")["coding"], *cpt("97140")["coding"]]}}
    assert [line.code for line in form_of(order).lines] == ["97110", "97140"]
    assert without_lines(order, {"97140"}) == {"code": {"coding": cpt("97110")["coding"]}}


def test_line_goes_and_the_order_stays_when_it_is_removed() -> None:
    before = copy.deepcopy(ORDER)
    after = without_lines(ORDER, {"20561"})
    assert before == ORDER
    assert after["orderDetail"] == [cpt("97110")]
    assert after["code"] == ORDER["code"]


def test_no_empty_list_is_left_when_every_line_is_removed() -> None:
    assert "orderDetail" not in without_lines(ORDER, {"97110", "20561"})


@pytest.mark.parametrize(
    ("order", "visits"),
    [
        ({"quantityQuantity": {"value": 8}}, "8"),
        ({"quantityQuantity": {"value": 8.0}}, "8"),
        ({"occurrenceTiming": {"repeat": {"count": 6}}}, "6"),
        ({"occurrenceTiming": {"repeat": {"frequency": 2}}}, ""),
        ({}, ""),
    ],
)
def test_visits_are_shown_when_the_order_says_them(order: dict[str, Any], visits: str) -> None:
    assert visits_of(order) == visits


@pytest.mark.parametrize(
    ("repeat", "words"),
    [
        ({"frequency": 1, "period": 1, "periodUnit": "wk"}, "1 time a week"),
        ({"frequency": 2, "period": 2, "periodUnit": "wk"}, "2 times every 2 weeks"),
        ({"period": 1}, ""),
    ],
)
def test_frequency_is_said_in_words_when_the_timing_has_one(repeat: dict[str, Any], words: str) -> None:
    assert frequency_of({"occurrenceTiming": {"repeat": repeat}}) == words


def test_order_changes_when_the_form_was_edited() -> None:
    (after,) = edited([ORDER], {"ServiceRequest/o1": {"visits": "6", "remove": ["20561", "99999"]}})
    assert after["quantityQuantity"] == {"value": 6, "unit": "visits"}
    assert after["orderDetail"] == [cpt("97110")]


def test_timing_changes_when_the_visits_stand_there() -> None:
    order = {"resourceType": "ServiceRequest", "id": "o1", "occurrenceTiming": {"repeat": {"count": 6}}}
    (after,) = edited([order], {"ServiceRequest/o1": {"visits": "4"}})
    assert after["occurrenceTiming"] == {"repeat": {"count": 4}}
    assert "quantityQuantity" not in after


@pytest.mark.parametrize("edits", [{}, {"ServiceRequest/o1": {"visits": "2", "remove": []}}, {"Other/1": {}}])
def test_order_is_the_same_when_nothing_was_edited(edits: dict[str, Any]) -> None:
    assert edited([ORDER], edits) == [ORDER]


@pytest.mark.parametrize("visits", ["0", "-1", "1.5", "two", "1000", "²"])
def test_edit_is_refused_when_the_visits_are_no_count(visits: str) -> None:
    with pytest.raises(InputError, match="visits"):
        edited([ORDER], {"ServiceRequest/o1": {"visits": visits}})
