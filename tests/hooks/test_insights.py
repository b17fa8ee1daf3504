"""The page of figures for those who answer for the policies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine
from flask.testing import FlaskClient

from hooks.app import create_app
from hooks.settings import Settings
from tests.hooks.calls import EXAMPLES, Json, answered, post, request
from tests.hooks.signing import ELSEWHERE, ISS, SERVICE, bearer, claims, clients_file, entry, production, token

FEEDBACK = "/cds-services/order-sign-therapy/feedback"
DAY = "2026-03-10T12:00:00+00:00"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    """A client of an application with a ledger of its own, on a day that stays."""
    with time_machine.travel(DAY, tick=False):
        yield create_app(Settings(database_url=f"sqlite:///{tmp_path / 'ledger.sqlite3'}")).test_client()


def page(client: FlaskClient, query: str = "", status: int = 200) -> str:
    response = client.get(f"/insights{query}")
    text = response.get_data(as_text=True)
    assert response.status_code == status, text
    assert response.content_type == "text/html; charset=utf-8"
    return text


def number(text: str, name: str) -> str:
    """One of the six numbers, as it reads."""
    found = re.search(rf"<dt>{name}</dt><dd>(.*?)</dd>", text)
    assert found, text
    return re.sub(r"<[^>]+>", "", found[1])


def override(client: FlaskClient, card: Json, code: str, display: str = "") -> None:
    system = "https://therapy-cds.example/CodeSystem/override-reasons"
    reason = {"system": system, "code": code, "display": display or code}
    item = {"card": card["uuid"], "outcome": "overridden", "overrideReason": {"reason": reason}}
    assert post(client, {"feedback": [item]}, FEEDBACK).status_code == 200


def test_it_is_said_kindly_when_nothing_is_on_record(client: FlaskClient) -> None:
    text = page(client)
    assert "Nothing is on record for this time" in text
    assert "<table" not in text
    assert "Nothing is on record<" in page(client, "?since=")


def test_figures_and_pictures_are_shown_when_calls_and_feedback_are_on_record(client: FlaskClient) -> None:
    cards = answered(client, request())["cards"]
    override(client, cards[0], "record-wrong")
    override(client, cards[1], "will-do")
    text = page(client)
    assert number(text, "Calls") == "1"
    assert number(text, "Cards shown") == "3"
    assert number(text, "Overridden") == "2 of 2"
    assert number(text, "False alarms") == "50 % 1 of 2"
    assert text.count("<svg") == 4
    assert text.count("<table") == 8
    for words in ("visits-within-benchmark", "The record is wrong", "order-sign-therapy", "development"):
        assert words in text


def test_page_needs_no_script_and_no_style_of_its_own_when_it_is_shown(client: FlaskClient) -> None:
    for name in EXAMPLES:
        answered(client, request(name=name))
    response = client.get("/insights")
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self';")
    assert "unsafe" not in policy
    assert response.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<script|<style|style=|\son\w+=|javascript:|https?://(?!www\.w3\.org)", response.text)


def test_own_style_is_served_when_the_page_asks_for_it(client: FlaskClient) -> None:
    for address in re.findall(r'(?:href|src)="(/insights/static/[^"]+)"', page(client)):
        with client.get(address) as response:
            assert response.status_code == 200


def test_words_of_a_client_are_shown_as_words_when_they_look_like_markup(client: FlaskClient) -> None:
    card = answered(client, request())["cards"][0]
    override(client, card, "own-reason", "<script>alert(1)</script>")
    text = page(client)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script" not in text


def test_only_its_figures_are_shown_when_a_policy_is_chosen(client: FlaskClient) -> None:
    answered(client, request(name="f000"))
    answered(client, request(name="f004"))
    text = page(client, "?policy=pain-rehabilitation-program")
    assert "depression-severity" in text
    assert "visits-within-benchmark" not in text
    assert "<option selected>pain-rehabilitation-program</option>" in text
    assert number(text, "Calls") == "2"
    assert number(text, "Cards shown") == "1"


@pytest.mark.parametrize(
    ("query", "calls"),
    [("?since=2026-03-10", "1"), ("?until=2026-03-10", "1"), ("?since=2026-03-11", ""), ("?until=2026-03-09", "")],
)
def test_calls_of_the_days_are_counted_when_days_are_chosen(client: FlaskClient, query: str, calls: str) -> None:
    answered(client, request())
    text = page(client, query)
    if calls:
        assert number(text, "Calls") == calls
    else:
        assert "Nothing is on record for this time" in text


def test_last_thirty_days_are_shown_when_none_are_chosen(client: FlaskClient) -> None:
    answered(client, request())
    with time_machine.travel("2026-04-08T12:00:00+00:00", tick=False):
        assert number(page(client), "Calls") == "1"
    with time_machine.travel("2026-04-09T12:00:00+00:00", tick=False):
        assert "Nothing is on record for this time" in page(client)
        assert number(page(client, "?since="), "Calls") == "1"


def test_policy_is_said_to_be_silent_when_it_is_not_applied_any_more(client: FlaskClient) -> None:
    for _ in range(2):
        answered(client, request(name="f004"))
    assert "<strong>Silent:" not in page(client)
    for _ in range(7):
        answered(client, request(name="f000"))
    assert "pain-rehabilitation-program has not been applied in the last 7 calls" in page(client)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?since=yesterday", "Write days like 2026-11-22"),
        ("?since=2026-03-10&until=2026-03-09", "The last day is before the first"),
        ("?policy=nobodys", "knows &#39;nobodys&#39;"),
    ],
)
def test_page_says_what_is_wrong_when_a_choice_cannot_be_used(client: FlaskClient, query: str, says: str) -> None:
    text = page(client, query, status=400)
    assert says in text
    assert 'role="alert"' in text


def test_page_says_that_the_ledger_is_away_when_it_cannot_be_read() -> None:
    client = create_app(Settings(database_url="postgresql://nobody@127.0.0.1:9/none")).test_client()
    assert "The ledger could not be read" in page(client, status=503)


def test_nobody_sees_the_page_when_the_caller_is_not_known(client: FlaskClient) -> None:
    for address in ("/insights", "/insights/static/insights.css"):
        assert client.get(address, environ_overrides={"REMOTE_ADDR": "203.0.113.9"}).status_code == 401


def test_a_client_sees_its_own_figures_and_this_machine_none_when_it_is_production(tmp_path: Path) -> None:
    other = "https://other.example.org"
    file = clients_file(tmp_path, entry(), entry(name="Other Clinic", iss=other))
    calling = create_app(production(file, database_url=f"sqlite:///{tmp_path / 'ledger.sqlite3'}")).test_client()

    def sees(iss: str) -> str:
        return page_of(calling, ELSEWHERE, bearer(token(claims("/insights", iss=iss))))

    for iss, name in ((ISS, "f000"), (other, "f004"), (other, "f004")):
        headers = bearer(token(claims(iss=iss)))
        answer = calling.post(SERVICE, json=request(name=name), headers=headers, environ_base=ELSEWHERE)
        card = answer.get_json()["cards"][0]
        items = {"feedback": [{"card": card["uuid"], "outcome": "accepted"}]}
        told = bearer(token(claims(FEEDBACK, iss=iss)))
        assert calling.post(FEEDBACK, json=items, headers=told, environ_base=ELSEWHERE).status_code == 200
    assert (number(sees(ISS), "Calls"), number(sees(other), "Calls")) == ("1", "2")
    assert "Other Clinic" not in sees(ISS)
    assert "depression-severity" not in sees(ISS)
    assert calling.get("/insights").status_code == 401


def test_all_figures_are_seen_on_this_machine_when_a_second_service_has_the_same_ledger(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    calling = create_app(production(clients_file(tmp_path, entry()), database_url=url)).test_client()
    sent = calling.post(SERVICE, json=request(), headers=bearer(token(claims())), environ_base=ELSEWHERE)
    assert sent.status_code == 200
    beside = create_app(Settings(database_url=url)).test_client()
    assert number(page_of(beside, {}, {}), "Calls") == "1"
    for behind in ({"X-Forwarded-For": "203.0.113.9"}, {"Host": "cds.example.org"}):
        assert beside.get("/insights", headers=behind).status_code == 401


def page_of(client: FlaskClient, environment: Json, headers: dict[str, str]) -> str:
    response = client.get("/insights", headers=headers, environ_base=environment)
    assert response.status_code == 200
    return response.text
