"""The real service, with a deadline of one second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hooks.sandbox.demo import start_service
from hooks.sandbox.processes import Program, free_port

DEADLINE = 1.0


@pytest.fixture(scope="session")
def hurried(logs: Path) -> Iterator[Program]:
    """The service with a short deadline; it may ask any FHIR server on this machine."""
    directory = logs / "hurried"
    directory.mkdir()
    port = free_port()
    settings = {"THERAPY_CDS_DEADLINE_SECONDS": str(DEADLINE), "THERAPY_CDS_THREADS": "16"}
    with start_service(port, "", directory, settings) as program:
        program.wait_until_ready()
        yield program


@pytest.fixture(scope="session")
def hurried_url(hurried: Program) -> str:
    """Its base URL."""
    return hurried.ready_url.removesuffix("/cds-services")
