"""Looking at a page of the app as its readers do: axe-core, the console, the edges; and its buttons, by keyboard."""

from __future__ import annotations

from pathlib import Path

import axe_core_python
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.page import SECONDS

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RUN = "const done = arguments[0]; axe.run().then(found => done(found.violations), error => done([{id: String(error)}]))"
BEYOND = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


def looked_at(chrome: Chrome, status: int = 200) -> None:
    """Nothing that axe-core finds, nothing that the console complains of, nothing beyond the edge, all of it opened.

    `status` is the page's own where it is one of a failure: the console notes that, and may.
    """
    chrome.execute_script("document.querySelectorAll('details').forEach(each => { each.open = true })")
    chrome.execute_script(AXE)
    found = chrome.execute_async_script(RUN)
    assert [(each["id"], [node.get("html") for node in each.get("nodes", ())]) for each in found] == []
    assert chrome.execute_script(BEYOND) == 0
    complaints = [str(entry["message"]) for entry in chrome.get_log("browser")]  # type: ignore[no-untyped-call]
    assert [each for each in complaints if status == 200 or f"status of {status}" not in each] == []


def send(chrome: Chrome, words: str) -> None:
    """Press the button with these words, and wait for the next page."""
    chrome.execute_script("window.former = true")
    chrome.find_element(By.XPATH, f"//button[contains(., '{words}')]").send_keys(Keys.ENTER)
    # An element of the page that goes cannot be asked reliably whether it is gone.
    is_next = "return window.former === undefined && document.readyState === 'complete'"
    WebDriverWait(chrome, SECONDS).until(lambda driver: driver.execute_script(is_next))


def set_day(chrome: Chrome, day: str) -> None:
    """Fill in the day of a measure; how a date is typed differs from one language of a browser to the next."""
    chrome.execute_script("document.getElementById('day').value = arguments[0]", day)
