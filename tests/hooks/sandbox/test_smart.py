"""The sandbox launches the app: from the card to the page, and the app to the FHIR server with its token."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import requests

from hooks.sandbox.demo import Stack, serving_page, start_service
from hooks.sandbox.examples import Example
from hooks.sandbox.processes import free_port
from hooks.sandbox.smart import SmartEhr, write_servers
from hooks.smart.registration import read_ehrs

# An empty verifier, so that the challenge is the hash of nothing.
CHALLENGE = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"


@dataclass
class Room:
    """The sandbox's page beside a service that knows it as an EHR."""

    page: str
    service: str
    order: Example
    browser: requests.Session

    def link(self) -> str:
        """The address behind "Details" on the card of the signed order."""
        body = {"drafts": list(self.order.drafts), "edits": {}}
        answer = self.browser.post(f"{self.page}patients/{self.order.name}/sign", json=body, timeout=30).json()
        (found,) = re.findall(r'class="launch" href="([^"]+)"', answer["answer"])
        return html.unescape(found)


@pytest.fixture(scope="module")
def served(
    fhir_server: str, examples: tuple[Example, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    folder, port, page = tmp_path_factory.mktemp("sandbox-smart"), free_port(), free_port()
    iss = f"http://127.0.0.1:{page}/fhir"
    settings = {
        "THERAPY_CDS_SMART_SERVERS": str(write_servers(folder / "smart.json", iss, [fhir_server])),
        "THERAPY_CDS_SMART_KEYS": str(folder / "keys"),
        # Each step of a launch may reach another worker.
        "WEB_CONCURRENCY": "2",
    }
    service = f"http://127.0.0.1:{port}"
    with start_service(port, fhir_server, folder, settings) as program:
        program.wait_until_ready()
        with serving_page(Stack(service, fhir_server, examples, page=page)) as url:
            yield url, service


@pytest.fixture
def room(served: tuple[str, str], examples: tuple[Example, ...]) -> Iterator[Room]:
    with requests.Session() as browser:
        example = next(each for each in examples if each.patient_id == "f000")
        yield Room(*served, example, browser)


def test_the_app_shows_that_assessment_when_details_is_opened(room: Room) -> None:
    shown = room.browser.get(room.link(), timeout=30)
    assert shown.status_code == 200, shown.text
    assert shown.url.startswith(f"{room.service}/smart/")
    assert "20 of 14" in shown.text
    assert "granted less" not in shown.text


def test_each_launch_ends_well_when_two_workers_share_them(room: Room) -> None:
    for _ in range(6):
        with requests.Session() as browser:
            page = browser.get(room.link(), timeout=30)
            assert page.status_code == 200, page.text
            assert all(browser.get(page.url, timeout=30).status_code == 200 for _ in range(3))


def test_a_code_is_good_once_when_somebody_takes_it(room: Room) -> None:
    start = room.browser.get(room.link(), allow_redirects=False, timeout=30).headers["Location"]
    back = room.browser.get(start, allow_redirects=False, timeout=30).headers["Location"]
    code = parse_qs(urlsplit(back).query)["code"][0]
    assert room.browser.get(back, timeout=30).status_code == 200
    form = {"grant_type": "authorization_code", "client_id": "therapy-cds-sandbox", "code": code, "code_verifier": "x"}
    answer = room.browser.post(f"{room.page}fhir/auth/token", data=form, timeout=30)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("redirect_uri", "https://evil.example.org/"),
        ("client_id", "another"),
        ("aud", "https://other.example.org/fhir"),
        ("code_challenge_method", "plain"),
        ("launch", "made-up"),
    ],
)
def test_nobody_is_sent_anywhere_when_the_app_does_not_ask_as_it_must(room: Room, name: str, value: str) -> None:
    start = room.browser.get(room.link(), allow_redirects=False, timeout=30).headers["Location"]
    address, _, query = start.partition("?")
    changed = urlencode(dict(parse_qsl(query)) | {name: value})
    answer = room.browser.get(f"{address}?{changed}", allow_redirects=False, timeout=30)
    assert answer.status_code == 400
    assert "Location" not in answer.headers


@pytest.mark.parametrize("token", ["", "Bearer made-up", "Basic x"])
def test_the_fhir_server_is_not_asked_when_there_is_no_token(room: Room, token: str) -> None:
    answer = requests.get(f"{room.page}fhir/Patient/f000", headers={"Authorization": token}, timeout=30)
    assert answer.status_code == 401


def test_the_fhir_server_is_read_and_written_when_the_token_is_right(room: Room) -> None:
    start = room.browser.get(room.link(), allow_redirects=False, timeout=30).headers["Location"]
    address, _, query = start.partition("?")
    asked = urlencode(dict(parse_qsl(query)) | {"code_challenge": CHALLENGE})
    back = room.browser.get(f"{address}?{asked}", allow_redirects=False, timeout=30).headers["Location"]
    code = parse_qs(urlsplit(back).query)["code"][0]
    form = {"grant_type": "authorization_code", "client_id": "therapy-cds-sandbox", "code": code}
    given = requests.post(f"{room.page}fhir/auth/token", data=form, timeout=30).json()
    assert given["patient"] == "f000"
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    assert requests.get(f"{room.page}fhir/Patient/f000", headers=bearer, timeout=30).json()["id"] == "f000"
    found = requests.get(f"{room.page}fhir/Encounter?patient=f000&_count=1", headers=bearer, timeout=30).json()
    assert found["resourceType"] == "Bundle"
    stranger = {"Authorization": f"Bearer {code}"}
    assert requests.get(f"{room.page}fhir/Patient/f000", headers=stranger, timeout=30).status_code == 401
    flag = {"resourceType": "Basic", "code": {"text": "a try"}, "subject": {"reference": "Patient/f000"}}
    made = requests.post(f"{room.page}fhir/Basic", json=flag, headers=bearer, timeout=30)
    assert made.status_code == 201, made.text
    assert made.headers["Location"].startswith(f"{room.page}fhir/Basic/")


@pytest.mark.parametrize(
    "link",
    [
        {"type": "absolute", "url": "http://127.0.0.1:2/smart/launch"},
        {"type": "smart", "url": "https://another-app.example.org/launch"},
        {},
    ],
)
def test_a_link_leads_nowhere_when_it_is_of_another_app(link: dict[str, str]) -> None:
    assert SmartEhr("http://127.0.0.1:1/fhir", "http://127.0.0.1:2", "http://127.0.0.1:3").address_of(link, "p1") == ""


def test_the_file_is_one_that_the_service_takes_when_it_is_written(tmp_path: Path) -> None:
    path = write_servers(tmp_path / "smart.json", "http://127.0.0.1:1/fhir", ["http://127.0.0.1:3/fhir"])
    (ehr,) = read_ehrs(path, production=False)
    assert ehr.is_behind("http://127.0.0.1:3/fhir")
