"""Who calls: a client's signed token (CDS Hooks 2.0.1 and 3.0, Trusting CDS Clients), or, in development, this machine.

Whoever is refused learns nothing of why: 401 and always the same body. The reason is in the log, as a code, with the
name of the client where the issuer is a known one; no token, and nothing else of its claims, is ever logged.
"""

from __future__ import annotations

import base64
import logging
import re
import time
from collections.abc import Callable, Iterable
from math import ceil
from typing import TYPE_CHECKING, TypeVar

import jwt
import msgspec
import requests
from flask import Response, current_app, g, jsonify, request

from hooks.client_keys import PublicKey, RemoteKeys, fetch_jwks
from hooks.clients import Client, Registration
from hooks.errors import operation_outcome
from hooks.here import is_forwarded, is_from_a_page, is_named_here
from hooks.seen_tokens import SeenTokens
from hooks.settings import LOOPBACK, Settings

if TYPE_CHECKING:
    from hooks.app import Deployment

log = logging.getLogger(__name__)
SKEW_SECONDS = 60
MAX_TOKEN = 8192
DEVELOPMENT = Client("development")
OPERATOR = Client("operator")
# Open to everybody: the one tells nothing but that the service is up, the other has sessions of its own.
OPEN_BLUEPRINTS = frozenset(("health", "smart"))
# For operators: open to this machine, in production too.
LOCAL_ENDPOINTS = frozenset(("metrics",))
_OPTIONS = {"require": ["iss", "aud", "exp", "iat", "jti"], "verify_sub": False}
_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.InvalidSignatureError, "bad-signature"),
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "not-valid-yet"),
    (jwt.InvalidAudienceError, "wrong-audience"),
)
T = TypeVar("T")


class Refused(Exception):
    """A token that is not accepted. The reason is a code for the log, and for nobody else."""

    def __init__(self, reason: str, client: Client | None = None, kid: str = "") -> None:
        """`client` where the issuer is known; `kid` as the token has it."""
        super().__init__(reason)
        self.reason = reason
        self.client = client
        self.kid = kid


class UnknownIssuer(Refused):
    """A token of nobody who is in the file of clients."""


class _Header(msgspec.Struct):
    alg: str
    kid: str = ""
    typ: str = ""
    jku: str = ""


class _Issuer(msgspec.Struct):
    iss: str


class _Claims(msgspec.Struct):
    aud: str | list[str]
    exp: float
    iat: float
    jti: str
    tenant: str | None = None


class Authenticator:
    """Knows the clients of a deployment by their tokens. Safe to use from several threads."""

    def __init__(
        self,
        clients: Iterable[Registration],
        base_url: str,
        session: requests.Session,
        seen: SeenTokens,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`base_url` is the public one; keys are fetched with `session`, and `now` is the clock of their ages."""
        self._clients = {each.client.iss: each for each in clients}
        self._base_url = base_url.rstrip("/")
        self._seen = seen
        addresses = {url for each in self._clients.values() for url in each.jku}
        self._remote = {url: RemoteKeys(url, lambda at: fetch_jwks(session, at), now) for url in addresses}

    @property
    def knows_clients(self) -> bool:
        """Whether there is anybody whose tokens could be checked."""
        return bool(self._clients)

    def client_of(self, token: str, path: str) -> Client:
        """Whose token this is, for a call of this path below the base URL.

        UnknownIssuer or Refused where it is not accepted; TechnicalError where used tokens cannot be looked up.
        """
        header, issuer = _opened(token)
        entry = self._clients.get(issuer)
        if entry is None:
            raise UnknownIssuer("unknown-issuer")
        try:
            self._check(entry, header, token, path)
        except Refused as refusal:
            raise Refused(refusal.reason, entry.client, header.kid) from None
        return entry.client

    def _check(self, entry: Registration, header: _Header, token: str, path: str) -> None:
        # In this order: nothing is looked up, let alone fetched, for a token that could never be right.
        if header.alg not in entry.algorithms:
            raise Refused("algorithm")
        if header.typ.upper() != "JWT" and not entry.is_lenient:
            raise Refused("no-typ")
        if not header.kid and not entry.is_lenient:
            raise Refused("no-kid")
        key = self._key(entry, header)
        url = self._base_url + path.rstrip("/")
        claims = _verified(token, key, header.alg, entry, (url, f"{url}/"))
        if claims.exp - claims.iat > entry.max_age_seconds:
            raise Refused("lives-too-long")
        if entry.tenants and claims.tenant not in entry.tenants:
            raise Refused("tenant")
        until = ceil(claims.exp) + SKEW_SECONDS
        if not entry.reuses_tokens and not self._seen.first_time(entry.client.iss, claims.jti, until):
            raise Refused("used-before")

    def _key(self, entry: Registration, header: _Header) -> PublicKey:
        """The one key by which a token says that it is signed; a `jku` is only asked where the entry names it."""
        if header.jku and entry.jku and header.jku not in entry.jku:
            raise Refused("foreign-jku")
        found = [key for key in entry.keys if header.kid in ("", key.kid)]
        if not found and entry.jku:
            places = (header.jku,) if header.jku else entry.jku
            found = next((list(keys) for url in places if (keys := self._remote[url].find(header.kid))), [])
        if not found:
            raise Refused("unknown-kid")
        fitting = [key for key in found if key.fits(header.alg)]
        if len(fitting) != 1:
            raise Refused("several-keys" if fitting else "wrong-key")
        return fitting[0]


def _opened(token: str) -> tuple[_Header, str]:
    """The header and the issuer of a token that nobody has checked yet."""
    try:
        if len(token) > MAX_TOKEN:
            raise ValueError
        header, claims, _ = token.split(".")
        return _decoded(header, _Header), _decoded(claims, _Issuer).iss
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, as are those of base64
        raise Refused("not-a-token") from None


def _decoded(part: str, kind: type[T]) -> T:
    return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), type=kind)


def _verified(token: str, key: PublicKey, algorithm: str, entry: Registration, urls: tuple[str, ...]) -> _Claims:
    """The claims of a token whose signature, issuer, audience and times are right."""
    try:
        payload = jwt.decode(
            token,
            key.key,
            algorithms=[algorithm],
            options=_OPTIONS,  # type: ignore[arg-type]
            audience=(*urls, *entry.audiences),
            issuer=entry.client.iss,
            leeway=SKEW_SECONDS,
        )
        claims = msgspec.convert(payload, _Claims)
    except jwt.PyJWTError as problem:
        raise Refused(next((code for kind, code in _REASONS if isinstance(problem, kind)), "bad-claims")) from None
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise Refused("bad-claims") from None
    if not claims.jti:
        raise Refused("bad-claims")
    return claims


# ---------------------------------------------------------------------------------------------- in Flask


def only_known_callers() -> tuple[Response, int, dict[str, str]] | None:
    """Before each request: `g.client` is who calls, or the answer is 401.

    Preflight requests carry no token (Fetch standard, CORS protocol), so they need none.
    """
    if request.method == "OPTIONS" or request.blueprint in OPEN_BLUEPRINTS:
        return None
    deployment: Deployment = current_app.extensions["therapy-cds"]
    try:
        g.client = _caller(deployment)
    except Refused as refusal:
        name = refusal.client.name if refusal.client else "unknown"
        log.warning("refused a call: %s (client %s, kid %s)", refusal.reason, name, _harmless(refusal.kid))
        outcome = operation_outcome("login", "This service does not know the caller")
        return jsonify(outcome), 401, {"WWW-Authenticate": "Bearer"}
    if g.client is DEVELOPMENT and is_from_a_page(request.method, request.headers, request.mimetype):
        text = "A web page must send JSON: Content-Type application/json"
        return jsonify(operation_outcome("not-supported", text, "http.Content-Type")), 415, {}
    return None


def _caller(deployment: Deployment) -> Client:
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    has_token = scheme.lower() == "bearer"
    doubt = _doubt(deployment.settings)
    if not doubt and not (has_token and deployment.callers.knows_clients):
        return OPERATOR if deployment.settings.is_production else DEVELOPMENT
    if not has_token:
        raise Refused(doubt)
    try:
        return deployment.callers.client_of(token.strip(), request.path)
    except UnknownIssuer:
        if doubt:
            raise
        # Sandboxes send tokens that they made for themselves.
        log.info("let a call from a trusted address through, though nobody knows the issuer of its token")
        return DEVELOPMENT


def _doubt(settings: Settings) -> str:
    """Why this call needs a token, as a code; empty where it needs none, as in development from this machine."""
    address = request.remote_addr or ""
    if settings.is_production:
        # Behind a proxy on this machine everybody seems to be here.
        is_here = address in LOOPBACK and not is_forwarded(request.headers) and is_named_here(request.host)
        return "" if is_here and request.endpoint in LOCAL_ENDPOINTS else "no-token"
    if settings.is_in_trusted_network(address):
        return ""
    if not settings.trusts(address):
        return "no-token"
    if is_forwarded(request.headers):
        return "forwarded"
    return "" if is_named_here(request.host, settings.base_url) else "foreign-host"


def _harmless(kid: str) -> str:
    """A key id as it may stand in a log: short, on one line.

    >>> _harmless("key 1"), _harmless("")
    ('key?1', '-')
    """
    return re.sub(r"[^\w.:/+=-]", "?", kid[:64], flags=re.ASCII) or "-"
