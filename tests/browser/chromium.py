"""A headless Chromium that reaches nothing but this machine, and ends with the block that asked for it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing_chromium() -> str | None:
    """Say what is missing to drive a browser, if anything is."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if not missing:
        return None
    return f"no {' and no '.join(missing)} found; on Debian: apt-get install chromium chromium-driver"


@contextlib.contextmanager
def chromium(
    width: int = 1280,
    height: int = 900,
    *,
    dark: bool = False,
    downloads: Path | None = None,
    flags: Sequence[str] = (),
) -> Iterator[webdriver.Chrome]:
    """Run headless Chromium with a profile of its own; a PDF goes to `downloads`, if that is given."""
    with tempfile.TemporaryDirectory(prefix="therapy-cds-chromium-") as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or "chromium"
        for flag in (*FLAGS, *flags, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        if downloads:
            kept = {"download.default_directory": str(downloads), "plugins.always_open_pdf_externally": True}
            options.add_experimental_option("prefs", kept)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        try:
            features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            # A headless window cannot be narrower than some 500 px; the device metrics can.
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            yield driver
        finally:
            driver.quit()
