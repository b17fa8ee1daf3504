"""The pages: what they say, whose they are, what they hold, and the headers that they come with."""

from __future__ import annotations

import logging
import re
import sqlite3
import time

import pytest
import requests
import time_machine
from flask.testing import FlaskClient

from tests.hooks.smart.conftest import Place, assessment_of
from tests.hooks.smart.ehr import ACCESS, REFRESH
from tests.hooks.smart.looking import Maker, query_of, refused


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
