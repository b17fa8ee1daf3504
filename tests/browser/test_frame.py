"""The app over https in a frame of an EHR's page, which is another site: its cookie is a third party's there."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import pytest
from flask import Flask
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from werkzeug.serving import make_server

from hooks.app import create_app
from hooks.sandbox.processes import free_port
from hooks.settings import Settings
from tests.browser.chromium import chromium, missing_chromium
from tests.browser.looking import send
from tests.browser.page import SECONDS
from tests.hooks.calls import URL, request
from tests.hooks.smart.conftest import assessment_of
from tests.hooks.smart.ehr import CLIENT, TestEhr, running_ehr

pytestmark = pytest.mark.browser
# As browsers will be that keep cookies of third parties only where each site that frames them has its own.
FLAGS = ("--ignore-certificate-errors", "--test-third-party-cookie-phaseout")


@dataclass
class Frame:
    """The EHR's page by two names, of which the app knows the first only; and where the app is."""

    known: str
    stranger: str
    app: str
    ehr: TestEhr


@contextmanager
def over_http(app: Any, ssl: Literal["adhoc"] | None = None, port: int = 0) -> Iterator[int]:
    server = make_server("127.0.0.1", port, app, threaded=True, ssl_context=ssl)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frame]:
    """An EHR's page that holds the app in a frame, and the app over https."""
    folder, port = tmp_path_factory.mktemp("frame"), free_port()
    url = f"https://127.0.0.1:{port}"
    page = Flask("ehr")
    with running_ehr(public=True) as ehr, over_http(page) as at:
        opened = f"{url}/smart/launch?{urlencode({'iss': ehr.base, 'launch': 'launch-1'})}"
        page.add_url_rule(
            "/", "page", lambda: f'<title>EHR</title><iframe width=420 height=800 src="{opened}"></iframe>'
        )
        found = Frame(f"http://localhost:{at}", f"http://127.0.0.1:{at}", url, ehr)
        app = create_app(settings_of(folder, found))
        with over_http(app, "adhoc", port):
            ehr.launch = {"patient": "f000", "appContext": signed(app, ehr)}
            yield found


def settings_of(folder: Path, frame: Frame) -> Settings:
    row = {"name": "Test EHR", "iss": frame.ehr.base, "client_id": CLIENT, "method": "public"}
    file = folder / "servers.yaml"
    file.write_text(json.dumps({"servers": [row | {"frame_ancestors": [frame.known]}]}), encoding="utf-8")
    return Settings(
        base_url=frame.app, smart_servers=file, smart_keys=folder / "keys", database_url=f"sqlite:///{folder}/l.db"
    )


def signed(app: Flask, ehr: TestEhr) -> str:
    answer = app.test_client().post(URL, json=request(fhirServer=ehr.base))
    return assessment_of(answer.json or {})


@pytest.fixture
def chrome() -> Iterator[Chrome]:
    missing = missing_chromium()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    with chromium(flags=FLAGS) as driver:
        yield driver


def test_story_and_form_work_in_a_frame_when_the_ehr_is_another_site(chrome: Chrome, frame: Frame) -> None:
    chrome.get(frame.known)
    chrome.switch_to.frame(chrome.find_element(By.TAG_NAME, "iframe"))
    WebDriverWait(chrome, SECONDS).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "h1"))
    assert "20 of 14" in chrome.find_element(By.TAG_NAME, "main").text
    chrome.find_element(By.LINK_TEXT, "Fill in an outcome measure").click()
    chrome.find_element(By.LINK_TEXT, "iHOT-12").click()
    chrome.find_element(By.NAME, "score").send_keys("41")
    send(chrome, "weigh the order again")
    assert chrome.find_element(By.TAG_NAME, "h1").text.startswith("iHOT-12: 41")
    cookies = {each["name"]: each for each in chrome.execute_cdp_cmd("Network.getAllCookies", {})["cookies"]}
    assert cookies["__Host-therapy-cds"]["partitionKey"]


def test_nothing_is_shown_in_a_frame_when_the_page_is_not_the_ehr_s(chrome: Chrome, frame: Frame) -> None:
    chrome.get(frame.stranger)
    told: list[str] = []

    def refused(driver: Chrome) -> bool:
        told.extend(str(entry["message"]) for entry in driver.get_log("browser"))  # type: ignore[no-untyped-call]
        return any("frame-ancestors" in message for message in told)

    WebDriverWait(chrome, SECONDS).until(refused)
    chrome.switch_to.frame(chrome.find_element(By.TAG_NAME, "iframe"))
    assert "20 of 14" not in chrome.page_source
