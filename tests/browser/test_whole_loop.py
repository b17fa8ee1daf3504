"""The whole loop from a fresh start, nothing else running: sign, card, "Details", app, fill in, save, sign again."""

from __future__ import annotations

import base64
import os
import re
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from hooks.sandbox.demo import Stack, running_stack, serving_page
from hooks.sandbox.ehr import SANDBOX_USER
from hooks.sandbox.http import FhirServer
from tests.browser.chromium import chromium, missing_chromium
from tests.browser.looking import looked_at, send, set_day
from tests.browser.page import SECONDS, Page
from tests.hooks.smart.story.test_letter_pdf import bare, text_of

pytestmark = pytest.mark.browser
Json = dict[str, Any]
MISSING = "HAGOS or iHOT is missing"
START, LATELY = "2024-08-12", "2025-03-05"


@dataclass
class Room:
    """An EHR with an order form and launches in one browser, the FHIR server behind it, and where downloads go."""

    page: Page
    stack: Stack
    downloads: Path

    @property
    def chrome(self) -> Chrome:
        return self.page.driver

    def details(self, card: str) -> str:
        """Open the app by "Details" of a card, in the window that the EHR opens; the story's address."""
        former = set(self.chrome.window_handles)
        self.page.press(self.page.card(card).find_element(By.LINK_TEXT, "Details"))
        WebDriverWait(self.chrome, SECONDS).until(lambda driver: set(driver.window_handles) > former)
        (new,) = set(self.chrome.window_handles) - former
        self.chrome.switch_to.window(new)
        self.page.wait_for("#scores")
        return self.chrome.current_url.partition("?")[0]

    def back_to_the_ehr(self) -> None:
        self.chrome.switch_to.window(self.chrome.window_handles[0])

    def weigh(self, story: str, measure: str, day: str, score: int) -> None:
        """Fill in a measure of one number, and have the order weighed again."""
        self.chrome.get(f"{story}/measures/{measure}")
        looked_at(self.chrome)
        set_day(self.chrome, day)
        self.chrome.find_element(By.CSS_SELECTOR, "input[inputmode]").send_keys(str(score))
        send(self.chrome, "weigh the order again")
        looked_at(self.chrome)

    def save(self) -> list[str]:
        """Save what was weighed to the record; the references that the page names."""
        send(self.chrome, "Save it to the record")
        looked_at(self.chrome)
        return self.page.wait_for("[role=status]").text.partition(": ")[2].rstrip(".").split(", ")

    def on_file(self, reference: str) -> Json:
        return FhirServer(self.stack.fhir_url).read(reference)

    def turned(self) -> dict[str, str]:
        """The criteria that came out otherwise, and how."""
        told = [(each.find_element(By.TAG_NAME, "h3"), each.find_element(By.CLASS_NAME, "result"))
                for each in self.page.all(".turned .changed")]  # fmt: skip
        return {statement.text: " ".join(result.text.split()) for statement, result in told}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """Everything started just now: FHIR server with the example patients, service, EHR, browser."""
    missing = missing_chromium()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    with running_stack() as stack, serving_page(stack) as url, chromium(downloads=tmp_path) as driver:
        driver.set_script_timeout(60)
        yield Room(Page(driver, url), stack, tmp_path)


def test_a_missing_measure_is_missing_no_more_when_it_was_filled_in_and_the_order_is_signed_again(room: Room) -> None:
    room.page.choose("f000")
    room.page.sign()
    assert any(MISSING in summary for summary in room.page.summaries())
    story = room.details("20 of 14")
    read_at_first(room)

    room.weigh(story, "ihot-12", START, 41)
    assert room.turned() == {
        "An outcome measure that suits the hip was taken at the start of care (advice)": "not met → became met"
    }
    check_score(room, *room.save())
    room.weigh(story, "ihot-12", LATELY, 58)
    assert "An outcome measure that suits the hip was taken lately (advice)" in room.turned()
    room.save()
    room.weigh(story, "nprs", LATELY, 4)
    check_questionnaire(room, *room.save())

    room.back_to_the_ehr()
    room.page.sign()
    assert not any("HAGOS" in summary for summary in room.page.summaries())
    story = room.details("20 of 14")
    read_again(room)
    print_letter(room, story)
    room.chrome.get(story)
    send(room.chrome, "End this session")
    assert room.page.wait_for("h1").text == "Your session has ended."
    looked_at(room.chrome)


def read_at_first(room: Room) -> None:
    """The story before anything was filled in: the numbers, the visits' picture, no measure, and what is missing."""
    assert room.page.wait_for(".outcome .count").text == "20 of 14 visits: 18 completed and 2 requested."
    assert room.page.wait_for("#visits svg").size["height"] > 150
    assert room.page.all("#scores ~ .pictures svg") == []
    assert "No outcome measure" in room.page.wait_for("section[aria-labelledby=scores]").text
    assert mark(room, "baseline-outcome-measure") == "not met"
    looked_at(room.chrome)


def read_again(room: Room) -> None:
    """The story with what was filled in: both pictures, and the criterion met."""
    assert room.page.wait_for(".outcome .count").text == "20 of 14 visits: 18 completed and 2 requested."
    titles = [each.text for each in room.page.all("section[aria-labelledby=scores] figure h3")]
    assert [title for title in titles if "iHOT-12" in title]
    assert [title for title in titles if "NPRS" in title]
    assert all(drawn.size["height"] > 100 for drawn in room.page.all("#visits svg, .pictures svg"))
    assert mark(room, "baseline-outcome-measure") == "met"
    looked_at(room.chrome)


def mark(room: Room, criterion: str) -> str:
    """The word of a criterion's result."""
    return room.page.wait_for(f"#criterion-{criterion} .mark").text.partition(" ")[2]


def check_score(room: Room, reference: str) -> None:
    """A score from paper is an Observation of its instrument, by the user who entered it."""
    found = room.on_file(reference)
    assert found["code"]["text"] == "iHOT-12"
    assert (found["effectiveDateTime"], found["valueQuantity"]["value"]) == (START, 41)
    assert found["subject"]["reference"] == "Patient/f000"
    assert [each["reference"] for each in found["performer"]] == [SANDBOX_USER]


def check_questionnaire(room: Room, response: str, score: str) -> None:
    """Answers are a QuestionnaireResponse, and its score an Observation that is derived from it."""
    assert room.on_file(response)["author"]["reference"] == SANDBOX_USER
    assert [each["reference"] for each in room.on_file(score)["derivedFrom"]] == [response]


def print_letter(room: Room, story: str) -> None:
    """The letter, on paper by the browser's print, and as a PDF that the browser downloads."""
    room.chrome.get(f"{story}/letter")
    looked_at(room.chrome)
    letter = room.page.wait_for(".letter")
    said = [each.text for each in letter.find_elements(By.CSS_SELECTOR, ".sentence")]
    assert any("20 of 14" in sentence for sentence in said)
    printed = room.chrome.execute_cdp_cmd("Page.printToPDF", {})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF-")
    room.chrome.find_element(By.LINK_TEXT, "As PDF").click()
    shown = text_of(unpacked(downloaded(room.downloads)))
    assert [sentence for sentence in said if bare(sentence) not in shown] == []


def downloaded(folder: Path) -> bytes:
    """The one PDF that the browser has put there, once it is whole."""
    deadline = time.monotonic() + SECONDS
    while not (found := list(folder.glob("*.pdf"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    (file,) = found
    return file.read_bytes()


def unpacked(pdf: bytes) -> bytes:
    """What the compressed streams of a PDF hold."""
    return b"\n".join(
        zlib.decompress(each) for each in re.findall(rb"FlateDecode.*?stream\r?\n(.*?)\r?\nendstream", pdf, re.S)
    )
