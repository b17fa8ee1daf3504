"""The page's server, before a service and a FHIR server that are played by a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from hooks.sandbox import http, signing
from hooks.sandbox.app import create_sandbox
from hooks.sandbox.examples import example_of
from hooks.sandbox.http import Answer

SERVICE, FHIR = "http://service.example", "http://fhir.example/fhir"
PATIENT = {"resourceType": "Patient", "id": "p1", "name": [{"text": "Ann <b>Example</b>"}]}
ORDER: dict[str, Any] = {
    "resourceType": "ServiceRequest",
    "id": "o1",
    "status": "draft",
    "subject": {"reference": "Patient/p1"},
    "code": {"text": "Physical therapy"},
    "quantityQuantity": {"value": 8},
}
CARD = {
    "uuid": "c1",
    "summary": "20 of 14 visits",
    "indicator": "warning",
    "detail": "<script>alert(1)</script>",
    "source": {"label": "Plan"},
    "overrideReasons": [{"system": "s", "code": "c", "display": "Seen today"}],
    "suggestions": [{"label": "Reduce to 6", "uuid": "s1", "actions": []}],
}
DISCOVERY = {"services": [{"id": "sign", "hook": "order-sign", "prefetch": {"p": "Patient/{{context.patientId}}"}}]}
REFUSAL = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "diagnostics": "no code in <o1>"}],
}

Asked = list[tuple[str, str, Any]]
Play = Callable[[dict[tuple[str, str], Answer]], tuple[FlaskClient, Asked]]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    def start(answers: dict[tuple[str, str], Answer]) -> tuple[FlaskClient, Asked]:
        asked: Asked = []
        known = {
            ("GET", f"{SERVICE}/cds-services"): Answer(200, DISCOVERY, 0),
            ("GET", f"{FHIR}/Patient/p1"): Answer(200, PATIENT, 0),
        } | answers

        def ask(method: str, url: str, body: Any = None, kind: str = "", token: str = "") -> Answer:
            asked.append((method, url, body))
            return known.get((method, url), Answer(404, "", 0))

        monkeypatch.setattr(http, "ask", ask)
        monkeypatch.setattr(signing, "ask", ask)
        entries = [{"resource": PATIENT}, {"resource": ORDER}]
        example = example_of("p1.json", json.dumps({"resourceType": "Bundle", "entry": entries}))
        return create_sandbox(SERVICE, FHIR, [example]).test_client(), asked

    return start


def answered(body: Any, status: int = 200) -> dict[tuple[str, str], Answer]:
    return {("POST", f"{SERVICE}/cds-services/sign"): Answer(status, body, 0.012)}


def sign(client: FlaskClient, **edits: Any) -> dict[str, Any]:
    body = {"drafts": [ORDER], "edits": {"ServiceRequest/o1": edits}}
    answer: dict[str, Any] = client.post("/patients/p1/sign", json=body).get_json()
    return answer


def test_names_are_escaped_and_nothing_inline_runs_when_a_chart_is_shown(play: Play) -> None:
    client, _ = play({})
    response = client.get("/patients/p1")
    assert "Ann &lt;b&gt;Example" in response.text
    assert "could not be read" in response.text.lower()
    assert "unsafe-inline" not in response.headers["Content-Security-Policy"]
    assert "<style" not in response.text
    assert " style=" not in response.text


def test_order_is_posted_with_its_prefetch_when_it_is_signed(play: Play) -> None:
    client, asked = play(answered({"cards": [CARD]}))
    pieces = sign(client, visits="6")
    method, url, request = asked[-1]
    assert (method, url) == ("POST", f"{SERVICE}/cds-services/sign")
    assert request["prefetch"] == {"p": PATIENT}
    assert request["context"]["draftOrders"]["entry"][0]["resource"]["quantityQuantity"] == {"value": 6}
    assert "20 of 14 visits" in pieces["answer"]
    assert "<script" not in pieces["answer"]
    assert 'value="6"' in pieces["form"]


def test_no_advice_is_said_plainly_when_there_are_no_cards(play: Play) -> None:
    client, _ = play(answered({"cards": []}))
    assert "No advice:" in sign(client)["answer"]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [(422, REFUSAL, "no code in &lt;o1&gt;"), (500, "", "500"), (200, {"card": []}, "no list of cards")],
)
def test_error_is_shown_and_never_as_no_advice_when_the_service_fails(
    play: Play, status: int, body: Any, says: str
) -> None:
    client, _ = play(answered(body, status))
    answer = sign(client)["answer"]
    assert says in answer
    assert "No advice" not in answer


def test_error_is_shown_when_discovery_fails(play: Play) -> None:
    client, _ = play({("GET", f"{SERVICE}/cds-services"): Answer(503, REFUSAL, 0)})
    assert "no code in" in sign(client)["answer"]


def test_order_changes_and_the_task_is_confirmed_when_a_suggestion_is_taken(play: Play) -> None:
    task = {"resourceType": "Task", "status": "requested", "intent": "order"}
    created = {("POST", f"{FHIR}/Task"): Answer(201, task | {"id": "t9"}, 0)}
    client, asked = play(created)
    smaller = ORDER | {"quantityQuantity": {"value": 6}}
    actions = [{"type": "update", "resource": smaller}, {"type": "create", "resource": task}]
    suggestion = {"label": "Reduce", "uuid": "s1", "actions": actions}
    body = {"drafts": [ORDER], "suggestion": suggestion, "service": "sign", "card": "c1"}
    pieces = client.post("/patients/p1/suggestion", json=body).get_json()
    assert "was 8" in pieces["form"]
    assert "Task/t9 was created" in pieces["notice"]
    assert "Feedback is not taken by this service" in pieces["notice"]
    (feedback,) = asked[-1][2]["feedback"]
    assert (feedback["card"], feedback["outcome"]) == ("c1", "accepted")


def test_refusal_is_shown_when_the_fhir_server_takes_no_task(play: Play) -> None:
    client, _ = play({("POST", f"{FHIR}/Task"): Answer(400, REFUSAL, 0)})
    suggestion = {"label": "Ask", "actions": [{"type": "create", "resource": {"resourceType": "Task"}}]}
    body = {"drafts": [ORDER], "suggestion": suggestion, "service": "sign"}
    notice = client.post("/patients/p1/suggestion", json=body).get_json()["notice"]
    assert "Not all of it could be done" in notice
    assert "no code in" in notice


def test_feedback_carries_the_reason_when_a_card_is_overridden(play: Play) -> None:
    client, asked = play({("POST", f"{SERVICE}/cds-services/sign/feedback"): Answer(200, "", 0)})
    reason = CARD["overrideReasons"][0]  # type: ignore[index]
    body = {"service": "sign", "card": "c1", "reason": reason, "comment": "as agreed"}
    notice = client.post("/patients/p1/override", json=body).get_json()["notice"]
    assert "Overridden: Seen today" in notice
    assert "The service has noted it." in notice
    assert asked[-1][2]["feedback"][0]["overrideReason"] == {"reason": reason, "userComment": "as agreed"}


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/patients/p1/sign", {"drafts": [ORDER], "edits": {"ServiceRequest/o1": {"visits": "x"}}}, "visits"),
        ("/patients/p1/sign", {"drafts": []}, "no order left"),
        ("/patients/p1/sign", {}, "drafts"),
        ("/patients/p1/sign", [], "JSON object"),
        ("/patients/p1/suggestion", {"drafts": [ORDER]}, "suggestion"),
        ("/patients/zz/sign", {"drafts": [ORDER]}, "no example patient"),
    ],
)
def test_wrong_input_is_told_when_the_page_is_misused(play: Play, path: str, body: Any, says: str) -> None:
    client, _ = play({})
    response = client.post(path, json=body)
    assert response.status_code == 400
    assert says in response.get_json()["answer"]


def test_sandbox_is_closed_to_other_sites_when_a_name_points_here(play: Play) -> None:
    client, _ = play({})
    assert client.get("/", headers={"Host": "evil.example:8080"}).status_code == 421
    form = client.post("/patients/p1/sign", data={"drafts": "[]"})
    assert form.status_code == 400
