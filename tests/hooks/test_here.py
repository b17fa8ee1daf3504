"""This machine itself, in development: not whoever comes through a proxy, nor any web page that is open on it."""

from __future__ import annotations

import logging

import pytest
from flask import Flask

from hooks.app import create_app
from hooks.settings import Settings
from tests.hooks.calls import ORIGIN, URL, post, refused, request
from tests.hooks.signed_calls import reason, told_nothing

NETWORK = "172.28.5.0/24"
CONTAINER = {"REMOTE_ADDR": "172.28.5.1"}


@pytest.fixture(scope="module")
def named() -> Flask:
    """A development service with a public name and a trusted network."""
    return create_app(
        Settings.from_environment(
            {"THERAPY_CDS_BASE_URL": "https://Demo.example.org/cds", "THERAPY_CDS_TRUSTED_NETWORKS": NETWORK}
        )
    )


@pytest.mark.parametrize(
    "name", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via"]
)
def test_a_call_needs_a_token_when_a_proxy_on_this_machine_hands_it_on(
    app: Flask, named: Flask, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        told_nothing(app.test_client().get("/cds-services", headers={name: "203.0.113.9", "Origin": ORIGIN}))
    assert reason(caplog) == "forwarded (client unknown, kid -)"
    handed_on = named.test_client().get("/cds-services", headers={name: "203.0.113.9"}, environ_base=CONTAINER)
    assert handed_on.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.168.1.7",
        "[::2]",
        "[",
    ],
)
def test_a_call_needs_a_token_when_it_names_another_host(
    app: Flask, named: Flask, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        told_nothing(app.test_client().get("/cds-services", headers={"Host": host, "Origin": ORIGIN}))
    assert reason(caplog) == "foreign-host (client unknown, kid -)"
    inside = named.test_client().get("/cds-services", headers={"Host": "therapy-cds:8000"}, environ_base=CONTAINER)
    assert inside.status_code == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.0.0.5", "[::1]:8000", "demo.example.org"]
)
def test_a_call_is_answered_when_it_names_this_machine_or_the_public_address(named: Flask, host: str) -> None:
    assert named.test_client().get("/cds-services", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "Text/Plain; charset=utf-8", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_post_is_refused_when_a_page_could_send_it_without_asking(app: Flask, kind: str) -> None:
    client = app.test_client()
    kinds = {"Content-Type": kind} if kind else {}
    sent = client.post(URL, data=b"{}", headers={"Origin": ORIGIN} | kinds)
    assert refused(sent, 415)["code"] == "not-supported"
    assert client.post(URL, data=b"{}", headers=kinds).status_code == 400  # no page: the body is what is wrong


def test_a_page_is_answered_when_it_sends_json(app: Flask) -> None:
    assert post(app.test_client(), request()).status_code == 200
