"""Who asks for a token and how, and what comes of a token endpoint that fails."""

from __future__ import annotations

import time

import pytest

from hooks.smart import token as tokens
from tests.hooks.smart.conftest import Place
from tests.hooks.smart.ehr import CLIENT
from tests.hooks.smart.looking import Json, Maker, refused


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
def test_a_published_key_proves_the_assertion_when_the_client_is_confidential(place_of: Maker, algorithm: str) -> None:
    place = place_of(algorithm=algorithm)
    assert place.launch().status_code == 200
    assert place.launch().status_code == 200
    ((header, claims), (_, again)) = place.ehr.assertions
    assert (header["alg"], header["typ"]) == (algorithm, "JWT")
    assert header["jku"] == place.ehr.jwks_url
    assert claims["iss"] == claims["sub"] == CLIENT
    assert claims["exp"] - time.time() <= 300
    assert claims["jti"] != again["jti"]
    assert "client_id" not in place.ehr.forms[0]


def test_only_the_client_id_is_sent_when_the_client_is_public(place_of: Maker) -> None:
    place = place_of(public=True)
    assert place.launch().status_code == 200
    (form,) = place.ehr.forms
    assert form["client_id"] == CLIENT
    assert set(form) == {"grant_type", "code", "redirect_uri", "code_verifier", "client_id"}


def test_assertions_go_on_when_the_keys_are_rotated(place: Place) -> None:
    place.launch()
    place.smart.keys.rotate()
    assert place.launch().status_code == 200
    first, second = (header["kid"] for header, _ in place.ehr.assertions)
    assert first != second


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((400, "application/json", '{"error": "invalid_grant", "error_description": "<script>"}'), "invalid_grant"),
        ((400, "application/json", '{"error": "<script>"}'), "unknown"),
        ((401, "text/html", "<h1>no</h1>"), "failed (401)"),
        ((500, "text/html", "<h1>no</h1>"), "failed (500)"),
        ((200, "text/html", "<script>"), "no token"),
        ((200, "application/json", "[]"), "no token"),
        ((200, "application/json", "{}"), "no token"),
        ((200, "application/json", '{"access_token": "a", "token_type": "mac"}'), "no bearer token"),
        ((200, "application/json", '{"a": "%s"}' % ("x" * 300_000)), "larger than"),
        ((302, "text/html", ""), "no token"),
    ],
)
def test_it_is_said_when_the_token_endpoint_fails(place: Place, answer: tuple[int, str, str], words: str) -> None:
    place.ehr.faults.token = answer
    refused(place.launch(), 502, words)


def test_it_is_said_when_the_token_endpoint_is_slow(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "TOKEN_SECONDS", 0.2)
    place.ehr.faults.token_seconds = 1.0
    refused(place.launch(), 502, "could not be reached")


@pytest.mark.parametrize(
    ("response", "words"),
    [
        ({"patient": None}, "which patient"),
        ({"patient": "../Patient/f001"}, "no FHIR id"),
        ({"encounter": "a b"}, "no FHIR id"),
        ({"id_token": None}, "who you are"),
        ({"appContext": "x y"}, "not made here"),
        ({"appContext": "x" * 300}, "not made here"),
    ],
)
def test_it_is_refused_when_the_context_is_of_no_use(place: Place, response: Json, words: str) -> None:
    place.ehr.faults.response = response
    refused(place.launch(), 403, words)
