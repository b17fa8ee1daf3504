"""Orders are signed against any FHIR server: yours (THERAPY_CDS_TEST_FHIR), else sekmet-fhir with scopes enforced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from hooks.sandbox.demo import start_service
from hooks.sandbox.examples import Example
from hooks.sandbox.fhir_server import start_fhir_server
from hooks.sandbox.processes import Program, free_port
from tests.integration.any_server import Result, Server, examine, renamed, sign, subjects

pytestmark = pytest.mark.integration
FHIR, TOKEN = os.environ.get("THERAPY_CDS_TEST_FHIR", ""), os.environ.get("THERAPY_CDS_TEST_TOKEN", "")
OUTCOMES = {"criteria-met", "criteria-not-met", "insufficient-information", "no-policy"}
AUTH = {
    "server_auth": {
        "types": ["smart"],
        "smart_clients": [{"client_id": "ehr", "client_secret": "made-up", "scopes": "system/*.*"}],
        "enforce_scopes": True,
    }
}
own_server = pytest.mark.skipif(bool(FHIR), reason="THERAPY_CDS_TEST_FHIR names another server")


@pytest.fixture(scope="module")
def guarded(logs: Path) -> Iterator[str]:
    """The base URL of a FHIR server that wants tokens and enforces their scopes, or of the one that was named."""
    if FHIR:
        yield FHIR.rstrip("/")
        return
    directory, port = logs / "guarded", free_port()
    directory.mkdir()
    with start_fhir_server(port, directory, AUTH) as program:
        program.wait_until_ready()
        yield f"http://127.0.0.1:{port}/fhir"


@pytest.fixture(scope="module")
def beside(guarded: str, logs: Path) -> Iterator[Program]:
    """The service, allowed to ask that server only."""
    directory, port = logs / "beside", free_port()
    directory.mkdir()
    with start_service(port, guarded, directory, {"THERAPY_CDS_DEADLINE_SECONDS": "25"}) as program:
        program.wait_until_ready()
        yield program


def token_for(base: str, scope: str) -> str:
    if FHIR:
        return TOKEN
    form = {"grant_type": "client_credentials", "scope": scope}
    url = f"{base.removesuffix('/fhir')}/auth/token"
    response = requests.post(url, data=form, auth=("ehr", "made-up"), timeout=10)
    response.raise_for_status()
    token: str = response.json()["access_token"]
    return token


def url_of(program: Program) -> str:
    return program.ready_url.removesuffix("/cds-services")


def check(result: Result, server: Server, log: Path) -> str:
    """What holds for every answer, whatever the server could do; gives the outcome."""
    assert result.status in (200, 412), result.body
    if server.token:
        assert server.token not in str(result.body) + log.read_text(encoding="utf-8")
    if result.status == 412:
        return "412"
    outcome = result.body["extension"]["example.therapy-cds.assessments"][0]["outcome"]
    assert outcome in OUTCOMES
    assert result.body["cards"] or outcome == "criteria-met", "an answer without a card hides something"
    return str(outcome)


def test_orders_are_answered_when_a_server_is_named_or_enforces_scopes(guarded: str, beside: Program) -> None:
    server = Server(guarded, token_for(guarded, "system/*.*"))
    with subjects(server) as found:
        if not found:
            pytest.skip(f"no patient can be written or read: {'; '.join(server.could_not)}")
        for subject in found:
            result = sign(url_of(beside), server, subject)
            outcome = check(result, server, beside.log)
            print(f"\n{subject.patient}: {outcome}, {result.seconds:.2f} s", end="")  # noqa: T201 - what it is run for
            assert outcome == (subject.outcome or outcome)
        examine(server, found[0].patient)
    print("\nThe server could not:", *(server.could_not or ["(nothing was missing)"]), sep="\n  ")  # noqa: T201


@own_server
def test_nothing_of_ours_is_left_when_the_orders_are_signed(guarded: str) -> None:
    server = Server(guarded, token_for(guarded, "system/*.*"))
    with subjects(server) as found:
        path = f"Patient/{found[0].patient}"
        assert server.ask("GET", path).status_code == 200
    assert server.ask("GET", path).status_code in (404, 410)
    assert server.could_not == []


@own_server
def test_the_gap_is_told_when_a_scope_is_missing(guarded: str, beside: Program) -> None:
    scopes = " ".join(f"system/{kind}.read" for kind in ("Patient", "Coverage", "Organization", "Procedure"))
    narrow = Server(guarded, token_for(guarded, scopes))
    with subjects(Server(guarded, token_for(guarded, "system/*.*"))) as found:
        result = sign(url_of(beside), narrow, found[1])
        assert check(result, narrow, beside.log) == "insufficient-information"
        text = "\n".join(card.get("detail", "") for card in result.body["cards"])
        assert "Encounter could not be read: the FHIR server refused it (403)" in text
        examine(narrow, found[1].patient)
    assert "encounters: the search was refused (403)" in narrow.could_not


@own_server
def test_the_coverage_is_told_to_be_refused_when_there_is_no_token(guarded: str, beside: Program) -> None:
    with subjects(Server(guarded, token_for(guarded, "system/*.*"))) as found:
        result = sign(url_of(beside), Server(guarded), found[0])
    assert check(result, Server(guarded), beside.log) == "no-policy"
    assert "refused it (401)" in result.body["cards"][0]["summary"]


@own_server
def test_readable_patients_are_taken_when_nothing_may_be_written(guarded: str, beside: Program) -> None:
    reader = Server(guarded, token_for(guarded, "system/*.read"))
    with subjects(Server(guarded, token_for(guarded, "system/*.*"))), subjects(reader) as found:
        assert found
        for subject in found:
            check(sign(url_of(beside), reader, subject), reader, beside.log)
    assert reader.could_not == ["a transaction was refused (403): its own patients are used"]


def test_ids_and_references_are_ours_when_an_example_is_renamed(examples: tuple[Example, ...]) -> None:
    ours = renamed(examples[0], "abc")
    assert ours.patient_id.endswith("-abc")
    assert all(item["id"].endswith("-abc") and item["meta"]["tag"] for item in ours.record)
    assert ours.drafts[0]["subject"]["reference"] == f"Patient/{ours.patient_id}"
