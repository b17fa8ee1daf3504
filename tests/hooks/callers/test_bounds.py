"""How much one call may ask: a flood of orders is one order or a clear refusal, never thousands of cards."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from hooks.callers.bounds import MOST_APPOINTMENTS, MOST_ORDERS, MOST_PROBLEMS, MOST_REFERENCES, few
from tests.hooks.calls import Json, answered, assessment, draft, post, refused, request
from tests.hooks.hook_calls import active, appointment, body, bundle, record, told

DAY = "2025-03-10"
REFERENCES = [f"ServiceRequest/o{n}" for n in range(MOST_REFERENCES + 1)]


def orders(number: int) -> list[Json]:
    """Different therapy orders."""
    return [draft(id=f"o{n}") for n in range(number)]


def selected(drafts: list[Json]) -> Json:
    chosen = [f"ServiceRequest/{each['id']}" for each in drafts]
    return body("order-select", "f000", {"selections": chosen, "draftOrders": bundle(*drafts)}, record("f000"))


def booked(days: list[str]) -> Json:
    proposed = [appointment("f000", n, day) for n, day in enumerate(days)]
    return body("appointment-book", "f000", {"appointments": bundle(*proposed)}, record("f000"))


def dispatched(references: list[str], *held: Json) -> Json:
    context = {"dispatchedOrders": references, "performer": "Organization/therapy"}
    return body("order-dispatch", "f000", context, record("f000", *held))


def without_ids(answer: Json) -> list[tuple[str, str]]:
    return [(card["summary"], card.get("detail", "")) for card in answer["cards"]]


def test_an_order_is_weighed_once_when_it_is_sent_three_thousand_times(client: FlaskClient) -> None:
    once, often = answered(client, request()), answered(client, request(*[draft()] * 3000))
    assert without_ids(often) == without_ids(once)
    assert len(often["extension"]["example.therapy-cds.assessments"]) == 1
    assert assessment(often) == assessment(once)


def test_the_first_is_weighed_and_it_is_told_when_an_order_comes_again_as_another(client: FlaskClient) -> None:
    others = [draft(quantityQuantity={"value": number}) for number in range(2, 5)]
    answer = answered(client, request(draft(), *others))
    assert len(answer["extension"]["example.therapy-cds.assessments"]) == 1
    assert assessment(answer) == assessment(answered(client, request()))
    (again,) = (card["summary"] for card in answer["cards"] if "came twice" in card["summary"])
    assert again.endswith("ServiceRequest/f000-order came twice, as two different ones; only the first was read")


def test_orders_are_two_when_neither_has_an_id(client: FlaskClient) -> None:
    answer = answered(client, request(draft(id=None), draft(id=None)))
    assert len(answer["extension"]["example.therapy-cds.assessments"]) == 2


def test_an_appointment_is_weighed_once_when_it_is_sent_often(client: FlaskClient) -> None:
    sent = booked([DAY])
    sent["context"]["appointments"]["entry"] *= MOST_APPOINTMENTS + 1
    assert without_ids(told(client, sent)) == without_ids(told(client, booked([DAY])))


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        (request(*orders(MOST_ORDERS + 1)), "context.draftOrders"),
        (selected(orders(MOST_ORDERS + 1)), "context.draftOrders"),
        (booked([DAY] * (MOST_APPOINTMENTS + 1)), "context.appointments"),
        (
            dispatched(REFERENCES[: MOST_ORDERS + 1], *(active("f000", id=f"o{n}") for n in range(MOST_ORDERS + 1))),
            "context.dispatchedOrders",
        ),
        (dispatched(REFERENCES), "context"),
    ],
    ids=["order-sign", "order-select", "appointment-book", "order-dispatch", "references"],
)
def test_a_call_is_refused_when_it_asks_for_too_many(client: FlaskClient, sent: Json, where: str) -> None:
    issue = refused(post(client, sent, f"/cds-services/{sent['hook']}-therapy"), 422, "CDS-109")
    assert issue["code"] == "too-costly"
    assert issue["expression"] == [where]


def test_as_many_are_answered_when_they_are_just_not_too_many(client: FlaskClient) -> None:
    many = answered(
        client,
        request(
            *orders(MOST_ORDERS),
            *(draft(id=f"l{n}", code={"text": "CBC"}, orderDetail=None, category=None) for n in range(60)),
        ),
    )
    assert len(many["extension"]["example.therapy-cds.assessments"]) == MOST_ORDERS


def test_few_problems_are_told_and_the_others_counted_when_many_orders_cannot_be_read(client: FlaskClient) -> None:
    unreadable = [draft(id=f"o{n}", code=None) for n in range(MOST_PROBLEMS + 5)]
    found = answered(client, request(draft(), *unreadable))["cards"]
    unread = [card["summary"] for card in found if card["summary"].startswith("One order could not be weighed")]
    assert len(unread) == MOST_PROBLEMS + 1
    assert unread[-1] == "One order could not be weighed: the same goes for 5 more, which are not told one by one"


def test_problems_are_as_they_are_when_they_are_few() -> None:
    assert few(["a"] * MOST_PROBLEMS) == ("a",) * MOST_PROBLEMS
