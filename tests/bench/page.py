"""How long the app's page takes after the callback, on a loaded record: wall time of the request, over loopback."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import requests

from tests.bench.bodies import SIZES, record_of
from tests.hooks.calls import URL, request
from tests.hooks.smart.conftest import Place, assessment_of, serving
from tests.hooks.smart.ehr import running_ehr


def page_times(rounds: int) -> None:
    """Print, for each size, the milliseconds from the callback's redirect to the whole page: first and median.

    The first page of a process loads the library that draws. EHR, app and browser are one process here.
    """
    print("\n| resources | first page, ms | page, median ms | with a measure filled in, median ms |\n|---|---|---|---|")
    for size in SIZES:
        with (
            TemporaryDirectory() as folder,
            running_ehr() as ehr,
            serving(Path(folder), ehr, keys=Path(folder) / "keys") as place,
        ):
            body = request(record=record_of(size), fhirServer=ehr.base)
            answer = requests.post(place.url + URL, json=body, timeout=60).json()
            ehr.launch = {"patient": "f000", "appContext": assessment_of(answer)}
            base = _launched(place)
            pages = [_timed(place, base) for _ in range(rounds + 1)]
            filled = [_timed(place, f"{base}/measures/ihot-12", day="2025-03-01", score="60") for _ in range(rounds)]
        print(f"| {size:,} | {pages[0]:.0f} | {statistics.median(pages[1:]):.0f} | {statistics.median(filled):.0f} |")


def _launched(place: Place) -> str:
    """The address of the page to which the callback leads, not opened yet."""
    _, callback = place.steps()
    return place.browser.get(callback, allow_redirects=False, timeout=30).headers["Location"]


def _timed(place: Place, url: str, **form: str) -> float:
    """Milliseconds of one request."""
    began = time.perf_counter()
    answer = place.browser.post(url, data=form, timeout=60) if form else place.browser.get(url, timeout=60)
    took = (time.perf_counter() - began) * 1000
    answer.raise_for_status()
    return took


if __name__ == "__main__":
    page_times(rounds=15)
