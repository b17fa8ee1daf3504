from __future__ import annotations

from typing import Any

import pytest

from hooks.sandbox.actions import Write, changes_between, take
from hooks.sandbox.orders import CPT

LINES = [{"coding": [{"system": CPT, "code": code}]} for code in ("97110", "20561")]
ORDER: dict[str, Any] = {
    "resourceType": "ServiceRequest",
    "id": "o1",
    "status": "draft",
    "orderDetail": LINES,
    "quantityQuantity": {"value": 8},
}
OTHER = {"resourceType": "ServiceRequest", "id": "o2", "status": "draft"}
TASK = {"resourceType": "Task", "id": "t1", "status": "requested", "intent": "order"}


def suggestion(*actions: dict[str, Any]) -> dict[str, Any]:
    return {"label": "do it", "uuid": "s1", "actions": list(actions)}


def test_draft_order_is_replaced_whole_when_an_update_names_it() -> None:
    smaller = ORDER | {"quantityQuantity": {"value": 6}, "orderDetail": LINES[:1]}
    taken = take(suggestion({"type": "update", "description": "fewer", "resource": smaller}), [ORDER, OTHER])
    assert taken.drafts == (smaller, OTHER)
    assert not taken.writes


def test_resource_is_written_to_the_server_when_an_update_names_no_draft() -> None:
    taken = take(suggestion({"type": "update", "description": "d", "resource": TASK}), [ORDER])
    assert taken.drafts == (ORDER,)
    assert taken.writes == (Write("PUT", "Task/t1", TASK),)


def test_resource_is_created_on_the_server_without_its_id_when_it_is_no_draft_order() -> None:
    taken = take(suggestion({"type": "create", "description": "d", "resource": TASK}), [ORDER])
    without_id = {key: value for key, value in TASK.items() if key != "id"}
    assert taken.writes == (Write("POST", "Task", without_id),)


def test_draft_order_joins_the_form_when_it_is_created() -> None:
    new = {"resourceType": "ServiceRequest", "status": "draft", "code": {"text": "Re-evaluation"}}
    taken = take(suggestion({"type": "create", "description": "d", "resource": new}), [ORDER])
    assert taken.drafts == (ORDER, new | {"id": "new-2"})
    assert not taken.writes


@pytest.mark.parametrize(
    "action",
    [
        {"type": "delete", "resourceId": "ServiceRequest/o1"},
        {"type": "delete", "resourceId": ["ServiceRequest/o1"]},
        {"type": "delete", "resource": ORDER},
    ],
)
def test_draft_order_goes_when_it_is_deleted(action: dict[str, Any]) -> None:
    assert take(suggestion(action), [ORDER, OTHER]).drafts == (OTHER,)


def test_nothing_on_record_is_deleted_when_the_target_is_no_draft() -> None:
    taken = take(suggestion({"type": "delete", "resourceId": "Encounter/e1"}), [ORDER])
    assert taken.drafts == (ORDER,)
    assert not taken.writes
    assert "Encounter/e1" in taken.problems[0]


@pytest.mark.parametrize(
    "action",
    [{"type": "update"}, {"type": "create", "resource": {}}, {"type": "merge", "resource": TASK}, {}],
)
def test_problem_is_told_when_an_action_makes_no_sense(action: dict[str, Any]) -> None:
    taken = take(suggestion(action), [ORDER])
    assert taken.drafts == (ORDER,)
    assert len(taken.problems) == 1


def test_every_action_is_carried_out_when_a_suggestion_has_several() -> None:
    smaller = ORDER | {"orderDetail": LINES[:1]}
    taken = take(suggestion({"type": "update", "resource": smaller}, {"type": "create", "resource": TASK}), [ORDER])
    assert taken.drafts == (smaller,)
    assert len(taken.writes) == 1


def test_change_names_lines_and_former_values_when_an_order_shrinks() -> None:
    smaller = ORDER | {"quantityQuantity": {"value": 6}, "orderDetail": LINES[:1]}
    change = changes_between([ORDER, OTHER], [smaller, OTHER])["ServiceRequest/o1"]
    assert [code for code, _ in change.removed_lines] == ["20561"]
    assert change.was == {"visits": "8"}


def test_change_says_gone_when_an_order_was_removed() -> None:
    assert changes_between([ORDER], [])["ServiceRequest/o1"].gone


def test_no_change_is_told_when_the_orders_are_alike() -> None:
    assert changes_between([ORDER], [ORDER]) == {}
