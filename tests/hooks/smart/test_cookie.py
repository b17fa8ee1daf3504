"""The cookie: as it has to be in an EHR's frame, and of no use when it was changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask, Request, Response
from werkzeug.http import parse_cookie
from werkzeug.test import EnvironBuilder

from hooks.smart.cookie import BrowserCookie, new_browser
from hooks.smart.keys import Keys


def set_by(cookie: BrowserCookie, browser: str) -> str:
    response = Response()
    with Flask("test").app_context():
        cookie.write(response, browser)
    return response.headers["Set-Cookie"]


def sent(header: str) -> Request:
    return Request(EnvironBuilder(headers=[("Cookie", header)]).get_environ())


def test_it_works_in_a_frame_when_the_service_is_reached_by_https(keys_folder: Path) -> None:
    header = set_by(BrowserCookie(Keys(keys_folder), "https://cds.example.org"), new_browser())
    parts = {part.strip() for part in header.split(";")[1:]}
    assert header.startswith("__Host-therapy-cds=")
    assert parts == {"Secure", "HttpOnly", "Path=/", "SameSite=None", "Partitioned"}


def test_it_stays_within_the_site_when_the_service_is_on_this_machine(keys_folder: Path) -> None:
    header = set_by(BrowserCookie(Keys(keys_folder), "http://127.0.0.1:8000"), new_browser())
    assert {part.strip() for part in header.split(";")[1:]} == {"HttpOnly", "Path=/", "SameSite=Lax"}


def test_the_browser_is_known_again_when_it_sends_the_cookie(keys_folder: Path) -> None:
    cookie = BrowserCookie(Keys(keys_folder), "http://127.0.0.1:8000")
    browser = new_browser()
    header = set_by(cookie, browser).split(";")[0]
    assert cookie.read(sent(header)) == browser


@pytest.mark.parametrize("change", ["{}x", "x{}", "", "{}" * 9])
def test_the_browser_is_not_known_when_the_cookie_was_changed(keys_folder: Path, change: str) -> None:
    cookie = BrowserCookie(Keys(keys_folder), "http://127.0.0.1:8000")
    value = parse_cookie(set_by(cookie, new_browser()).split(";")[0])["therapy-cds"]
    assert cookie.read(sent(f"therapy-cds={change.format(value, *[value] * 9)}")) is None
