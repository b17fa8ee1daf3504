"""The application under test."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from hooks.app import create_app
from hooks.settings import Settings


@pytest.fixture(scope="session")
def app() -> Flask:
    """The application of a development machine."""
    return create_app(Settings())


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of that application, on loopback."""
    return app.test_client()


@pytest.fixture
def tampered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FlaskClient:
    """A client of an application with a ledger of its own: for answers that cannot come out again the same."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return create_app(Settings()).test_client()
