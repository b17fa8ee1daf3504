"""Take the picture of the sandbox for the README: `python -m tests.browser.screenshot [FILE]`."""

from __future__ import annotations

import sys
from pathlib import Path

from hooks.sandbox.demo import running_stack, serving_page
from tests.browser.chromium import chromium, missing_chromium
from tests.browser.page import Page

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "images" / "sandbox.png"
WIDTH = 1280


def take(url: str, picture: Path, *, width: int = WIDTH, dark: bool = False) -> None:
    """Sign the order of f000 and save the whole page."""
    picture.parent.mkdir(parents=True, exist_ok=True)
    with chromium(width=width, dark=dark) as driver:
        page = Page(driver, url)
        page.choose("f000")
        page.sign()
        height = driver.execute_script("return document.documentElement.scrollHeight")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        # The keyboard's focus ring belongs to a person, not to a picture.
        driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
        driver.save_screenshot(str(picture))


def main(arguments: list[str]) -> int:
    """Run the demo's servers, take the picture, and say where it is."""
    if missing := missing_chromium():
        sys.stderr.write(f"{missing}\n")
        return 1
    picture = Path(arguments[0]) if arguments else PICTURE
    with running_stack() as stack, serving_page(stack) as url:
        take(url, picture)
    sys.stdout.write(f"{picture}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
