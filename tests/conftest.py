"""Real servers for the tests that need them: a FHIR server with the examples, the service, the sandbox."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from cds.ledger.database import engine_of
from cds.ledger.ledger import Ledger
from hooks.sandbox.demo import Stack, serving_page, start_service
from hooks.sandbox.examples import Example, read_examples
from hooks.sandbox.fhir_server import load, start_fhir_server
from hooks.sandbox.http import FhirServer
from hooks.sandbox.processes import free_port
from tests.ledger.databases import Database, PostgresqlDatabase, SqliteDatabase
from tests.ledger.postgresql import PostgreSQL, running_postgresql

# The same examples at every run, so that a change is judged by what it changes. HYPOTHESIS_PROFILE=explore
# looks for new ones.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Last comes what looks back at all that the session has put on record."""
    items.sort(key=lambda item: item.path.name == "test_session.py")


@pytest.fixture(scope="session", autouse=True)
def ledger_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One ledger for whatever the session answers, in this process and in those that it starts; none of the user's."""
    state = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(state))
        yield f"sqlite:///{state}/therapy-cds/ledger.sqlite3"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A real PostgreSQL, started when the first test needs it."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database for one test, of each kind that a ledger may be in."""
    if request.param == "sqlite":
        return SqliteDatabase(tmp_path / "ledger.sqlite3")
    return PostgresqlDatabase(request.getfixturevalue("postgresql"))


@pytest.fixture
def database_url(database: Database) -> str:
    """Where that database is, as THERAPY_CDS_DATABASE_URL takes it."""
    return database.url


@pytest.fixture
def open_ledger() -> Iterator[Callable[..., Ledger]]:
    """Opens ledgers by URL, and closes them when the test is over."""
    opened: list[Ledger] = []

    def open_(url: str, **options: Any) -> Ledger:
        opened.append(Ledger(engine_of(url), **options))
        return opened[-1]

    yield open_
    for ledger in opened:
        ledger.close()


@pytest.fixture(scope="session")
def examples() -> tuple[Example, ...]:
    """The example patients that come with the project."""
    return tuple(read_examples())


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers that a session starts keep their logs and data."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def fhir_server(logs: Path, examples: tuple[Example, ...]) -> Iterator[str]:
    """The base URL of a real FHIR server that holds the example patients."""
    port = free_port()
    with start_fhir_server(port, logs) as server:
        server.wait_until_ready()
        url = f"http://127.0.0.1:{port}/fhir"
        for example in examples:
            load(FhirServer(url), example)
        yield url


@pytest.fixture(scope="session")
def service_url(fhir_server: str, logs: Path, ledger_url: str) -> Iterator[str]:
    """The base URL of the service, run as `therapy-cds serve` runs it, beside that FHIR server."""
    port = free_port()
    with start_service(port, fhir_server, logs, {"THERAPY_CDS_DATABASE_URL": ledger_url}) as service:
        service.wait_until_ready()
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def sandbox_url(service_url: str, fhir_server: str, examples: tuple[Example, ...]) -> Iterator[str]:
    """The address of the sandbox's page, between the service and the FHIR server."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(serving_page(Stack(service_url, fhir_server, examples)))
