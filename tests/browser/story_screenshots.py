"""Take the pictures of the app for docs/app.md: `python -m tests.browser.story_screenshots [FOLDER]`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import requests
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser.chromium import chromium, missing_chromium
from tests.hooks.calls import URL, request, resources
from tests.hooks.smart.conftest import Place, assessment_of, serving
from tests.hooks.smart.ehr import running_ehr
from tests.hooks.smart.story.stories import score

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
# Name, width and height, dark, page, and what is brought to the top of the picture.
SHOTS: Sequence[tuple[str, int, int, bool, str, str]] = (
    ("app-wide", 1200, 1500, False, "", ""),
    ("app-dark", 1200, 1440, True, "", ""),
    ("app-narrow", 420, 1500, False, "", ""),
    ("app-trends", 900, 760, False, "", "#scores"),
    ("app-measure", 420, 1100, False, "/measures/phq-9", ""),
    ("app-letter", 900, 960, False, "/letter", ""),
)


SCORES = (("2024-08-12", 41), ("2024-11-20", 47), ("2025-03-05", 58))


def take(place: Place, folder: Path) -> None:
    """Sign the order of f000 with scores on file, and save each page; then fill in the last score."""
    _sign(place, scores=3)
    for name, width, height, dark, path, top in SHOTS:
        with chromium(width=width, height=height, dark=dark) as driver:
            _open(driver, place, path)
            if top:
                found = driver.find_element(By.CSS_SELECTOR, top)
                driver.execute_script("arguments[0].scrollIntoView({block: 'start'})", found)
            driver.save_screenshot(str(folder / f"{name}.png"))
    _sign(place, scores=2)
    with chromium(width=900, height=800) as driver:
        _open(driver, place, "/measures/ihot-12")
        driver.execute_script("document.getElementById('day').value = arguments[0]", SCORES[-1][0])
        driver.find_element(By.NAME, "score").send_keys(str(SCORES[-1][1]))
        driver.find_element(By.CLASS_NAME, "primary").click()
        driver.save_screenshot(str(folder / "app-filled.png"))


def _sign(place: Place, scores: int) -> None:
    """Sign the order of f000 with so many scores of one instrument, and have the EHR open the app on it."""
    more = [score("ihot-12", day, value, at) for at, (day, value) in enumerate(SCORES[:scores])]
    body = request(fhirServer=place.ehr.base, record=[*resources("f000"), *more])
    answer = requests.post(place.url + URL, json=body, timeout=30).json()
    place.ehr.launch = {"patient": "f000", "appContext": assessment_of(answer)}


def _open(driver: Chrome, place: Place, path: str) -> None:
    driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
    driver.get(f"{place.url}/smart/launch?iss={place.ehr.base}&launch=launch-1")
    driver.get(driver.current_url + path)


def main(arguments: Sequence[str]) -> int:
    """Serve the app beside an EHR that opens it, take the pictures, and say where they are."""
    if missing := missing_chromium():
        sys.stderr.write(f"{missing}\n")
        return 1
    folder = Path(arguments[0]) if arguments else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as made,
        running_ehr() as ehr,
        serving(Path(made), ehr, keys=Path(made) / "keys") as place,
    ):
        take(place, folder)
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
