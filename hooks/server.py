"""What `therapy-cds serve` runs in each worker: the application from the environment, and a quiet collector."""

from __future__ import annotations

import gc
import logging
import sys

from flask import Flask

from cds.errors import CdsError
from hooks.app import create_app
from hooks.charting import charts
from hooks.settings import Settings


def application() -> Flask:
    """The application of one worker; exits with one line on standard error where it must not start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = Settings.from_environment()
        app = create_app(settings)
    except CdsError as error:
        print(f"therapy-cds: {error}", file=sys.stderr)  # noqa: T201 - the log may not be set up yet
        sys.exit(2)
    if settings.smart_servers is not None:
        charts()  # not while the first clinician waits for a page
    # Policies and vocabularies live as long as the worker: out of the collector's way, which then runs
    # rarely. This halves the tail of large calls (docs/performance.md).
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    return app
