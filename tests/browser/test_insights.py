"""The page of figures in headless Chromium, before a real service: nothing for axe-core to find."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from hooks.sandbox.examples import Example
from hooks.sandbox.http import FhirServer
from hooks.sandbox.signing import send_feedback, sign
from tests.browser.chromium import chromium, missing_chromium

pytestmark = pytest.mark.browser
Json = dict[str, Any]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
BEYOND = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def page_url(service_url: str, fhir_server: str, examples: tuple[Example, ...]) -> str:
    """The address of the page, after an order of each example patient was signed and a card overridden."""
    missing = missing_chromium()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    for example in examples:
        for exchange in sign(service_url, FhirServer(fhir_server), example.patient_id, list(example.drafts)):
            for card in exchange.cards[:1]:
                send_feedback(service_url, exchange.service, card["uuid"], reason=card["overrideReasons"][0])
    return f"{service_url}/insights"


@pytest.fixture(params=[(1280, False), (1280, True), (420, False), (420, True)], ids=str)
def browser(request: pytest.FixtureRequest, page_url: str) -> Iterator[Chrome]:
    """A browser that is wide or narrow, light or dark."""
    width, dark = request.param
    with chromium(width=width, dark=dark) as driver:
        yield driver


def complaints(driver: Chrome) -> list[str]:
    return [str(entry["message"]) for entry in driver.get_log("browser")]  # type: ignore[no-untyped-call]


def violations(driver: Chrome) -> list[str]:
    """What axe-core finds: rule and elements."""
    driver.execute_script(files("axe_core_python").joinpath("axe.min.js").read_text("utf-8"))
    script = "const done = arguments[1]; axe.run(document, arguments[0]).then(done, e => done({error: String(e)}))"
    found: Json = driver.execute_async_script(script, RULES)
    assert found.get("passes"), found.get("error")
    return [f"{each['id']}: {node['html'][:200]}" for each in found["violations"] for node in each["nodes"]]


@pytest.mark.parametrize("query", ["", "?since=2199-01-01", "?since=never"], ids=["figures", "empty", "problem"])
def test_axe_finds_nothing_and_the_page_fits_when_it_is_opened(browser: Chrome, page_url: str, query: str) -> None:
    browser.get(page_url + query)
    assert browser.find_element(By.TAG_NAME, "h1").text == "What was said, and what came of it"
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg[role=img]")) == (0 if query else 4)
    assert browser.execute_script(BEYOND) == 0
    # A page that says what is wrong is answered with 400, which the browser notes; nothing else.
    assert [each for each in complaints(browser) if "400" not in each] == []
    assert violations(browser) == []


def test_pictures_have_colours_when_the_style_is_the_page_s_own(browser: Chrome, page_url: str) -> None:
    browser.get(page_url)
    fill = "return getComputedStyle(arguments[0]).fill"
    bars = browser.find_elements(By.CSS_SELECTOR, "figure.outcomes .series rect")
    fills = {browser.execute_script(fill, bar) for bar in bars}
    assert len(fills) > 1
    assert "rgb(0, 0, 0)" not in fills


def test_policy_is_chosen_by_keyboard_when_there_is_no_mouse(page_url: str) -> None:
    with chromium() as driver:
        driver.get(page_url)
        body = driver.find_element(By.TAG_NAME, "body")
        body.send_keys(Keys.TAB)
        assert driver.switch_to.active_element.get_attribute("class") == "skip"
        choice = driver.find_element(By.NAME, "policy")
        choice.send_keys("pain-rehabilitation-program", Keys.TAB, Keys.ENTER)
        assert "policy=pain-rehabilitation-program" in driver.current_url
        assert "depression-severity" in driver.find_element(By.TAG_NAME, "main").text
        assert "visits-within-benchmark" not in driver.find_element(By.TAG_NAME, "main").text
        assert complaints(driver) == []
