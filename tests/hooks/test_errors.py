"""Errors become a status and an OperationOutcome; each has its page in the documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome
from flask import Flask

from cds import errors as tree
from cds.errors import CdsError
from hooks.errors import STATUS, operation_outcome, register

DOCUMENT = Path(__file__).parents[2] / "docs" / "errors.md"


def every(kind: type[CdsError] = CdsError) -> Iterator[type[CdsError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == tree.__name__:
            yield from every(child)


@pytest.mark.parametrize("kind", list(every()))
def test_it_becomes_an_outcome_when_a_call_ends_in_an_error(kind: type[CdsError]) -> None:
    app = Flask("test")
    register(app)

    @app.get("/")
    def fail() -> str:
        raise kind("It is broken", where="somewhere", remedy="Mend it")

    response = app.test_client().get("/")
    assert response.status_code == next(status for known, status, _ in STATUS if issubclass(kind, known))
    assert response.status_code >= 400
    outcome = response.get_json()
    OperationOutcome.model_validate(outcome)
    (issue,) = outcome["issue"]
    assert issue["details"]["coding"][0]["code"] == kind.code
    assert issue["details"]["text"] == "It is broken at somewhere. Mend it"
    assert issue["expression"] == ["somewhere"]


def test_no_cause_is_told_when_the_error_is_unexpected(caplog: pytest.LogCaptureFixture) -> None:
    app = Flask("test")
    register(app)

    @app.get("/")
    def fail() -> str:
        raise ZeroDivisionError("Jane Doe")

    response = app.test_client().get("/")
    assert response.status_code == 500
    assert "Jane" not in response.get_data(as_text=True)
    assert "ZeroDivisionError" in caplog.text


def test_empty_members_are_left_out_when_an_outcome_is_made() -> None:
    assert operation_outcome("invalid", "No")["issue"] == [
        {"severity": "error", "code": "invalid", "details": {"text": "No"}, "diagnostics": "No"}
    ]


def test_codes_differ_when_errors_do() -> None:
    codes = [kind.code for kind in every()]
    assert len(codes) == len(set(codes))


def test_each_error_is_documented_when_the_service_knows_it() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    documented = dict(re.findall(r"^## (CDS-\d{3}) (\w+)$", text, re.MULTILINE))
    assert documented == {kind.code: kind.__name__ for kind in every()}
    for section in text.split("\n## CDS-")[1:]:
        assert "**Cause.**" in section
        assert "**Remedy.**" in section
