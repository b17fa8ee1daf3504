"""The pages over HTTP: story, measures, letter; what is saved by the user's token, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests
from markupsafe import escape

from tests.hooks.calls import draft
from tests.hooks.hook_calls import body, bundle, record
from tests.hooks.smart.conftest import Place, assessment_of
from tests.hooks.smart.ehr import ACCESS
from tests.hooks.smart.story.test_forms import CHOICES

Json = dict[str, Any]
WRITE = "openid fhirUser patient/QuestionnaireResponse.c patient/Observation.c patient/DocumentReference.c"


def opened(place: Place, name: str = "f000", scope: str | None = None) -> str:
    """The address of the page of an order that was signed just now."""
    place.ehr.launch = {"patient": name, "appContext": assessment_of(place.sign(name=name))}
    if scope is not None:
        place.ehr.faults.response = {"scope": scope}
    shown = place.launch()
    assert shown.status_code == 200, shown.text
    return shown.url


def get(place: Place, url: str) -> requests.Response:
    return place.browser.get(url, timeout=30)


def post(place: Place, url: str, **form: str) -> requests.Response:
    return place.browser.post(url, data=form, timeout=30)


def phq(value: int, **more: str) -> dict[str, str]:
    return {f"item-{at}": CHOICES[value] for at in range(1, 10)} | more


@pytest.mark.parametrize(
    "path", ["", "/measures", "/measures/phq-9", "/measures/ihot-12", "/letter", "/letter?kind=review"]
)
def test_page_is_under_the_strict_policy_when_it_is_shown(place: Place, path: str) -> None:
    shown = get(place, opened(place) + path)
    assert shown.status_code == 200, shown.text
    policy = shown.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "unsafe" not in policy
    assert not re.search(r"<script|<style|style=|\son\w+=", shown.text)
    assert shown.headers["Cache-Control"] == "no-store"
    assert ACCESS not in shown.text


def test_story_tells_numbers_evidence_and_searches_when_f000_is_opened(place: Place) -> None:
    text = get(place, opened(place)).text
    told = ("20 of 14 visits: 18 completed and 2 requested", "28 to 36", "Encounter/f000-visit-18", "2025-03-05")
    for words in (*told, "What would change the answer", "All 16 searches", "Hip Benchmark Plan", "Ask for iHOT-12"):
        assert words in text
    assert text.count("<svg") == 1
    assert text.index("Required criteria") < text.index("Advice, on which")


def test_safety_goes_first_when_the_patient_told_of_self_harm(place: Place) -> None:
    base = opened(place, "f004")
    text = post(place, f"{base}/measures/phq-9", day="2025-03-01", **phq(1)).text
    asked, weighed = text.index("Ask the patient first"), text.index("The order weighed again")
    assert asked < weighed
    # A positive answer is neither hidden nor told as "not met", which reads as if there were no such thoughts.
    assert "<details open" in text[asked:weighed]
    assert "ask now" in text[asked:weighed]
    assert "not met" not in text[asked:weighed]


def test_criterion_is_shown_to_turn_when_a_score_is_entered(place: Place) -> None:
    text = post(place, f"{opened(place)}/measures/ihot-12", day="2025-03-01", score="60").text
    assert "iHOT-12: 60, 2025-03-01" in text
    assert re.search(r"taken lately.*?not met.*?<strong>met</strong>", text, re.DOTALL)


def test_it_is_told_why_nothing_can_be_saved_when_the_scope_is_missing(place: Place) -> None:
    base = opened(place)
    text = post(place, f"{base}/measures/phq-9", day="2025-03-01", action="save", **phq(0)).text
    assert "the EHR did not grant patient/QuestionnaireResponse.c and patient/Observation.c" in text
    assert place.ehr.created == []


def test_nothing_is_saved_when_nobody_asked_for_it(place: Place) -> None:
    base = opened(place, scope=WRITE)
    text = post(place, f"{base}/measures/phq-9", day="2025-03-01", action="weigh", **phq(0)).text
    assert "Nothing has been saved yet" in text
    assert place.ehr.created == []


def test_both_resources_are_at_the_ehr_when_a_measure_is_saved(place: Place) -> None:
    base = opened(place, scope=WRITE)
    saved = post(place, f"{base}/measures/phq-9", day="2025-03-01", action="save", **phq(1))
    assert "Saved to the record: QuestionnaireResponse/new-1, Observation/new-2" in saved.text
    assert get(place, saved.url).status_code == 200  # a page that is loaded again saves nothing
    (first, response), (second, observation) = place.ehr.created
    assert first == second == f"Bearer {ACCESS}"
    assert observation["derivedFrom"] == [{"reference": "QuestionnaireResponse/new-1"}]
    assert observation["valueQuantity"]["value"] == 9
    assert response["author"] == {"reference": "Practitioner/dr-example"}
    assert response["questionnaire"] == f"{place.url}/fhir/Questionnaire/phq-9|1.0.0"


def test_failure_is_told_when_the_ehr_does_not_save(place: Place) -> None:
    base = opened(place, scope=WRITE)
    place.ehr.faults.create_status = 422
    text = post(place, f"{base}/measures/ihot-12", day="2025-03-01", action="save", score="60").text
    assert "The EHR did not save the Observation (422)" in text
    assert "Jane Doe" not in text


def test_form_comes_back_with_what_was_filled_in_when_an_answer_is_wrong(place: Place) -> None:
    text = post(place, f"{opened(place)}/measures/ihot-12", day="2025-03-01", score='1000"><script>').text
    assert "Write a number" in text
    assert 'value="2025-03-01"' in text
    assert str(escape('1000"><script>')) in text
    assert "<script>" not in text


@pytest.mark.parametrize("path", ["/measures/hip-flexion", "/measures/nothing"])
def test_form_is_refused_when_there_is_none(place: Place, path: str) -> None:
    refused = get(place, opened(place) + path)
    assert (refused.status_code, "There is no form of that name" in refused.text) == (403, True)


def test_letter_is_a_pdf_when_that_is_asked_for(place: Place) -> None:
    answer = get(place, f"{opened(place)}/letter.pdf")
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Disposition"] == 'inline; filename="necessity-letter.pdf"'
    assert answer.content.startswith(b"%PDF-")


def test_letter_is_a_document_at_the_ehr_when_it_is_saved(place: Place) -> None:
    base = opened(place, scope=WRITE)
    text = post(place, f"{base}/letter", kind="review").text
    assert "Saved to the record: DocumentReference/new-1" in text
    ((_, document),) = place.ehr.created
    assert (document["type"]["text"], document["subject"]) == ("Review summary", {"reference": "Patient/f000"})


def test_letter_says_so_when_the_ehr_does_not_save_it(place: Place) -> None:
    base = opened(place, scope=WRITE)
    place.ehr.faults.create_status = 500
    assert "The EHR did not save the DocumentReference (500)" in post(place, f"{base}/letter").text


@pytest.mark.parametrize("said", ["<script>", "Observation/", "Observation/1 and more", "observation/1", ",,"])
def test_nothing_is_told_as_saved_when_an_address_does_not_hold_a_reference(place: Place, said: str) -> None:
    shown = place.browser.get(f"{opened(place)}/measures", params={"saved": said}, timeout=30)
    assert shown.status_code == 200
    assert "Saved to the record" not in shown.text


def test_letter_is_not_saved_when_the_scope_is_missing(place: Place) -> None:
    text = post(place, f"{opened(place)}/letter").text
    assert "the EHR did not grant patient/DocumentReference.c" in text
    assert place.ehr.created == []


@pytest.mark.parametrize("path", ["/measures", "/measures/phq-9", "/letter", "/letter.pdf"])
def test_page_is_refused_when_the_assessment_is_another_patient_s(place: Place, path: str) -> None:
    other = assessment_of(place.sign(name="f001"))
    refused = get(place, f"{opened(place)}{path}?assessment={other}")
    assert (refused.status_code, "f001" in refused.text) == (403, False)


@pytest.mark.parametrize("path", ["/measures", "/measures/phq-9", "/letter", "/letter.pdf"])
def test_page_is_refused_when_the_browser_has_no_session(place: Place, path: str) -> None:
    base = opened(place)
    assert requests.get(base + path, timeout=30).status_code == 401


@pytest.mark.parametrize("path", ["/measures/phq-9", "/letter"])
def test_nothing_is_saved_when_another_browser_posts(place: Place, path: str) -> None:
    base = opened(place, scope=WRITE)
    refused = requests.post(base + path, data=phq(0, day="2025-03-01", action="save"), timeout=30)
    assert (refused.status_code, place.ehr.created) == (401, [])


def test_no_outcome_is_told_when_a_part_of_the_criteria_was_weighed(place: Place) -> None:
    context = {"selections": ["ServiceRequest/f000-order"], "draftOrders": bundle(draft("f000"))}
    sent = body("order-select", "f000", context, record("f000"), fhirServer=place.ehr.base)
    answer = requests.post(f"{place.url}/cds-services/order-select-therapy", json=sent, timeout=30).json()
    place.ehr.launch = {"patient": "f000", "appContext": assessment_of(answer)}
    shown = place.launch()
    assert "A part of the criteria was weighed" in shown.text
    assert "Criteria not met" not in shown.text
    filled = post(place, f"{shown.url}/measures/ihot-12", day="2025-03-01", score="60").text
    assert "A part of the criteria was weighed" in filled
    assert "Criteria not met" not in filled
    assert get(place, f"{shown.url}/letter").status_code == 403


def test_what_was_said_is_shown_when_its_grounds_are_gone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    base = opened(place)
    monkeypatch.setattr(place.deployment.ledger, "content", lambda hashes: {})
    text = get(place, base).text
    assert "20 of 14 visits" in text
    refused = get(place, f"{base}/measures")
    assert (refused.status_code, "is gone" in refused.text) == (403, True)


def test_nothing_is_saved_when_a_form_is_sent_from_another_sites_page(place: Place) -> None:
    url = opened(place, scope=WRITE)
    form = phq(1, date="2025-03-05", action="save")
    for said in ({"Origin": "https://evil.example"}, {"Origin": "null", "Sec-Fetch-Site": "cross-site"}):
        sent = place.browser.post(f"{url}/measures/phq-9", data=form, headers=said, timeout=30)
        assert sent.status_code == 403
    assert place.ehr.created == []
    own = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert place.browser.post(f"{url}/measures/phq-9", data=form, headers=own, timeout=30).status_code == 200


def test_a_severe_score_is_asked_about_first_when_it_only_advises(place: Place) -> None:
    text = get(place, opened(place, "f004")).text
    first = text.index("Ask the patient first")
    assert first < text.index("PHQ-9 21 (severe)") < text.index("Visits over time")
