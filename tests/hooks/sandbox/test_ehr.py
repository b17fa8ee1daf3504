from __future__ import annotations

from typing import Any

import pytest

from hooks.sandbox.ehr import cards_of, context_of, feedback_item, only_of, queries_of, query_of, sign_request

ORDER = {
    "resourceType": "ServiceRequest",
    "id": "o1",
    "status": "draft",
    "subject": {"reference": "Patient/p1"},
}
TOKENS = {"context.patientId": "p1", "context.userId": "Practitioner/7", "userPractitionerId": "7"}


@pytest.mark.parametrize(
    ("template", "query"),
    [
        ("Patient/{{context.patientId}}", "Patient/p1"),
        ("Patient/{{ context.patientId }}", "Patient/p1"),
        ("Encounter?patient={{context.patientId}}&status=finished", "Encounter?patient=p1&status=finished"),
        ("{{context.userId}}", "Practitioner/7"),
        ("Practitioner/{{userPractitionerId}}", "Practitioner/7"),
        ("Organization?name=x", "Organization?name=x"),
    ],
)
def test_template_becomes_a_query_when_all_its_tokens_are_known(template: str, query: str) -> None:
    assert query_of(template, TOKENS) == query


@pytest.mark.parametrize(
    "template",
    [
        "Encounter/{{context.encounterId}}",
        "Observation?patient={{context.patientId}}&date=ge{{today() - 90 days}}",
        "ServiceRequest/{{context.draftOrders.entry.resource.id}}",
    ],
)
def test_template_is_left_out_when_a_token_is_unknown(template: str) -> None:
    queries, left_out = queries_of({"key": template}, context_of("p1", [ORDER]))
    assert queries == {}
    assert list(left_out) == ["key"]


def test_context_names_the_requester_when_the_order_has_one() -> None:
    order = ORDER | {
        "requester": {"reference": "PractitionerRole/r1"},
        "encounter": {"reference": "Encounter/e1"},
    }
    context = context_of("p1", [order])
    assert context["userId"] == "PractitionerRole/r1"
    assert context["encounterId"] == "e1"


@pytest.mark.parametrize(
    "requester",
    [
        None,
        {"display": "somebody"},
        {"reference": "Organization/o1"},
        {"reference": "https://ehr.example/Practitioner/1"},
    ],
)
def test_context_names_the_sandbox_user_when_the_requester_cannot_be_one(requester: Any) -> None:
    context = context_of("p1", [ORDER | {"requester": requester}])
    assert context["userId"] == "Practitioner/sandbox"
    assert "encounterId" not in context


def test_request_has_no_prefetch_when_none_was_had() -> None:
    request = sign_request("http://fhir.example", context_of("p1", [ORDER]), {})
    assert "prefetch" not in request
    assert request["hook"] == "order-sign"
    assert request["context"]["draftOrders"]["entry"] == [{"resource": ORDER}]


def test_each_request_is_an_instance_of_its_own_when_the_same_order_is_signed_twice() -> None:
    context = context_of("p1", [ORDER])
    first, second = (sign_request("http://fhir.example", context, {}) for _ in range(2))
    assert first["hookInstance"] != second["hookInstance"]


def test_feedback_tells_the_reason_and_the_comment_when_a_card_is_overridden() -> None:
    reason = {"system": "s", "code": "c", "display": "d"}
    item = feedback_item("card", when="2025-03-10T09:00:00Z", reason=reason, comment=" seen today ")
    assert item == {
        "card": "card",
        "outcome": "overridden",
        "outcomeTimestamp": "2025-03-10T09:00:00Z",
        "overrideReason": {"reason": reason, "userComment": "seen today"},
    }


def test_feedback_holds_no_empty_reason_when_none_was_given() -> None:
    assert "overrideReason" not in feedback_item("card", when="2025-03-10T09:00:00Z", comment="  ")


@pytest.mark.parametrize("response", [None, "text", [], {}, {"cards": None}, {"cards": "x"}, {"cards": ["x"]}])
def test_no_cards_are_read_when_the_response_holds_none(response: object) -> None:
    assert cards_of(response) == []


def test_other_patients_data_is_not_sent_when_a_server_ignores_the_filter() -> None:
    own = {"resource": {"resourceType": "Goal", "subject": {"reference": "Patient/p1"}}}
    absolute = {"resource": {"resourceType": "Goal", "subject": {"reference": "https://ehr.example/Patient/p1"}}}
    other = {"resource": {"resourceType": "Coverage", "beneficiary": {"reference": "Patient/p2"}}}
    payer = {"resource": {"resourceType": "Organization", "id": "o1"}}
    bundle = {"resourceType": "Bundle", "total": 4, "entry": [own, absolute, other, payer]}
    assert only_of(bundle, "p1") == {"resourceType": "Bundle", "total": 3, "entry": [own, absolute, payer]}


def test_total_counts_matches_only_when_a_server_says_that_it_ignores_the_filter() -> None:
    own = {"resource": {"resourceType": "Goal", "subject": {"reference": "Patient/p1"}}, "search": {"mode": "match"}}
    other = {"resource": {"resourceType": "Goal", "subject": {"reference": "Patient/p2"}}, "search": {"mode": "match"}}
    said = {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}}
    bundle = {"resourceType": "Bundle", "total": 2, "entry": [own, other, said]}
    assert only_of(bundle, "p1") == {"resourceType": "Bundle", "total": 1, "entry": [own, said]}


def test_bundle_is_sent_as_it_came_when_it_holds_one_patients_data() -> None:
    bundle = {"resourceType": "Bundle", "total": 0, "link": []}
    assert only_of(bundle, "p1") is bundle
