"""What became of the cards: feedback as clients send it, and what goes on record of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text
from werkzeug.test import TestResponse

from cds.ledger.ledger import FEEDBACK, Entry, Ledger
from hooks.app import create_app
from hooks.settings import Settings
from tests.hooks.calls import EXAMPLES, TOKEN, Json, answered, draft, post, refused, request

URL = "/cds-services/order-sign-therapy/feedback"
WHEN = "2025-03-10T09:00:00Z"
REASON = {"system": "https://therapy-cds.example/CodeSystem/override-reasons", "code": "record-wrong"}


@pytest.fixture
def cards(client: FlaskClient) -> list[Json]:
    """The cards of an order that was just signed: limits, outcome measure, lines."""
    found: list[Json] = answered(client, request())["cards"]
    return found


def item(card: Json | str, outcome: str = "overridden", **more: Any) -> Json:
    uuid = card if isinstance(card, str) else card["uuid"]
    said = {"card": uuid, "outcome": outcome, "outcomeTimestamp": WHEN} | more
    return {name: value for name, value in said.items() if value is not ...}


def send(client: FlaskClient, *items: object, url: str = URL) -> TestResponse:
    return post(client, {"feedback": list(items)}, url)


def kept(app: Flask, card: Json) -> list[Json]:
    """What stands on record of a card, oldest first."""
    ledger = app.extensions["therapy-cds"].ledger
    return [
        each
        for entry in ledger.entries(FEEDBACK)
        for each in (entry.body or {})["items"]
        if each["card"] == card["uuid"]
    ]


def issues(response: TestResponse) -> list[Json]:
    outcome = response.get_json()
    assert response.status_code == 400, outcome
    assert outcome["resourceType"] == "OperationOutcome"
    found: list[Json] = outcome["issue"]
    return found


# ------------------------------------------------------------------------------------------ what is kept


def test_override_is_joined_to_order_policy_and_criteria_when_it_is_sent(
    app: Flask, client: FlaskClient, cards: list[Json]
) -> None:
    said = {"reason": REASON | {"display": "The record is wrong"}, "userComment": " seen twice "}
    response = send(client, item(cards[0], overrideReason=said))
    assert response.status_code == 200
    assert response.get_json() == {}
    (found,) = kept(app, cards[0])
    entry = app.extensions["therapy-cds"].ledger.find(cards[0]["uuid"])
    assert found == {
        "card": cards[0]["uuid"],
        "outcome": "overridden",
        "call": entry.id,
        "shown": entry.recorded,
        "assessment": entry.body["assessments"][0]["id"],
        "order": "ServiceRequest/f000-order",
        "policy": "hip-pain-extended-therapy",
        "policyVersion": "2025-01-01",
        "criteria": [
            {"policy": "hip-pain-extended-therapy", "id": "visits-within-benchmark"},
            {"policy": "hip-pain-extended-therapy", "id": "projected-visits-within-benchmark"},
        ],
        "outcomeTimestamp": WHEN,
        "overrideReason": {"reason": REASON | {"display": "The record is wrong"}, "userComment": "seen twice"},
    }


def test_suggestion_is_told_by_its_label_when_it_was_accepted(
    app: Flask, client: FlaskClient, cards: list[Json]
) -> None:
    offer = cards[2]["suggestions"][0]
    assert send(client, item(cards[2], "accepted", acceptedSuggestions=[{"id": offer["uuid"]}])).status_code == 200
    (found,) = kept(app, cards[2])
    assert found["acceptedSuggestions"] == [{"id": offer["uuid"], "label": offer["label"]}]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"outcome": "accepted"}, {"acceptedSuggestions": []}),
        ({"outcome": "accepted", "acceptedSuggestions": None}, {"acceptedSuggestions": []}),
        ({"overrideReason": None}, {}),
        ({"overrideReason": {"reason": None, "userComment": None}}, {}),
        ({"overrideReason": {"userComment": "later"}}, {"overrideReason": {"userComment": "later"}}),
        ({"overrideReason": {"reason": REASON}}, {"overrideReason": {"reason": REASON}}),
        ({"unheardOf": {"a": 1}}, {}),
        ({"outcomeTimestamp": ...}, {"outcomeTimestamp": None, "notes": ["outcomeTimestamp is missing"]}),
        ({"outcomeTimestamp": "soon"}, {"outcomeTimestamp": None, "notes": ["outcomeTimestamp is no date with time"]}),
        ({"outcomeTimestamp": "2025-03-10T09:00:00+01:00"}, {"outcomeTimestamp": "2025-03-10T09:00:00+01:00"}),
    ],
)  # fmt: skip
def test_item_is_kept_when_it_says_less_or_more_than_it_should(
    app: Flask, client: FlaskClient, cards: list[Json], more: Json, expected: Json
) -> None:
    assert send(client, item(cards[0], **more)).status_code == 200
    (found,) = kept(app, cards[0])
    told = {name: found[name] for name in found if name in ("acceptedSuggestions", "overrideReason", "notes")}
    assert told | {"outcomeTimestamp": found["outcomeTimestamp"]} == {"outcomeTimestamp": WHEN} | expected


def test_history_is_kept_when_a_card_is_reported_again(app: Flask, client: FlaskClient, cards: list[Json]) -> None:
    for outcome in ("overridden", "overridden", "accepted"):
        assert send(client, item(cards[0], outcome)).status_code == 200
    assert [each["outcome"] for each in kept(app, cards[0])] == ["overridden", "overridden", "accepted"]


def test_comment_is_cut_when_it_is_very_long(app: Flask, client: FlaskClient, cards: list[Json]) -> None:
    assert send(client, item(cards[0], overrideReason={"userComment": "x" * 2001})).status_code == 200
    (found,) = kept(app, cards[0])
    assert found["overrideReason"]["userComment"] == "x" * 2000
    assert found["notes"] == ["userComment was cut after 2000 characters"]


def test_nothing_goes_on_record_when_there_is_no_item(app: Flask, client: FlaskClient) -> None:
    ledger = app.extensions["therapy-cds"].ledger
    before = ledger.head()
    assert send(client).status_code == 200
    assert ledger.head() == before


def test_no_comment_is_logged_when_feedback_is_good_or_bad(
    client: FlaskClient, cards: list[Json], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        said = {"userComment": f"Mrs. Miller {TOKEN}"}
        unknown = (item("nobody", overrideReason=said), item(said["userComment"]))
        send(client, item(cards[0], overrideReason=said), *unknown)
    assert "2 refused" in caplog.text
    assert "Miller" not in caplog.text
    assert TOKEN not in caplog.text


# --------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("wrong", "where", "says"),
    [
        (lambda card: item(str(uuid4())), "feedback[0].card", "No card of this uuid"),
        (lambda card: item(card, "ignored"), "feedback[0].outcome", "'accepted' or 'overridden'"),
        (lambda card: {"card": card["uuid"]}, "feedback[0]", "outcome is missing"),
        (lambda card: {"outcome": "accepted"}, "feedback[0]", "card is missing"),
        (lambda card: item(card) | {"card": 7}, "feedback[0].card", "must be string"),
        (lambda card: card["uuid"], "feedback[0]", "must be object"),
        (lambda card: None, "feedback[0]", "must be object"),
        (
            lambda card: item(card, "accepted", acceptedSuggestions=[{"id": "other"}]),
            "feedback[0].acceptedSuggestions[0].id",
            "no suggestion of this uuid",
        ),
        (
            lambda card: item(card, "accepted", acceptedSuggestions=["s"]),
            "feedback[0].acceptedSuggestions[0]",
            "must be object",
        ),
        (
            lambda card: item(card, overrideReason={"reason": "wrong"}),
            "feedback[0].overrideReason.reason",
            "must be object",
        ),
        (
            lambda card: item(card, overrideReason={"reason": {"display": "wrong"}}),
            "feedback[0].overrideReason.reason",
            "code is missing",
        ),
        (
            lambda card: item(card, overrideReason={"userComment": 7}),
            "feedback[0].overrideReason.userComment",
            "must be string",
        ),
    ],
)
def test_item_is_refused_with_its_place_when_it_cannot_be_kept(
    app: Flask, client: FlaskClient, cards: list[Json], wrong: Callable[[Json], object], where: str, says: str
) -> None:
    (issue,) = issues(send(client, wrong(cards[0])))
    assert issue["severity"] == "error"
    assert issue["expression"] == [where]
    assert says in issue["details"]["text"]
    assert kept(app, cards[0]) == []


def test_good_items_are_kept_and_told_when_others_of_the_body_are_bad(
    app: Flask, client: FlaskClient, cards: list[Json]
) -> None:
    found = issues(send(client, item(cards[0]), item("nobody"), item(cards[1]), item(cards[2], "ignored")))
    assert [issue["severity"] for issue in found] == ["error", "error", "information"]
    assert [issue.get("expression") for issue in found] == [["feedback[1].card"], ["feedback[3].outcome"], None]
    assert found[-1]["details"]["text"] == "2 other items were kept; do not send them again"
    assert [len(kept(app, card)) for card in cards] == [1, 1, 0]


def test_card_is_unknown_when_its_uuid_is_that_of_something_else(client: FlaskClient, cards: list[Json]) -> None:
    suggestion = cards[2]["suggestions"][0]["uuid"]
    (issue,) = issues(send(client, item(suggestion)))
    assert "No card of this uuid" in issue["details"]["text"]


def test_other_service_is_named_when_its_card_is_reported_here(client: FlaskClient, cards: list[Json]) -> None:
    (issue,) = issues(send(client, item(cards[0]), url="/cds-services/order-select-therapy/feedback"))
    assert "sent by order-sign-therapy" in issue["details"]["text"]
    assert issue["expression"] == ["feedback[0].card"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff", "body"),
        (b"[" * 100_000, "body"),
        (b"[]", "feedback"),
        (b"{}", "feedback"),
        (b'{"feedback": {}}', "feedback"),
        (json.dumps({"feedback": [{}] * 1001}).encode(), "feedback"),
    ],
    ids=["empty", "cut", "no text", "deep", "a list", "no list", "an object", "too many"],
)
def test_body_is_refused_when_it_is_no_feedback(client: FlaskClient, body: bytes, where: str) -> None:
    assert refused(post(client, body, URL), 400, "CDS-101")["expression"] == [where]


def test_service_is_not_found_when_none_has_that_name(client: FlaskClient, cards: list[Json]) -> None:
    refused(send(client, item(cards[0]), url="/cds-services/nobody/feedback"), 404, "CDS-102")


def test_nothing_is_kept_and_503_is_told_when_the_ledger_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    app = create_app(Settings(database_url=f"sqlite:///{file}"))
    client = app.test_client()
    cards = answered(client, request())["cards"]
    other = create_engine(f"sqlite:///{file}")
    with other.connect() as connection:
        connection.execute(text("BEGIN IMMEDIATE"))  # another writer that does not end
        refused(send(client, item(cards[0])), 503, "CDS-401")
    other.dispose()
    assert kept(app, cards[0]) == []
    assert send(client, item(cards[0])).status_code == 200
    assert len(kept(app, cards[0])) == 1


def test_an_entry_is_read_once_when_a_body_reports_all_of_its_cards_many_times(
    app: Flask, client: FlaskClient, cards: list[Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger: Ledger = app.extensions["therapy-cds"].ledger
    asked: list[str] = []
    find = ledger.find

    def counted(name: str) -> Entry | None:
        asked.append(name)
        return find(name)

    monkeypatch.setattr(ledger, "find", counted)
    other = answered(client, request())["cards"][0]
    *unknown, kept_too = issues(send(client, *map(item, (*cards, other, *cards, "nobody", "nobody"))))
    assert [each["code"] for each in unknown] == ["not-found"] * 2
    assert kept_too["details"]["text"].startswith(f"{2 * len(cards) + 1} other items were kept")
    assert len(cards) > 1
    assert asked == [cards[0]["uuid"], other["uuid"], "nobody"]


# ------------------------------------------------------------------------------------ what is offered


def offered(cards: list[Json]) -> dict[str, list[str]]:
    """The codes of the reasons, by what the card is about."""
    return {
        card["extension"]["example.therapy-cds.criteria"][0]: [each["code"] for each in card["overrideReasons"]]
        for card in cards
    }


def test_reasons_fit_the_criteria_when_a_card_offers_them(client: FlaskClient, cards: list[Json]) -> None:
    assert offered(cards) == {
        "visits-within-benchmark": ["record-wrong", "exception-applies", "agreed-with-payer", "will-do"],
        "baseline-outcome-measure": [
            "record-wrong", "done-elsewhere", "exception-applies", "patient-declines", "will-do",
        ],
        "services-covered": ["record-wrong", "exception-applies", "agreed-with-payer", "will-do"],
    }  # fmt: skip


def test_done_elsewhere_is_offered_when_visits_cannot_be_counted(client: FlaskClient) -> None:
    found = offered(answered(client, request(name="f002"))["cards"])
    assert found["visits-within-guideline"] == [
        "record-wrong", "done-elsewhere", "exception-applies", "agreed-with-payer", "will-do",
    ]  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_three_to_five_reasons_are_offered_when_a_card_is_shown(client: FlaskClient, name: str) -> None:
    orders = (draft(name), draft(name, id="second"))
    for card in answered(client, request(*orders, name=name))["cards"]:
        assert 3 <= len(card["overrideReasons"]) <= 5
