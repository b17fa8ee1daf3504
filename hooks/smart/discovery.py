"""What an EHR says of itself: its SMART configuration, and where its OpenID provider keeps its keys.

Asked only of an EHR of the file, within a time, without redirects, and kept for ten minutes.
(SMART App Launch 2.2, conformance.md, Using Well-Known; OpenID Connect Discovery 1.0, 4.)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin

import msgspec
import requests

from hooks.client_keys import PublicKey, RemoteKeys, fetch_jwks
from hooks.smart.errors import EhrFailed
from hooks.smart.registration import is_safe

CONNECT_SECONDS = 1.5
FETCH_SECONDS = 4.0
MAX_BYTES = 256 * 1024
FRESH_SECONDS = 600.0
_AGAIN = "Open it again from the patient's chart; if it lasts, tell your EHR's support"
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Configuration:
    """Where an EHR's authorization server is. `issuer` is that of its id_tokens, "" where it signs nobody in."""

    authorization_endpoint: str
    token_endpoint: str
    issuer: str = ""


class _Smart(msgspec.Struct):
    authorization_endpoint: str
    token_endpoint: str
    issuer: str = ""
    code_challenge_methods_supported: list[str] = []


class _OpenId(msgspec.Struct):
    issuer: str
    jwks_uri: str


class Discovery:
    """Asks EHRs, and remembers for one worker. Safe to share between threads."""

    def __init__(self, session: requests.Session, *, production: bool) -> None:
        """`session` is the pooled one, whose connections lead only where they may."""
        self._session = session
        self._production = production
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._keys: dict[str, RemoteKeys] = {}

    def configuration(self, iss: str) -> Configuration:
        """The configuration of an EHR; EhrFailed where it cannot be had, or the app cannot be launched safely by it."""
        what = "SMART configuration"

        def usable(found: _Smart) -> Configuration:
            if "S256" not in found.code_challenge_methods_supported:
                raise EhrFailed(
                    "The EHR does not offer PKCE with S256, without which a stolen code could be used",
                    remedy="The EHR's operator has to switch it on (SMART App Launch 2.2)",
                )
            # Relative addresses count from the FHIR base.
            places = [urljoin(f"{iss}/", url) for url in (found.authorization_endpoint, found.token_endpoint)]
            for url in places:
                self._check(url, what)
            return Configuration(places[0], places[1], found.issuer)

        return self._document(f"{iss}/.well-known/smart-configuration", _Smart, what, usable)

    def keys(self, issuer: str, kid: str) -> tuple[PublicKey, ...]:
        """The keys of this id by which an issuer signs (all for ""); EhrFailed where it does not say where they are."""
        what = "OpenID configuration"

        def usable(found: _OpenId) -> str:
            if found.issuer != issuer:
                raise EhrFailed(f"The EHR's {what} is of another issuer", remedy=_AGAIN)
            place = urljoin(f"{issuer.rstrip('/')}/", found.jwks_uri)
            self._check(place, what)
            return place

        url = self._document(f"{issuer.rstrip('/')}/.well-known/openid-configuration", _OpenId, what, usable)
        with self._lock:
            remote = self._keys.setdefault(url, RemoteKeys(url, lambda at: fetch_jwks(self._session, at)))
        return remote.find(kid)

    def _check(self, url: str, what: str) -> None:
        if not is_safe(url, production=self._production):
            raise EhrFailed(f"The EHR's {what} names an address that is not safe to use", remedy=_AGAIN)

    def _document(self, url: str, kind: type[T], what: str, usable: Callable[[T], U]) -> U:
        """What `usable` makes of a document, which is kept only where that succeeds."""
        self._check(url, what)
        with self._lock:
            until, body = self._kept.get(url, (0.0, b""))
        if time.monotonic() >= until:
            body = self._fetch(url, what)
        try:
            decoded = msgspec.json.decode(body, type=kind)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            raise EhrFailed(f"The EHR's {what} cannot be read", remedy=_AGAIN) from None
        found = usable(decoded)
        with self._lock:
            if time.monotonic() >= until:
                self._kept[url] = (time.monotonic() + FRESH_SECONDS, body)
        return found

    def _fetch(self, url: str, what: str) -> bytes:
        try:
            with self._session.get(
                url,
                headers={"Accept": "application/json"},
                timeout=(CONNECT_SECONDS, FETCH_SECONDS),
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code != 200:
                    raise EhrFailed(f"The EHR's {what} could not be had ({response.status_code})", remedy=_AGAIN)
                return whole_body(response)
        except requests.RequestException as problem:
            # The class only: a message may quote what the other side sent.
            raise EhrFailed(f"The EHR's {what} could not be had ({type(problem).__name__})", remedy=_AGAIN) from None


def whole_body(response: requests.Response) -> bytes:
    """The body of an answer that was asked for as a stream; EhrFailed where it is larger than any honest one."""
    body = b""
    for piece in response.iter_content(16384):
        body += piece
        if len(body) > MAX_BYTES:
            raise EhrFailed(f"The EHR's answer is larger than {MAX_BYTES // 1024} KiB", remedy=_AGAIN)
    return body
