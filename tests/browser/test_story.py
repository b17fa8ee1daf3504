"""The app in headless Chromium: what a clinician sees, with the keyboard, narrow, light and dark, without a script."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import chromium, missing_chromium
from tests.browser.looking import looked_at, send, set_day
from tests.hooks.calls import EXAMPLES
from tests.hooks.smart.conftest import Place, assessment_of, serving
from tests.hooks.smart.ehr import running_ehr

pytestmark = pytest.mark.browser
Json = dict[str, Any]
WRITE = "openid fhirUser patient/QuestionnaireResponse.c patient/Observation.c"
PAGES = ("", "/measures", "/measures/phq-9", "/measures/ihot-12", "/letter")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The app, served, and an EHR that opens it."""
    folder = tmp_path_factory.mktemp("app")
    with running_ehr() as ehr, serving(folder, ehr, keys=folder / "keys") as found:
        yield found


@pytest.fixture(scope="module", params=["light", "dark"])
def chrome(request: pytest.FixtureRequest) -> Iterator[Chrome]:
    """A browser, light and dark, as narrow as a side panel of an EHR."""
    missing = missing_chromium()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    with chromium(width=420, dark=request.param == "dark") as driver:
        driver.set_script_timeout(60)
        yield driver


def opened(chrome: Chrome, place: Place, name: str = "f000", scope: str | None = None) -> str:
    """Sign an order, open the app from it, and give the page's address."""
    place.ehr.reset()
    place.ehr.launch = {"patient": name, "appContext": assessment_of(place.sign(name=name))}
    place.ehr.faults.response = {"scope": scope} if scope else {}
    chrome.get_log("browser")  # type: ignore[no-untyped-call]
    chrome.get(f"{place.url}/smart/launch?iss={place.ehr.base}&launch=launch-1")
    return chrome.current_url


@pytest.mark.parametrize("name", EXAMPLES)
def test_axe_finds_nothing_when_the_story_of_an_example_is_open(chrome: Chrome, place: Place, name: str) -> None:
    opened(chrome, place, name)
    looked_at(chrome)


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_when_another_page_is_open(chrome: Chrome, place: Place, path: str) -> None:
    chrome.get(opened(chrome, place) + path)
    looked_at(chrome)


def test_axe_finds_nothing_when_nothing_is_on_record(chrome: Chrome, place: Place) -> None:
    place.ehr.reset()
    place.ehr.launch = {"patient": "nobody"}
    chrome.get(f"{place.url}/smart/launch?iss={place.ehr.base}&launch=launch-1")
    assert chrome.find_element(By.TAG_NAME, "h1").text == "No therapy order of this patient has been checked."
    looked_at(chrome)


def test_axe_finds_nothing_when_the_grounds_are_past_their_retention(
    chrome: Chrome, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = opened(chrome, place)
    monkeypatch.setattr(place.deployment.ledger, "content", lambda hashes: {})
    chrome.get(base)
    assert chrome.find_elements(By.CSS_SELECTOR, "svg, figure") == []
    assert chrome.find_elements(By.CLASS_NAME, "criterion")
    looked_at(chrome)


def test_axe_finds_nothing_when_the_session_is_ended_and_its_page_opened_again(chrome: Chrome, place: Place) -> None:
    base = opened(chrome, place)
    send(chrome, "End this session")
    looked_at(chrome)
    chrome.get(base)
    assert "CDS-504" in chrome.find_element(By.TAG_NAME, "main").text
    looked_at(chrome, status=401)


def test_axe_finds_nothing_when_a_launch_is_refused(chrome: Chrome, place: Place) -> None:
    chrome.get_log("browser")  # type: ignore[no-untyped-call]
    chrome.get(f"{place.url}/smart/launch?iss=https://foreign.example.org/fhir&launch=x")
    assert "CDS-501" in chrome.find_element(By.TAG_NAME, "main").text
    looked_at(chrome, status=403)


def test_numbers_are_read_in_words_picture_and_tables_when_f000_is_open(chrome: Chrome, place: Place) -> None:
    opened(chrome, place)
    assert (
        chrome.find_element(By.CSS_SELECTOR, ".outcome .count").text == "20 of 14 visits: 18 completed and 2 requested."
    )
    picture = chrome.find_element(By.ID, "visits")
    drawn = picture.find_element(By.TAG_NAME, "svg")
    assert drawn.size["height"] > 150
    assert {"14", "20", "28", "36"} <= {text.text for text in drawn.find_elements(By.TAG_NAME, "text")}
    picture.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
    rows = [row.text for row in picture.find_elements(By.CSS_SELECTOR, "table:first-of-type tbody tr")]
    assert {"In all 20", "Limit 14", "Projected by the plan of care 28 to 36"} <= set(rows)


def test_criterion_opens_to_its_evidence_when_the_keyboard_asks(chrome: Chrome, place: Place) -> None:
    opened(chrome, place)
    criterion = chrome.find_element(By.ID, "criterion-objective-progress")
    assert criterion.find_element(By.CLASS_NAME, "mark").text.split() == ["✗", "not", "met"]
    evidence = criterion.find_element(By.CSS_SELECTOR, ".evidence tbody tr")
    assert evidence.text.startswith("Goal/f000-goal-1")
    criterion.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
    assert not evidence.is_displayed()


def test_criterion_turns_before_the_clinician_s_eyes_when_a_measure_is_filled_in(chrome: Chrome, place: Place) -> None:
    base = opened(chrome, place, scope=WRITE)
    chrome.get(f"{base}/measures/ihot-12")
    set_day(chrome, "2025-03-01")
    chrome.find_element(By.NAME, "score").send_keys("60")
    send(chrome, "weigh the order again")
    turned = chrome.find_element(By.CSS_SELECTOR, ".turned .changed").text
    assert "taken lately" in turned
    assert "iHOT-12 60 on 2025-03-01" in turned
    looked_at(chrome)
    send(chrome, "Save it to the record")
    assert "Observation/new-1" in chrome.find_element(By.CSS_SELECTOR, "[role=status]").text
    assert [resource["resourceType"] for _, resource in place.ehr.created] == ["Observation"]
    looked_at(chrome)


def test_questionnaire_is_scored_when_its_items_are_chosen_by_keyboard(chrome: Chrome, place: Place) -> None:
    chrome.get(f"{opened(chrome, place, 'f004')}/measures/phq-9")
    set_day(chrome, "2025-03-01")
    for at in range(1, 10):
        chrome.find_elements(By.NAME, f"item-{at}")[1].send_keys(Keys.SPACE)
    send(chrome, "weigh the order again")
    assert chrome.find_element(By.TAG_NAME, "h1").text == "PHQ-9: 9 (mild), 2025-03-01"
    assert chrome.find_element(By.ID, "safety").text == "Ask the patient first"
    looked_at(chrome)


def test_mistake_is_told_beside_its_field_when_an_answer_is_missing(chrome: Chrome, place: Place) -> None:
    chrome.get(f"{opened(chrome, place)}/measures/nprs")
    send(chrome, "weigh the order again")
    field = chrome.find_element(By.ID, "item-1")
    assert field.get_attribute("aria-invalid") == "true"
    assert chrome.find_element(By.ID, str(field.get_attribute("aria-describedby"))).text.endswith("Give a number.")
    looked_at(chrome)


def test_letter_alone_is_on_paper_when_it_is_printed(chrome: Chrome, place: Place) -> None:
    chrome.get(f"{opened(chrome, place)}/letter")
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        shown = [each for each in chrome.find_elements(By.CSS_SELECTOR, ".no-print, .skip") if each.is_displayed()]
        assert shown == []
        assert "[to be completed by the clinician:" in chrome.find_element(By.CLASS_NAME, "letter").text
    finally:
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_ink_is_that_of_paper_when_a_dark_page_is_printed(place: Place) -> None:
    inks: list[list[str]] = []
    for media, scheme in (("screen", "light"), ("screen", "dark"), ("print", "dark")):
        with chromium() as driver:
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
            opened(driver, place)
            marks = driver.find_elements(By.CSS_SELECTOR, ".not-met .mark, #visits .keys .sign")
            inks.append([mark.value_of_css_property("color") for mark in marks])
    light, dark, paper = inks
    assert dark[0] != light[0]
    assert paper[0] == light[0]
    assert paper[-1] == light[-1]
