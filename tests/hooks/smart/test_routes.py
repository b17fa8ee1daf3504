"""The whole way over HTTP: an EHR opens the app, and the page shows that assessment or says why not."""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import time_machine
from flask.testing import FlaskClient
from markupsafe import escape

from hooks.smart import token as tokens
from tests.hooks.smart.conftest import Place, assessment_of
from tests.hooks.smart.ehr import ACCESS, CLIENT, REFRESH, running_ehr

Json = dict[str, Any]
Maker = Callable[..., Place]
SECRETS = (ACCESS, REFRESH, "code=", "<script>", "Traceback")


def query_of(url: str) -> Json:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def refused(answer: requests.Response, status: int, words: str) -> None:
    """A page that says what happened and what to do, and holds no secret."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("text/html")
    assert words in answer.text
    assert not answer.is_redirect
    assert not [secret for secret in SECRETS if secret in answer.text]


# ----------------------------------------------------------------------------------------------- the good way


def test_that_assessment_is_shown_when_the_link_names_it(place: Place) -> None:
    answer = place.sign()
    place.sign()
    place.ehr.launch["appContext"] = assessment_of(answer)
    shown = place.launch()
    assert shown.status_code == 200, shown.text
    assert "20 of 14" in shown.text
    entry = place.deployment.ledger.find(assessment_of(answer))
    assert entry is not None
    assert entry.body is not None
    told = entry.body["assessments"][0]["is"]
    for words in (told["policyTitle"], told["policyVersion"], told["policySource"]["text"], told["orderLabel"]):
        assert str(escape(words)) in shown.text
    for each in told["criteria"]:
        assert str(escape(each["statement"])) in shown.text
        for words in (*each["evidence"], *each["missing"]):
            assert str(escape(words)) in shown.text
    for words in told["wouldChange"]:
        assert str(escape(words)) in shown.text


def test_the_newest_assessment_is_shown_when_there_is_no_link(place: Place) -> None:
    place.sign()
    place.sign()
    assert "20 of 14" in place.launch().text
    handle = urlsplit(place.launch().url).path.rpartition("/")[2]
    session = place.smart.launcher.session(handle, browser_of(place))
    newest = list(place.deployment.ledger.entries("call"))[-1]
    assert newest.body is not None
    assert session.assessment == newest.body["assessments"][0]["id"]


def browser_of(place: Place) -> str:
    """The id that the browser's cookie holds."""
    value = place.browser.cookies["therapy-cds"]
    return value.rpartition(".")[0]


def test_the_page_says_so_when_nothing_is_on_record(place: Place) -> None:
    place.ehr.launch["patient"] = "nobody"
    shown = place.launch()
    assert shown.status_code == 200
    assert "No therapy order of this patient has been checked" in shown.text


def test_nothing_of_another_patient_is_shown_when_there_is_no_link(place: Place) -> None:
    place.sign(name="f001")
    place.ehr.launch["patient"] = "nobody"
    assert "No therapy order of this patient has been checked" in place.launch().text


def test_the_request_is_as_the_specification_has_it_when_the_ehr_launches(place: Place) -> None:
    place.launch("launch token/+=&1")
    (asked,) = place.ehr.authorized
    assert asked["response_type"] == "code"
    assert asked["client_id"] == CLIENT
    assert asked["redirect_uri"] == f"{place.url}/smart/callback"
    assert asked["launch"] == "launch token/+=&1"
    assert asked["aud"] == place.ehr.base
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert len(asked["state"]) >= 43
    assert len(asked["nonce"]) >= 43
    assert asked["scope"].split()[:3] == ["launch", "openid", "fhirUser"]


def test_state_nonce_and_challenge_are_new_when_the_app_is_launched_again(place: Place) -> None:
    place.launch()
    place.launch()
    first, second = place.ehr.authorized
    assert not [name for name in ("state", "nonce", "code_challenge") if first[name] == second[name]]


def test_the_ehr_is_asked_for_a_patient_when_the_launch_is_standalone(place: Place) -> None:
    shown = place.launch(launch=None)
    assert shown.status_code == 200
    (asked,) = place.ehr.authorized
    assert "launch" not in asked
    assert asked["scope"].split()[0] == "launch/patient"


def test_aud_is_as_it_came_when_the_ehr_ends_its_address_with_a_slash(place: Place) -> None:
    assert place.launch(iss=f"{place.ehr.base}/").status_code == 200
    assert place.ehr.authorized[0]["aud"] == f"{place.ehr.base}/"


def test_relative_addresses_count_from_the_fhir_base_when_the_ehr_names_them_so(place: Place) -> None:
    place.ehr.faults.configuration = {"authorization_endpoint": "auth/authorize", "token_endpoint": "/fhir/auth/token"}
    assert place.launch().status_code == 200


def test_the_configuration_is_asked_for_once_when_the_app_is_launched_twice(place: Place) -> None:
    place.launch()
    place.launch()
    assert place.ehr.asked.count("/fhir/.well-known/smart-configuration") == 1
    assert place.ehr.asked.count("/fhir/auth/jwks") == 1


def test_other_orders_of_the_call_are_opened_when_their_link_is_followed(place: Place) -> None:
    place.ehr.launch["appContext"] = assessment_of(place.sign())
    other = assessment_of(place.sign())
    page = place.launch().url
    assert place.browser.get(f"{page}?assessment={other}", timeout=30).status_code == 200
    foreign = assessment_of(place.sign(name="f001"))
    refused(place.browser.get(f"{page}?assessment={foreign}", timeout=30), 403, "not on record for this patient")


# ----------------------------------------------------------------------------------------------- who asks


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


# ----------------------------------------------------------------------------------------------- the launch


@pytest.mark.parametrize("iss", ["http://127.0.0.1:1/fhir", "{base}.example", "{base}/../fhir", "javascript:alert(1)"])
def test_nothing_is_fetched_when_the_issuer_is_foreign(place: Place, iss: str) -> None:
    with running_ehr() as foreign:
        refused(place.launch(iss=foreign.base), 403, "not one that this service knows")
        assert foreign.asked == []
    refused(place.launch(iss=iss.format(base=place.ehr.base)), 403, "not one that this service knows")
    assert place.ehr.asked == []


@pytest.mark.parametrize("query", ["", "launch=x", "iss=", "iss=a&iss=b", "iss={base}&launch=a&launch=b"])
def test_it_is_refused_when_the_launch_is_incomplete(place: Place, query: str) -> None:
    answer = place.browser.get(f"{place.url}/smart/launch?{query.format(base=place.ehr.base)}", timeout=30)
    refused(answer, 403, "Open it")
    assert place.ehr.asked == []


@pytest.mark.parametrize("methods", [None, [], ["plain"]])
def test_no_launch_begins_when_the_server_does_not_offer_s256(place: Place, methods: list[str] | None) -> None:
    place.ehr.faults.methods = methods
    refused(place.launch(), 502, "PKCE")
    assert place.ehr.authorized == []


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"configuration_status": 404}, "could not be had (404)"),
        ({"configuration_status": 500}, "could not be had (500)"),
        ({"configuration": {"token_endpoint": None}}, "cannot be read"),
        ({"configuration": {"token_endpoint": "http://ehr.example.org/token"}}, "not safe"),
        ({"configuration": {"authorization_endpoint": "javascript:alert(1)"}}, "not safe"),
    ],
)
def test_it_is_said_when_the_configuration_is_of_no_use(place: Place, faults: Json, words: str) -> None:
    for name, value in faults.items():
        setattr(place.ehr.faults, name, value)
    refused(place.launch(), 502, words)


# ----------------------------------------------------------------------------------------------- the callback


def test_it_is_refused_when_the_state_is_another(place: Place) -> None:
    place.ehr.faults.state = "made-up"
    refused(place.launch(), 403, "belongs to no launch")
    assert place.ehr.forms == []


@pytest.mark.parametrize("query", ["code=abc", "code=abc&state=", "state=x&state=y", ""])
def test_it_is_refused_when_the_state_is_missing(place: Place, query: str) -> None:
    place.steps()
    answer = place.browser.get(f"{place.url}/smart/callback?{query}", timeout=30)
    assert answer.status_code == 403
    assert place.ehr.forms == []


def test_it_is_refused_when_the_browser_has_no_cookie(place: Place) -> None:
    _, back = place.steps()
    refused(requests.get(back, timeout=30), 403, "cookie")
    assert place.ehr.forms == []


def test_it_is_refused_when_another_browser_brings_the_answer(place: Place) -> None:
    _, back = place.steps()
    place.browser.cookies.clear()
    place.launch()
    refused(place.browser.get(back, timeout=30), 403, "belongs to no launch")
    assert len(place.ehr.forms) == 1


def test_it_is_refused_when_the_cookie_is_not_signed_here(place: Place) -> None:
    _, back = place.steps()
    place.browser.cookies.clear()
    refused(requests.get(back, cookies={"therapy-cds": "made.up"}, timeout=30), 403, "cookie")


def test_it_is_refused_when_the_answer_comes_twice(place: Place) -> None:
    _, back = place.steps()
    assert place.browser.get(back, timeout=30).status_code == 200
    refused(place.browser.get(back, timeout=30), 403, "was used before")
    assert len(place.ehr.forms) == 1


def test_it_is_refused_when_the_answer_comes_too_late(place: Place) -> None:
    _, back = place.steps()
    with time_machine.travel(time.time() + 601):
        refused(place.browser.get(back, timeout=30), 403, "belongs to no launch")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("access_denied", "did not allow"),
        ("invalid_scope", "does not know what"),
        ("<b>made up", "did not open"),
    ],
)
def test_it_is_said_in_our_words_when_the_ehr_says_no(place: Place, error: str, words: str) -> None:
    place.ehr.faults.error = error
    answer = place.launch()
    refused(answer, 502, words)
    assert "evil" not in answer.text
    assert "made up" not in answer.text
    assert place.ehr.forms == []


def test_a_stolen_code_is_of_no_use_when_the_verifier_is_not_known(place: Place) -> None:
    _, back = place.steps()
    code = query_of(back)["code"]
    _, own = place.steps()
    swapped = own.replace(query_of(own)["code"], code)
    refused(place.browser.get(swapped, timeout=30), 502, "invalid_grant")


# ----------------------------------------------------------------------------------------------- the token


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


# ----------------------------------------------------------------------------------------------- which assessment


def test_it_is_refused_when_the_link_is_of_another_patient(place: Place) -> None:
    place.ehr.launch["appContext"] = assessment_of(place.sign(name="f001"))
    refused(place.launch(), 403, "not on record for this patient at this EHR")


def test_it_is_refused_when_the_link_is_of_another_ehr(place: Place) -> None:
    place.ehr.launch["appContext"] = assessment_of(place.sign("http://127.0.0.1:9/fhir"))
    refused(place.launch(), 403, "not on record for this patient at this EHR")


def test_it_is_the_same_ehr_when_its_entry_names_the_other_address(place_of: Maker) -> None:
    other = "http://127.0.0.1:9/fhir"
    place = place_of(fhir_servers=[other])
    place.ehr.launch["appContext"] = assessment_of(place.sign(other))
    assert "20 of 14" in place.launch().text
    del place.ehr.launch["appContext"]
    assert "20 of 14" in place.launch().text


@pytest.mark.parametrize("known_as", ["nobody", "card", "entry"])
def test_it_is_refused_when_the_link_names_no_assessment(place: Place, known_as: str) -> None:
    answer = place.sign()
    entry = place.deployment.ledger.find(assessment_of(answer))
    assert entry is not None
    names = {"nobody": "4b3a9e0e", "card": answer["cards"][0]["uuid"], "entry": entry.id}
    place.ehr.launch["appContext"] = names[known_as]
    refused(place.launch(), 403, "not on record")


# ----------------------------------------------------------------------------------------------- id_token


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param({"claims": {"aud": "another-app"}}, id="audience"),
        pytest.param({"claims": {"aud": None}}, id="no audience"),
        pytest.param({"claims": {"aud": [CLIENT, "another-app"]}}, id="several audiences"),
        pytest.param({"claims": {"azp": "another-app"}}, id="for another app"),
        pytest.param({"claims": {"iss": "https://elsewhere.example"}}, id="issuer"),
        pytest.param({"claims": {"exp": 1_700_000_000}}, id="expired"),
        pytest.param({"claims": {"exp": None}}, id="no end"),
        pytest.param({"claims": {"iat": 4_000_000_000, "exp": 4_000_000_300}}, id="of the future"),
        pytest.param({"claims": {"nonce": "another"}}, id="nonce"),
        pytest.param({"claims": {"nonce": None}}, id="no nonce"),
        pytest.param({"claims": {"sub": None}}, id="no subject"),
        pytest.param({"key": "stranger"}, id="signature"),
        pytest.param({"key": "stranger", "algorithm": "ES384"}, id="signature of an EC key"),
        pytest.param({"algorithm": "none"}, id="unsigned"),
        pytest.param({"algorithm": "HS256"}, id="shared secret"),
        pytest.param({"header": {"kid": "unknown"}}, id="unknown key"),
        pytest.param({"algorithm": "ES384", "header": {"kid": "ehr-rsa"}}, id="key of another kind"),
        pytest.param({"response": {"id_token": "a.b.c"}}, id="garbage"),
        pytest.param({"response": {"id_token": "x" * 20_000}}, id="too long"),
    ],
)
def test_it_is_refused_when_the_id_token_is_wrong(place: Place, faults: Json) -> None:
    for name, value in faults.items():
        setattr(place.ehr.faults, name, value)
    refused(place.launch(), 403, "could not be verified")


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "ES384", "PS256"])
def test_the_user_is_known_when_the_id_token_is_right(place: Place, algorithm: str) -> None:
    place.ehr.faults.algorithm = algorithm
    handle = urlsplit(place.launch().url).path.rpartition("/")[2]
    session = place.smart.launcher.session(handle, browser_of(place))
    assert session.user == "Practitioner/dr-example"
    assert (session.patient, session.encounter, session.banner) == ("f000", "visit-1", True)


@pytest.mark.parametrize("openid", [{"issuer": "https://elsewhere.example"}, {"jwks_uri": "http://ehr.example.org/k"}])
def test_it_is_said_when_the_issuers_keys_cannot_be_had(place: Place, openid: Json) -> None:
    place.ehr.faults.openid = openid
    refused(place.launch(), 502, "OpenID configuration")


# ----------------------------------------------------------------------------------------------- scopes


def test_the_page_says_what_it_cannot_show_when_fewer_scopes_are_granted(place: Place) -> None:
    place.sign()
    place.ehr.faults.response = {"scope": "launch patient/Patient.read", "id_token": None}
    shown = place.launch()
    assert "20 of 14" in shown.text
    assert "granted less" in shown.text
    assert "Observation: not read anew" in shown.text
    assert "Patient: not read anew" not in shown.text
    assert "Who you are" in shown.text


def test_nothing_is_said_of_scopes_when_all_are_granted(place: Place) -> None:
    place.sign()
    assert "granted less" not in place.launch().text


def test_the_scopes_are_those_asked_for_when_the_answer_names_none(place: Place) -> None:
    place.ehr.faults.response = {"scope": None}
    assert "granted less" not in place.launch().text


# ----------------------------------------------------------------------------------------------- the session


def test_the_session_is_over_when_its_token_is(place: Place) -> None:
    place.sign()
    page = place.launch().url
    assert place.browser.get(page, timeout=30).status_code == 200
    with time_machine.travel(time.time() + 301):
        refused(place.browser.get(page, timeout=30), 401, "has ended")


def test_a_page_is_not_shown_when_another_browser_asks_for_it(place: Place) -> None:
    place.sign()
    page = place.launch().url
    refused(requests.get(page, timeout=30), 401, "no session")
    place.browser.cookies.clear()
    place.launch()
    refused(place.browser.get(page, timeout=30), 401, "no session")


def test_two_patients_stay_apart_when_one_browser_shows_both(place: Place) -> None:
    place.sign()
    place.sign(name="f001")
    first = place.launch()
    place.ehr.launch["patient"] = "f001"
    second = place.launch()
    assert first.url != second.url
    again = place.browser.get(first.url, timeout=30).text
    assert "<strong>f000</strong>" in again
    assert "<strong>f001</strong>" in second.text
    assert "20 of 14" in again


def test_a_session_is_gone_when_its_user_ends_it(place: Place) -> None:
    page = place.launch().url
    assert "Your session has ended" in place.browser.post(f"{page}/end", timeout=30).text
    refused(place.browser.get(page, timeout=30), 401, "has ended")


@pytest.mark.parametrize("scope", ["online_access", "offline_access"])
def test_the_token_is_renewed_when_the_ehr_allows_that(place_of: Maker, scope: str) -> None:
    place = place_of(scopes=f"launch openid {scope}")
    place.ehr.faults.response = {"refresh_token": REFRESH}
    page = place.launch().url
    with time_machine.travel(time.time() + 280):
        assert place.browser.get(page, timeout=30).status_code == 200
    assert place.ehr.forms[-1]["grant_type"] == "refresh_token"
    place.ehr.faults.refused_refresh = True
    with time_machine.travel(time.time() + 700):
        refused(place.browser.get(page, timeout=30), 401, "ended your session")


def test_no_token_is_renewed_when_that_was_not_granted(place: Place) -> None:
    place.ehr.faults.response = {"refresh_token": REFRESH}
    page = place.launch().url
    with time_machine.travel(time.time() + 280):
        assert place.browser.get(page, timeout=30).status_code == 200
    assert len(place.ehr.forms) == 1
    with time_machine.travel(time.time() + 301):
        refused(place.browser.get(page, timeout=30), 401, "has ended")


@pytest.mark.parametrize("said", [False, "false"])
def test_no_patient_banner_is_shown_when_the_ehr_shows_its_own(place: Place, said: object) -> None:
    assert "<strong>f000</strong>" in place.launch().text
    place.ehr.launch |= {"need_patient_banner": said, "expires_in": "300"}
    assert "<strong>f000</strong>" not in place.launch().text


# ----------------------------------------------------------------------------------------------- secrets, headers


def test_no_secret_is_in_a_log_the_database_or_a_page_when_the_app_was_launched(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "hooks")
    caplog.set_level(logging.DEBUG, "cds")
    place.ehr.launch["appContext"] = assessment_of(place.sign())
    _, back = place.steps()
    shown = place.browser.get(back, timeout=30)
    place.ehr.faults.token = (500, "text/html", ACCESS)
    failed = place.launch()
    secrets = (ACCESS, query_of(back)["code"], query_of(back)["state"])
    files = b"".join(path.read_bytes() for path in place.folder.glob("ledger.sqlite3*"))
    for secret in secrets:
        assert secret not in shown.text + shown.url + failed.text + caplog.text
        assert secret.encode() not in files
    assert list(place.browser.cookies.keys()) == ["therapy-cds"]


def test_the_page_may_load_and_be_framed_by_its_own_only_when_it_is_shown(place_of: Maker) -> None:
    place = place_of(frame_ancestors=["https://ehr.example.org"])
    place.sign()
    shown = place.launch()
    policy = dict(part.strip().split(" ", 1) for part in shown.headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "https://ehr.example.org",
    }
    assert shown.headers["Referrer-Policy"] == "no-referrer"
    assert shown.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in shown.headers
    assert not re.search(r'<script|<style|\sstyle=|\son\w+=|\b(src|action)="(?!/)', shown.text)
    sheets = re.findall(r'rel="stylesheet" href="([^"]+)"', shown.text)
    assert sheets
    for sheet in sheets:
        assert place.browser.get(place.url + sheet, timeout=30).headers["Content-Type"].startswith("text/css")


def test_errors_may_be_framed_by_known_ehrs_only_when_they_are_shown(place: Place) -> None:
    answer = place.launch(iss="https://foreign.example.org")
    origin = place.ehr.base.removesuffix("/fhir")
    assert answer.headers["Content-Security-Policy"].endswith(f"frame-ancestors {origin}")
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_redirect_leads_to_the_page_when_somebody_else_is_named_as_host(place: Place) -> None:
    _, back = place.steps()
    headers = {"Host": "evil.example.org", "Cookie": f"therapy-cds={place.browser.cookies['therapy-cds']}"}
    answer = requests.get(back, headers=headers, allow_redirects=False, timeout=30)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"{place.url}/smart/")


def test_only_public_keys_are_published_when_the_address_is_asked(place: Place) -> None:
    answer = requests.get(f"{place.url}/smart/.well-known/jwks.json", timeout=30)
    keys = answer.json()["keys"]
    assert {key["alg"] for key in keys} == {"RS384", "ES384"}
    for key in keys:
        assert key["kid"]
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)
    assert "max-age" in answer.headers["Cache-Control"]


def test_the_database_being_away_is_said_when_a_launch_begins(place_of: Maker) -> None:
    place = place_of()
    place.launch()
    with sqlite3.connect(place.folder / "ledger.sqlite3") as database:
        database.execute("DROP TABLE smart_launches")
    database.close()
    refused(place.launch(), 503, "Sessions cannot be kept")


def test_there_is_nothing_when_no_ehr_may_launch_the_app(client: FlaskClient) -> None:
    for path in ("/smart/launch?iss=https://ehr.example.org", "/smart/.well-known/jwks.json", "/smart/x"):
        assert client.get(path).status_code == 404
