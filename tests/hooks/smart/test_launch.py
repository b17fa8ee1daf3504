"""The way in: an EHR opens the app, and the browser comes back with a code, or it ends there."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import pytest
import requests
import time_machine
from markupsafe import escape

from tests.hooks.smart.conftest import Place, assessment_of
from tests.hooks.smart.ehr import CLIENT, running_ehr
from tests.hooks.smart.looking import Json, browser_of, query_of, refused


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
