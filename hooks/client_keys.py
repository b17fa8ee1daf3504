"""Clients' public keys: read from a JWKS (RFC 7517), fetched from where a client's entry says, kept, and rotated.

An address is asked only because the operator wrote it down, never because a token names it. It is asked again when
a key is not there, seldom enough that made-up key ids cannot make the service hammer an EHR; what was fetched stays
in use for a day while the address does not answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
import msgspec
import requests
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

log = logging.getLogger(__name__)
CONNECT_SECONDS = 1.5
FETCH_SECONDS = 2.0
MAX_BYTES = 256 * 1024
FRESH_SECONDS = 600.0
AGAIN_SECONDS = 30.0
FAILED_SECONDS = 5.0
STALE_SECONDS = 86_400.0
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
# Shorter keys are weak; longer ones are there only to make each check dear.
_RSA_BITS = range(2048, 8193)


class UnusableKeys(Exception):
    """No keys can be had. The message names no address, and quotes nothing of what was sent."""


@dataclass(frozen=True)
class PublicKey:
    """One public key: its id ("" without one), and the one algorithm that its owner gave it ("" for any)."""

    kid: str
    key: RSAPublicKey | EllipticCurvePublicKey = field(repr=False)
    algorithm: str = ""

    def fits(self, algorithm: str) -> bool:
        """Whether signatures of this algorithm (RFC 7518, 3.1) can be checked with it."""
        if self.algorithm not in ("", algorithm):
            return False
        if isinstance(self.key, RSAPublicKey):
            return algorithm[:2] in ("RS", "PS")
        return self.key.curve.name == _CURVES.get(algorithm)


def read_jwks(document: object) -> tuple[PublicKey, ...]:
    """The usable keys of a JWKS; UnusableKeys where there is none.

    A bare list of keys is taken too, since some test tools publish that. Keys for other uses or of other kinds, too
    short ones, and private ones (whoever can read those can sign) are left out.
    """
    listed = document.get("keys") if isinstance(document, dict) else document
    if not isinstance(listed, list):
        raise UnusableKeys("it is no JWKS")
    found = tuple(key for key in map(_key, listed) if key is not None)
    if not found:
        raise UnusableKeys("it holds no public RSA or EC key for signatures")
    return found


def _key(entry: object) -> PublicKey | None:
    if not isinstance(entry, dict) or entry.get("kty") not in ("RSA", "EC") or "d" in entry:
        return None
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    kid, algorithm = entry.get("kid", ""), entry.get("alg", "")
    if not isinstance(kid, str) or not isinstance(algorithm, str):
        return None
    try:
        # Without `alg`: it says what the owner signs with, and must not decide how the key is read.
        key = jwt.PyJWK({name: value for name, value in entry.items() if name != "alg"}).key
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        return None
    if isinstance(key, EllipticCurvePublicKey) or (isinstance(key, RSAPublicKey) and key.key_size in _RSA_BITS):
        return PublicKey(kid, key, algorithm)
    return None


def fetch_jwks(session: requests.Session, url: str) -> tuple[PublicKey, ...]:
    """The keys at an address of a client's entry; UnusableKeys where they do not come whole and in time.

    `session` is the pooled one: its connections lead only where they may, and its read time-out is for a whole answer.
    Redirects are not followed.
    """
    try:
        with session.get(
            url,
            headers={"Accept": "application/jwk-set+json, application/json"},
            timeout=(CONNECT_SECONDS, FETCH_SECONDS),
            allow_redirects=False,
            stream=True,
        ) as response:
            if response.status_code != 200:
                raise UnusableKeys(f"it answered {response.status_code}")
            return read_jwks(_parsed(_body(response)))
    except requests.RequestException as problem:
        # The class only: a message may quote what the other side sent.
        raise UnusableKeys(f"it could not be read ({type(problem).__name__})") from None


def _body(response: requests.Response) -> bytes:
    body = b""
    for piece in response.iter_content(16384):
        body += piece
        if len(body) > MAX_BYTES:
            raise UnusableKeys(f"it is larger than {MAX_BYTES // 1024} KiB")
    return body


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnusableKeys("it is no JSON") from None


class RemoteKeys:
    """The keys at one address, as one worker keeps them. Safe to use from several threads."""

    def __init__(
        self, url: str, fetch: Callable[[str], tuple[PublicKey, ...]], now: Callable[[], float] = time.monotonic
    ) -> None:
        """`fetch` gives the keys at an address or raises UnusableKeys; `now` is a clock in seconds."""
        self.url = url
        self._fetch = fetch
        self._now = now
        self._lock = threading.Lock()
        self._keys: tuple[PublicKey, ...] = ()
        self._fetched = self._next = float("-inf")

    def find(self, kid: str) -> tuple[PublicKey, ...]:
        """The keys of this id (all of them for ""), asking the address where that may tell more."""
        found = self._held(kid)
        if not found or self._now() - self._fetched > FRESH_SECONDS:
            self._renew(wait=not found)
            found = self._held(kid)
        return found

    def _held(self, kid: str) -> tuple[PublicKey, ...]:
        if self._now() - self._fetched > STALE_SECONDS:
            return ()
        return tuple(key for key in self._keys if kid in ("", key.kid))

    def _renew(self, *, wait: bool) -> None:
        """Fetch, unless that was tried a moment ago; a call that has a key does not wait for another's fetch."""
        if not self._lock.acquire(blocking=wait, timeout=CONNECT_SECONDS + FETCH_SECONDS if wait else -1):
            return
        try:
            if self._now() < self._next:
                return
            try:
                self._keys = self._fetch(self.url)
                self._fetched = self._now()
            except UnusableKeys as problem:
                log.warning("no new keys from %s: %s", self.url, problem)
            # Without any key every call is refused, so the address is then tried again sooner.
            self._next = self._now() + (AGAIN_SECONDS if self._held("") else FAILED_SECONDS)
        finally:
            self._lock.release()
