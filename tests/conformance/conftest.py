"""The application that the standards are held against."""

from __future__ import annotations

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
