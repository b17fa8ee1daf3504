"""The sandbox EHR in headless Chromium, before the real service and a real FHIR server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from hooks.sandbox.http import FhirServer
from tests.browser.chromium import chromium, missing_chromium
from tests.browser.page import Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chrome() -> Iterator[Chrome]:
    """One browser for the module: each test loads the page anew."""
    missing = missing_chromium()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(chrome: Chrome, sandbox_url: str) -> Page:
    """The sandbox's page, freshly loaded."""
    return Page(chrome, sandbox_url)


def test_cards_are_read_and_a_suggestion_changes_the_order_when_f000_is_signed(page: Page) -> None:
    page.choose("f000")
    assert page.lines() == ["97110", "97112", "20561"]

    page.sign()
    limits = page.card("20 of 14")
    assert "Warning" in limits.text
    assert "18 completed and 2 requested" in limits.text

    uncovered = page.card("20561")
    page.press(uncovered.find_element(By.XPATH, ".//button[contains(., 'emove') and contains(., '20561')]"))
    page.wait_for(".taken")
    assert page.lines() == ["97110", "97112"]
    assert page.wait_for("[data-removed='20561']").text.endswith("removed")

    page.sign()
    assert page.lines() == ["97110", "97112"]
    assert not [summary for summary in page.summaries() if "20561" in summary]
    page.card("of 14")
    assert page.complaints() == []


def test_card_is_settled_with_its_reason_when_it_is_overridden(page: Page) -> None:
    page.choose("f000")
    page.sign()
    card = page.card("20 of 14")
    page.press(card.find_element(By.CSS_SELECTOR, ".override summary"))
    reasons = Select(card.find_element(By.NAME, "reason"))
    reason = reasons.options[1].text
    reasons.select_by_index(1)
    card.find_element(By.NAME, "comment").send_keys("Seen today")
    page.press(card.find_element(By.CSS_SELECTOR, ".override-form button"))
    notice = page.wait_for(".card .taken").text
    assert f"Overridden: {reason}" in notice
    assert "Seen today" in notice
    assert "The service has noted it" in notice


def test_cards_are_told_to_be_old_when_the_form_is_edited_after_signing(page: Page) -> None:
    page.choose("f000")
    page.sign()
    assert not page.wait_for(".stale").is_displayed()
    visits = page.wait_for("[name=visits]")
    visits.clear()
    visits.send_keys("1")
    assert page.wait_for(".stale").is_displayed()
    page.sign()
    page.card("19 of 14")
    assert page.wait_for("[name=visits]").get_attribute("value") == "1"


def test_task_stands_on_the_fhir_server_when_a_suggestion_creates_one(page: Page, fhir_server: str) -> None:
    page.choose("f000")
    page.sign()
    page.press(page.card("HAGOS").find_element(By.CSS_SELECTOR, ".suggestion"))
    assert "was created on the FHIR server" in page.wait_for(".taken").text
    assert page.lines() == ["97110", "97112", "20561"]
    server = FhirServer(fhir_server)
    (task,) = server.search("Task?patient=f000")
    # The server is everybody's in a test run: leave it as it was.
    server.write("DELETE", f"Task/{task['id']}", None)


def test_page_fits_when_the_screen_is_narrow(sandbox_url: str, chrome: Chrome) -> None:
    with chromium(width=420) as driver:
        page = Page(driver, sandbox_url)
        page.choose("f000")
        page.sign()
        beyond = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert driver.execute_script(beyond) == 0
        assert page.complaints() == []
