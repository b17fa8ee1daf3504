"""order-dispatch: orders on file, by both shapes of the context, weighed as of today."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from hooks.app import create_app
from hooks.settings import Settings
from tests.cds.ehr.misbehaving import Handler, misbehaving
from tests.cds.ehr.misbehaving import searchset as page
from tests.hooks.calls import Json, post, refused, searchset
from tests.hooks.hook_calls import active, body, cards, on, record, summaries, told

URL = "/cds-services/order-dispatch-therapy"
ORDER = "ServiceRequest/f000-order"
LIMIT = "Left hip: 20 of 14 visits (18 completed and 2 requested); the plan projects 28 to 36"
SHAPES: list[Json] = [
    {"dispatchedOrders": [ORDER], "performer": "Organization/therapy"},
    {"dispatchedOrders": [f"https://ehr.example.org/fhir/{ORDER}"], "performer": "Organization/therapy"},
    {"dispatchedOrders": [ORDER], "performer": "Organization/therapy", "fulfillmentTasks": [{"resourceType": "Task"}]},
    {"dispatchedOrders": [ORDER], "performer": "Organization/therapy", "fulfillment-tasks": [{"resourceType": "Task"}]},
    {"order": ORDER, "performer": "Organization/therapy"},
    {"order": ORDER, "performer": "Organization/therapy", "task": {"resourceType": "Task"}},
]


def dispatching(context: Json, *orders: Json, name: str = "f000") -> Json:
    sent = body("order-dispatch", name, context, record(name, *orders))
    del sent["context"]["userId"]  # the hook has no user
    return sent


@pytest.mark.parametrize("context", SHAPES)
def test_the_order_is_weighed_when_it_is_named_in_either_shape(client: FlaskClient, context: Json) -> None:
    with on("2025-03-10"):
        found = summaries(client, dispatching(context, active("f000")))
    assert found[0] == ("warning", LIMIT)
    assert len(found) == 3


@pytest.mark.parametrize("key", ["order", "dispatchedOrders", "serviceRequestBundle"])
def test_the_order_is_found_when_a_client_sends_it_under_a_key_of_its_own(client: FlaskClient, key: str) -> None:
    sent = dispatching(SHAPES[0])
    del sent["prefetch"]["serviceRequests"]
    sent["prefetch"][key] = active("f000") if key == "order" else searchset(active("f000"))
    with on("2025-03-10"):
        assert summaries(client, sent)[0] == ("warning", LIMIT)


def test_the_day_is_today_when_an_order_of_another_day_is_dispatched(client: FlaskClient) -> None:
    with on("2025-03-11"):
        answer = told(client, dispatching(SHAPES[0], active("f000")))
    (brief,) = answer["extension"]["example.therapy-cds.assessments"]
    assert (brief["asOf"], brief["outcome"]) == ("2025-03-11", "criteria-not-met")


def test_the_day_is_that_of_the_first_service_when_it_is_still_to_come(client: FlaskClient) -> None:
    sent = dispatching(SHAPES[0], active("f000"))  # for 2025-03-10 and 2025-03-12
    (held,) = sent["prefetch"]["coverage"]["entry"]
    held["resource"] = held["resource"] | {"period": {"start": "2025-03-09"}}
    with on("2025-03-07"):
        (brief,) = told(client, sent)["extension"]["example.therapy-cds.assessments"]
    assert (brief["asOf"], brief["outcome"]) == ("2025-03-10", "criteria-not-met")


def test_each_order_has_its_own_day_when_several_are_dispatched(client: FlaskClient) -> None:
    at_once = active("f000", id="at-once", occurrenceTiming=None, quantityQuantity={"value": 2, "unit": "visit"})
    context = {"dispatchedOrders": [ORDER, "ServiceRequest/at-once"], "performer": "Organization/therapy"}
    with on("2025-03-07"):
        briefs = told(client, dispatching(context, active("f000"), at_once))["extension"][
            "example.therapy-cds.assessments"
        ]
    days = {brief["order"]: brief["asOf"] for brief in briefs}
    assert days == {ORDER: "2025-03-10", "ServiceRequest/at-once": "2025-03-07"}


def test_there_is_silence_when_what_is_dispatched_is_no_therapy(client: FlaskClient) -> None:
    lab = active("f000", code={"coding": [{"system": "http://loinc.org", "code": "2093-3"}]}, orderDetail=None)
    assert cards(client, dispatching(SHAPES[0], lab)) == []
    assert cards(client, dispatching({"order": "DeviceRequest/1", "performer": "Organization/x"})) == []


def test_each_order_is_told_when_one_of_two_cannot_be_had(client: FlaskClient) -> None:
    context = {"dispatchedOrders": [ORDER, "ServiceRequest/lost"], "performer": "Organization/therapy"}
    with on("2025-03-10"):
        found = summaries(client, dispatching(context, active("f000")))
    assert found[0] == ("warning", LIMIT)
    lost = "One order could not be weighed: ServiceRequest/lost was not sent, and no FHIR server can be asked"
    assert found[-1] == ("info", lost)


def test_the_call_is_refused_with_412_when_no_order_was_sent_and_nobody_can_be_asked(client: FlaskClient) -> None:
    issue = refused(post(client, dispatching(SHAPES[0]), URL), 412)
    assert issue["expression"] == ["prefetch.serviceRequests"]


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (active("f000", code=None), "has no code"),
        (active("f000", subject=None), "has no subject"),
    ],
)
def test_a_card_says_why_when_the_order_on_file_cannot_be_used(client: FlaskClient, order: Json, why: str) -> None:
    sent = dispatching(SHAPES[0])
    sent["prefetch"]["order"] = order
    ((indicator, summary),) = summaries(client, sent)
    assert indicator == "info"
    assert why in summary


def test_the_call_is_refused_with_412_when_the_order_that_was_sent_is_of_somebody_else(client: FlaskClient) -> None:
    sent = dispatching(SHAPES[0])
    sent["prefetch"]["order"] = active("f000", subject={"reference": "Patient/f001"})
    refused(post(client, sent, URL), 412)


def _gone(handler: Handler) -> None:
    handler.reply({"resourceType": "OperationOutcome", "issue": []}, 404)


def _forbidden(handler: Handler) -> None:
    handler.reply({"resourceType": "OperationOutcome", "issue": []}, 403)


def _of_somebody_else(handler: Handler) -> None:
    handler.reply(active("f000", subject={"reference": "Patient/f001"}))


def _another(handler: Handler) -> None:
    handler.reply(page(active("f000", id="another")))


@pytest.mark.parametrize("answer", [_gone, _forbidden, _of_somebody_else, _another])
def test_a_card_says_that_the_order_is_not_known_when_the_server_does_not_give_it(
    answer: Callable[[Handler], None],
) -> None:
    with misbehaving(answer) as server:
        client = create_app(Settings(fhir_servers=(server.base,))).test_client()
        sent = dispatching(SHAPES[0]) | {"fhirServer": server.base}
        ((indicator, summary),) = summaries(client, sent)
        assert f"/fhir/{ORDER}" in [seen.path for seen in server.seen]
    assert indicator == "info"
    assert summary.startswith(f"One order could not be weighed: {ORDER} is not known: ")


@pytest.mark.parametrize(
    ("context", "where"),
    [
        ({"dispatchedOrders": [ORDER]}, "context"),
        ({"performer": "Organization/x"}, "context"),
        ({"dispatchedOrders": [], "performer": "Organization/x"}, "context.dispatchedOrders"),
        ({"dispatchedOrders": ORDER, "performer": "Organization/x"}, "context.dispatchedOrders"),
        ({"dispatchedOrders": ["../Patient?x=1"], "performer": "Organization/x"}, "context.dispatchedOrders[0]"),
        ({"order": "ServiceRequest/1?_include=*", "performer": "Organization/x"}, "context.order"),
        ({"order": 7, "performer": "Organization/x"}, "context.order"),
        ({"order": ORDER, "performer": ""}, "context.performer"),
        ({"order": ORDER, "performer": "Organization/x", "task": "Task/1"}, "context.task"),
        ({"order": ORDER, "performer": "Organization/x", "patientId": "f000/../f001"}, "context.patientId"),
    ],
)
def test_the_call_is_refused_when_its_context_is_malformed(client: FlaskClient, context: Json, where: str) -> None:
    issue = refused(post(client, dispatching(context, active("f000")), URL), 400)
    assert issue["expression"] == [where]
