from __future__ import annotations

from typing import Any

import pytest

from hooks.sandbox import http
from hooks.sandbox.errors import InputError, RefusalError, SandboxError
from hooks.sandbox.http import Answer, FhirServer, outcome_text

BASE = "http://127.0.0.1:9/fhir"


def page(number: int, following: str | None) -> dict[str, Any]:
    links = [{"relation": "self", "url": f"{BASE}?page={number}"}]
    links += [{"relation": "next", "url": following}] if following else []
    return {"resourceType": "Bundle", "link": links, "entry": [{"resource": {"id": str(number)}}]}


def serve(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Answer]) -> list[str]:
    asked: list[str] = []

    def ask(method: str, url: str, body: object = None, kind: str = "") -> Answer:
        asked.append(url)
        return answers[url]

    monkeypatch.setattr(http, "ask", ask)
    return asked


def test_bundle_is_whole_when_a_search_has_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = f"{BASE}/Encounter?patient=p1", f"{BASE}?_getpages=abc"
    serve(monkeypatch, {first: Answer(200, page(1, second), 0), second: Answer(200, page(2, None), 0)})
    bundle = FhirServer(BASE).read("Encounter?patient=p1")
    assert [entry["resource"]["id"] for entry in bundle["entry"]] == ["1", "2"]
    assert not [link for link in bundle["link"] if link["relation"] == "next"]


def test_next_link_is_left_in_the_bundle_when_it_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    first, elsewhere = f"{BASE}/Encounter", "http://elsewhere.example/fhir?page=2"
    asked = serve(monkeypatch, {first: Answer(200, page(1, elsewhere), 0)})
    bundle = FhirServer(BASE).read("Encounter")
    assert asked == [first]
    assert bundle["link"][-1]["url"] == elsewhere


def test_warnings_are_no_results_when_a_search_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [{"resource": {"resourceType": "OperationOutcome"}}, {"resource": {"resourceType": "Goal"}}]
    serve(monkeypatch, {f"{BASE}/Goal": Answer(200, {"resourceType": "Bundle", "entry": entries}, 0)})
    assert FhirServer(BASE).search("Goal") == [{"resourceType": "Goal"}]


@pytest.mark.parametrize(("status", "exit_status"), [(400, 2), (404, 2), (422, 2), (401, 1), (403, 1), (500, 1)])
def test_exit_status_tells_whose_fault_it_was_when_a_server_refuses(status: int, exit_status: int) -> None:
    assert RefusalError(status, "text", "the server").exit_status == exit_status


def test_outcome_is_told_when_a_server_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"code": "invalid", "diagnostics": "no status"}]}
    serve(monkeypatch, {f"{BASE}/Task": Answer(400, outcome, 0)})
    with pytest.raises(RefusalError, match="answered 400: no status"):
        FhirServer(BASE).write("POST", "Task", {"resourceType": "Task"})


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"issue": [{"details": {"text": "a"}, "diagnostics": "b"}, {"code": "c"}]}, "a: b; c"),
        ({"issue": []}, "an OperationOutcome without a text"),
        ("Bad\ngateway", "Bad gateway"),
        ("<h1>Bad gateway</h1>", "a web page or XML, not JSON; see whether the URL is right"),
        (None, "no explanation was given"),
    ],
)
def test_error_body_becomes_one_line_when_it_is_shown(body: object, text: str) -> None:
    assert outcome_text(body) == text


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://[bad/"])
def test_url_is_named_when_nobody_answers_there(url: str) -> None:
    with pytest.raises(SandboxError, match=r"start the server|correct the URL") as raised:
        http.ask("GET", url)
    assert not isinstance(raised.value, InputError)
