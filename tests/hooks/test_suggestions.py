"""Suggestions truly work: applied as an EHR applies them, they change what the next signature is told."""

from __future__ import annotations

import importlib
import json
from datetime import date
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds.fhir.orders import read_order
from cds.model import Order
from cds.terminology import packaged
from hooks import suggestions
from hooks.sandbox.actions import take
from tests.hooks.calls import EXAMPLES, Json, answered, assessment, draft, is_draft, request, resources

CPT = "http://www.ama-assn.org/go/cpt"
BILLING = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options"


def offer(answer: Json, start: str) -> Json:
    offers = [offer for card in answer["cards"] for offer in card.get("suggestions", [])]
    found: Json = next(offer for offer in offers if offer["label"].startswith(start))
    return found


def valid(resource: Json) -> None:
    """Check a resource as R4 has it."""
    module = importlib.import_module(f"fhir.resources.R4B.{resource['resourceType'].lower()}")
    getattr(module, resource["resourceType"]).model_validate(resource)


def order_of(resource: Json) -> Order:
    order = read_order(resource, packaged(), resource["subject"]["reference"].removeprefix("Patient/"), "here", {})
    assert order is not None
    return order


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_action_is_valid_when_it_is_offered(client: FlaskClient, name: str) -> None:
    for card in answered(client, request(name=name))["cards"]:
        for found in card.get("suggestions", []):
            assert found["label"]
            assert found["uuid"]
            for action in found["actions"]:
                assert action["description"]
                assert action["type"] in ("create", "update", "delete")
                assert ("resource" in action) == (action["type"] != "delete")
                if "resource" in action:
                    valid(action["resource"])
                if action["type"] == "create":
                    assert "id" not in action["resource"]


def test_the_order_is_within_the_limit_when_its_visits_are_reduced(client: FlaskClient) -> None:
    order = draft("f001", quantityQuantity={"value": 12, "unit": "visit"})
    before = answered(client, request(order, name="f001"))
    assert assessment(before)["criteria"]["visits-within-benchmark"] == "not-met"
    taken = take(offer(before, "Reduce the order to 8 visits"), [order])
    after = answered(client, request(*taken.drafts, name="f001"))
    assert assessment(after)["criteria"]["visits-within-benchmark"] == "met"
    assert assessment(after)["visits"]["total"] == 14


def test_nothing_is_offered_when_no_visit_is_left(client: FlaskClient) -> None:
    offers = [offer for card in answered(client, request())["cards"] for offer in card.get("suggestions", [])]
    assert not [offer for offer in offers if "Reduce" in offer["label"]]


def test_the_lines_are_covered_when_the_line_is_removed(client: FlaskClient) -> None:
    before = answered(client, request())
    taken = take(offer(before, "Remove line 20561"), [draft()])
    after = answered(client, request(*taken.drafts))
    assert assessment(after)["criteria"]["services-covered"] == "met"
    assert "20561" not in json.dumps(taken.drafts[0]["orderDetail"])
    assert taken.drafts[0] == draft() | {"orderDetail": taken.drafts[0]["orderDetail"]}


def test_no_order_is_left_when_its_only_line_is_removed(client: FlaskClient) -> None:
    line = {"coding": [{"system": CPT, "code": "20561"}], "text": "Dry needling, physical therapy"}
    order = draft(code=line, orderDetail=None)
    before = answered(client, request(order))
    found = offer(before, "Remove")
    assert found["actions"][0]["type"] == "delete"
    assert found["actions"][0]["resourceId"] == "ServiceRequest/f000-order"
    assert take(found, [order]).drafts == ()


def test_no_re_evaluation_is_due_when_one_is_added(client: FlaskClient) -> None:
    lines = [{"coding": [{"system": CPT, "code": "97110"}]}]
    order = draft(orderDetail=lines)
    task = {"resourceType": "Task", "id": "t", **asked(client)}
    record = [resource for resource in resources() if not is_draft(resource)]
    before = answered(client, request(order, record=[*record, task]))
    assert assessment(before)["criteria"]["re-evaluation-due"] == "not-met"
    taken = take(offer(before, "Add a re-evaluation"), [order])
    after = answered(client, request(*taken.drafts, record=[*record, task]))
    assert assessment(after)["criteria"]["re-evaluation-due"] == "met"
    assert assessment(after)["criteria"]["services-covered"] == "met"


def asked(client: FlaskClient, label: str = "Ask for HAGOS") -> Json:
    (write,) = take(offer(answered(client, request()), label), [draft()]).writes
    assert (write.method, write.path) == ("POST", "Task")
    assert write.resource is not None
    return write.resource


@pytest.mark.parametrize("label", ["Ask for HAGOS", "Ask for iHOT-12"])
def test_the_measure_is_not_asked_for_again_when_its_task_is_open(client: FlaskClient, label: str) -> None:
    task = {"id": "t1"} | asked(client, label)
    answer = answered(client, request(record=[*resources(), task]))
    assert not [card for card in answer["cards"] if "outcome measure" in card["summary"]]
    done = task | {"status": "completed"}
    answer = answered(client, request(record=[*resources(), done]))
    assert [card for card in answer["cards"] if "outcome measure" in card["summary"]]


# ------------------------------------------------------------------------------------------------ by themselves


def reduced(**changes: Any) -> Json:
    order = draft(**changes)
    before = json.dumps(order)
    action = suggestions.reduce_visits(order_of(order), 3, lambda: "u")["actions"][0]
    assert json.dumps(order) == before
    valid(action["resource"])
    resource: Json = action["resource"]
    assert order_of(resource).requested is not None
    assert str(order_of(resource).requested) == "3"
    return resource


def test_the_quantity_says_it_when_visits_are_reduced() -> None:
    assert reduced(quantityQuantity={"value": 9, "unit": "visit"})["quantityQuantity"]["value"] == 3


def test_the_range_gives_way_when_visits_are_reduced() -> None:
    resource = reduced(quantityQuantity=None, quantityRange={"low": {"value": 8}, "high": {"value": 12}})
    assert "quantityRange" not in resource


def test_the_timing_agrees_when_visits_are_reduced() -> None:
    repeat = {"count": 9, "countMax": 12, "frequency": 2, "period": 1, "periodUnit": "wk"}
    resource = reduced(occurrenceTiming={"repeat": repeat})
    assert resource["occurrenceTiming"]["repeat"] == {"count": 3, "frequency": 2, "period": 1, "periodUnit": "wk"}


def test_the_days_agree_when_visits_are_reduced() -> None:
    days = [f"2025-03-{day:02d}" for day in range(10, 16)]
    assert reduced(occurrenceTiming={"event": days})["occurrenceTiming"]["event"] == days[:3]


def test_the_billing_option_goes_too_when_its_line_is_removed() -> None:
    option = {"url": BILLING, "valueCodeableConcept": {"coding": [{"system": CPT, "code": "20561"}]}}
    other = {"url": BILLING, "valueCoding": {"system": CPT, "code": "97110"}}
    code = draft()["code"] | {"extension": [option, other]}
    resource = suggestions.remove_lines(order_of(draft(code=code)), ["20561"], lambda: "u")["actions"][0]["resource"]
    assert resource["code"]["extension"] == [other]
    assert "20561" not in json.dumps([resource["code"], resource["orderDetail"]])
    valid(resource)


@pytest.mark.parametrize("odd", [{}, "x", [None], ["x"], [{"coding": {}}], [{"coding": [None, 5, {"code": ["x"]}]}], 5])
def test_an_order_is_changed_all_the_same_when_its_details_are_odd(odd: object) -> None:
    order = order_of(draft(orderDetail=odd))
    for made in (
        suggestions.remove_lines(order, ["20561"], lambda: "u"),
        suggestions.add_re_evaluation(order, lambda: "u"),
        suggestions.reduce_visits(order, 1, lambda: "u"),
    ):
        assert made["actions"][0]["type"] in ("update", "delete")


def test_a_detail_in_words_stays_when_a_line_is_removed() -> None:
    details = [*draft()["orderDetail"], {"text": "Please teach a home programme"}]
    made = suggestions.remove_lines(order_of(draft(orderDetail=details)), ["20561"], lambda: "u")
    assert {"text": "Please teach a home programme"} in made["actions"][0]["resource"]["orderDetail"]


def test_the_task_is_for_the_patient_when_a_measure_is_asked_for() -> None:
    made = suggestions.ask_for_measure(order_of(draft()), "HAGOS", None, date(2025, 3, 10), lambda: "u")
    task = made["actions"][0]["resource"]
    valid(task)
    assert task["for"] == {"reference": "Patient/f000"}
    assert task["code"]["coding"][0]["code"] == "complete-questionnaire"
    assert task["authoredOn"] == "2025-03-10"
