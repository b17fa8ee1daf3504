"""order-select: early and light, and an order that is not finished is no error."""

from __future__ import annotations

import logging

import pytest
from flask.testing import FlaskClient

from hooks.routes import services
from tests.hooks.calls import Json, draft, post, refused, request
from tests.hooks.hook_calls import body, bundle, cards, offers, prefetched, record, summaries, told

UNFINISHED = {"quantityQuantity": None, "occurrenceTiming": None}
PASSED = "Left hip: at least 18 of 14 visits (18 completed and an unknown number requested)"
NO_MEASURE = "Left hip: no outcome measure on file: HAGOS or iHOT is missing (none seen in this episode)"
PHQ = "PHQ-9 21 (severe) on 2025-02-10: ask about thoughts of self-harm (item 9) before the programme"


def selecting(name: str, *orders: Json, selections: list[str] | None = None) -> Json:
    chosen = [f"ServiceRequest/{order.get('id', '')}" for order in orders] if selections is None else selections
    return body("order-select", name, {"selections": chosen, "draftOrders": bundle(*orders)}, record(name))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("f000", [("warning", PASSED)]),
        ("f001", [("warning", NO_MEASURE)]),
        ("f002", []),
        ("f003", []),
        ("f004", [("warning", PHQ)]),
    ],
)
def test_one_card_at_most_tells_what_is_plain_when_an_order_has_no_details_yet(
    client: FlaskClient, name: str, expected: list[tuple[str, str]]
) -> None:
    assert summaries(client, selecting(name, draft(name, **UNFINISHED))) == expected


def test_no_outcome_is_told_when_only_a_part_of_the_criteria_is_weighed(client: FlaskClient) -> None:
    answer = told(client, selecting("f000", draft("f000", **UNFINISHED)))
    (brief,) = answer["extension"]["example.therapy-cds.assessments"]
    assert brief["criteria"]["visits-within-benchmark"] == "not-met"
    assert not {"outcome", "says"} & brief.keys()
    assert "Criteria not met" not in answer["cards"][0]["detail"]


def test_what_an_order_offers_can_be_taken_when_it_is_selected(client: FlaskClient) -> None:
    (card,) = cards(client, selecting("f001", draft("f001")))
    assert offers(card) == ["Ask for HAGOS", "Ask for iHOT-12"]
    assert card["extension"]["davinci-crd.associated-resource"] == [{"reference": "ServiceRequest/f001-order"}]


@pytest.mark.parametrize(
    "changes",
    [
        {"code": None},
        {"code": {"coding": [{}]}},
        {"subject": None},
        {"subject": {}},
        {"code": {"coding": [{"system": "http://loinc.org", "code": "2093-3"}]}, "orderDetail": None},
    ],
)
def test_there_is_silence_when_an_order_is_not_finished_or_no_therapy(client: FlaskClient, changes: Json) -> None:
    assert cards(client, selecting("f000", draft("f000", **changes))) == []


def test_other_orders_are_left_alone_when_one_is_selected(client: FlaskClient) -> None:
    other = draft("f000", id="other")
    chosen = selecting("f000", draft("f000"), other, selections=["ServiceRequest/other"])
    (card,) = cards(client, chosen)
    assert card["extension"]["davinci-crd.associated-resource"] == [{"reference": "ServiceRequest/other"}]
    assert cards(client, selecting("f000", draft("f000"), selections=[])) == []
    assert cards(client, selecting("f000", draft("f000"), selections=["MedicationRequest/1"])) == []


def test_an_order_is_found_when_it_is_selected_by_the_address_of_its_entry(client: FlaskClient) -> None:
    sent = selecting("f000", draft("f000"), selections=["urn:uuid:1"])
    sent["context"]["draftOrders"]["entry"][0]["fullUrl"] = "urn:uuid:1"
    assert len(cards(client, sent)) == 1


def test_a_failure_is_told_when_the_ehr_sends_an_error_for_what_matters(client: FlaskClient) -> None:
    error = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    sent = selecting("f003", draft("f003"))
    (card,) = cards(client, sent | {"prefetch": sent["prefetch"] | {"encounters": error}})
    assert card["indicator"] == "info"
    assert "was not checked in full" in card["summary"]
    (card,) = cards(client, sent | {"prefetch": sent["prefetch"] | {"coverage": error}})
    assert "the coverage could not be read" in card["summary"]


def test_the_call_is_refused_with_412_when_what_is_indispensable_is_missing(client: FlaskClient) -> None:
    sent = selecting("f000", draft("f000"))
    without = {key: value for key, value in sent["prefetch"].items() if key != "encounters"}
    issue = refused(post(client, sent | {"prefetch": without}, "/cds-services/order-select-therapy"), 412)
    assert "encounters" in issue["details"]["text"]


def test_less_is_asked_for_when_an_order_is_only_selected() -> None:
    early, late = prefetched("order-select", []).keys(), prefetched("order-sign", []).keys()
    assert early < late
    assert not {"goals", "imagingStudies", "medicationRequests", "claimResponses"} & early


@pytest.mark.parametrize(
    ("context", "where"),
    [
        ({"selections": None}, "context"),
        ({"selections": "ServiceRequest/f000-order"}, "context.selections"),
        ({"selections": [7]}, "context.selections[0]"),
        ({"draftOrders": {"resourceType": "Patient"}}, "context.draftOrders.resourceType"),
        ({"draftOrders": {"resourceType": "Bundle", "entry": [{}]}}, "context.draftOrders.entry[0]"),
        ({"patientId": "a b"}, "context.patientId"),
        ({"userId": None}, "context"),
    ],
)
def test_the_call_is_refused_when_its_context_is_malformed(client: FlaskClient, context: Json, where: str) -> None:
    sent = selecting("f000", draft("f000"))
    sent["context"] = {k: v for k, v in (sent["context"] | context).items() if v is not None}
    issue = refused(post(client, sent, "/cds-services/order-select-therapy"), 400)
    assert issue["expression"] == [where]


def test_the_call_is_refused_when_a_selected_order_is_for_somebody_else(client: FlaskClient) -> None:
    sent = selecting("f000", draft("f000", subject={"reference": "Patient/f001"}))
    refused(post(client, sent, "/cds-services/order-select-therapy"), 400)


# ----------------------------------------------------------------------------------------- order-sign by mistake


def test_a_body_is_answered_as_what_it_says_when_an_order_select_service_is_called_with_order_sign(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    services._tell_once.cache_clear()
    with caplog.at_level(logging.INFO, "hooks.routes.services"):
        answers = [told(client, request(), service="order-select") for _ in range(2)]
    assert [len(answer["cards"]) for answer in answers] == [3, 3]
    assert [r.message for r in caplog.records if "order-sign" in r.message] == [
        "order-select-therapy is called with bodies that say order-sign, and answers those"
    ]


def test_the_call_is_refused_when_such_a_body_has_no_valid_context(client: FlaskClient) -> None:
    sent = request()
    del sent["context"]["draftOrders"]
    issue = refused(post(client, sent, "/cds-services/order-select-therapy"), 400)
    assert issue["expression"] == ["context"]


@pytest.mark.parametrize(
    ("service", "hook"),
    [
        ("order-sign", "order-select"),
        ("order-sign", "order-dispatch"),
        ("order-select", "order-dispatch"),
        ("order-dispatch", "order-sign"),
        ("appointment-book", "order-sign"),
        ("encounter-start", "encounter-discharge"),
        ("encounter-discharge", "encounter-start"),
        ("encounter-start", "order-x"),
    ],
)
def test_the_call_is_refused_when_the_body_names_another_hook(client: FlaskClient, service: str, hook: str) -> None:
    issue = refused(post(client, request(hook=hook), f"/cds-services/{service}-therapy"), 400)
    assert issue["expression"] == ["hook"]
