"""The real service, with a deadline of one second, before a FHIR server that misbehaves as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from hooks.sandbox.demo import start_service
from hooks.sandbox.fault_proxy import FaultyServer, faulty_server
from hooks.sandbox.faults import Chosen
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


@pytest.fixture(scope="session")
def misbehaving_ehr(fhir_server: str) -> Callable[[list[Chosen]], AbstractContextManager[FaultyServer]]:
    """Starts a proxy with some faults before the real FHIR server."""
    return partial(faulty_server, fhir_server)
