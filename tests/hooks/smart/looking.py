"""What tests of the app look at: addresses, refusals, and the browser's cookie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from tests.hooks.smart.conftest import Place
from tests.hooks.smart.ehr import ACCESS, REFRESH

Json = dict[str, Any]
Maker = Callable[..., Place]
SECRETS = (ACCESS, REFRESH, "code=", "<script>", "Traceback")


def query_of(url: str) -> Json:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def refused(answer: requests.Response, status: int, words: str) -> None:
    """A page that says what happened and what to do, and holds no secret."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("text/html")
    assert words in answer.text
    assert not answer.is_redirect
    assert not [secret for secret in SECRETS if secret in answer.text]


def browser_of(place: Place) -> str:
    """The id that the browser's cookie holds."""
    value = place.browser.cookies["therapy-cds"]
    return value.rpartition(".")[0]
