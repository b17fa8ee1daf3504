"""SMART Backend Services: the service's own access to a FHIR server, for what the caller's token does not give.

A token is asked for with a signed assertion (client_credentials, private_key_jwt), kept until shortly before it
expires, and sent to its own server only. Keys, assertions and tokens are in no repr, log or error.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode
from uuid import uuid4

import jwt
import msgspec
import requests
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from cds.ehr.asking import Request, ask
from cds.ehr.breaker import Breaker
from cds.ehr.failure import Deadline, Failed
from cds.ehr.origins import origin
from cds.model import EvidenceState

log = logging.getLogger(__name__)
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 240
EARLY_SECONDS = 30.0
DEFAULT_LIFETIME = 300.0
FAILED_SECONDS = 10.0


@dataclass(frozen=True)
class BackendClient:
    """What one FHIR server's operator registered for this service: one entry of the file of backend clients."""

    server: str
    client_id: str
    key: RSAPrivateKey | EllipticCurvePrivateKey = field(repr=False)
    algorithm: str = "RS384"
    scopes: str = "system/*.rs"
    key_id: str = ""
    token_endpoint: str = ""
    token_origins: tuple[str, ...] = ()

    def may_ask(self, endpoint: str) -> bool:
        """Whether assertions may be sent to this token endpoint: that of the file, or one on an allowed origin."""
        if self.token_endpoint:
            return endpoint == self.token_endpoint
        return origin(endpoint) in {origin(url) for url in (self.server, *self.token_origins)} - {origin("")}

    def assertion(self, endpoint: str) -> str:
        """A signed assertion, good for one use within a few minutes."""
        now = int(time.time())
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": endpoint, "jti": str(uuid4()), "iat": now}
        headers = {"kid": self.key_id} if self.key_id else None
        return jwt.encode(claims | {"exp": now + ASSERTION_SECONDS}, self.key, self.algorithm, headers)


class _Configuration(msgspec.Struct):
    token_endpoint: str


class _Token(msgspec.Struct):
    access_token: str
    token_type: str = "bearer"  # noqa: S105 - its kind, no secret
    expires_in: float | None = None


class BackendTokens:
    """The tokens of one server: at most one is fetched at a time, and a failure is remembered for a moment."""

    def __init__(self, session: requests.Session, client: BackendClient) -> None:
        """`session` is the pooled one, whose connections lead only where they may."""
        self._session = session
        self._client = client
        self._breaker = Breaker(f"the token endpoint of {client.server}")
        self._lock = threading.Lock()
        self._token: str | None = None
        self._until = 0.0
        self._endpoint = client.token_endpoint
        self._failure: Failed | None = None

    def __repr__(self) -> str:
        """The server only."""
        return f"BackendTokens({self._client.server})"

    def token(self, deadline: Deadline) -> str:
        """A token that is still good for a while; Failed where none can be had in time."""
        if not self._lock.acquire(timeout=max(deadline.left, 0.001)):
            raise Failed(EvidenceState.LATE, "the backend token did not come in time")
        try:
            if self._token and time.monotonic() < self._until:
                return self._token
            if self._failure and time.monotonic() < self._until:
                raise Failed(self._failure.state, self._failure.reason, status=self._failure.status)
            return self._fetch(deadline)
        finally:
            self._lock.release()

    def forget(self, token: str) -> None:
        """The server does not take this token any more."""
        with self._lock:
            if self._token == token:
                self._token = None

    def _fetch(self, deadline: Deadline) -> str:
        self._token = self._failure = None
        try:
            answer = self._request(deadline)
        except Failed as problem:
            # A call that had no time left says nothing of the next one.
            if problem.state is not EvidenceState.LATE:
                self._failure = Failed(problem.state, problem.reason, status=problem.status)
                self._until = time.monotonic() + FAILED_SECONDS
            log.warning("no backend token for %s: %s", self._client.server, problem.reason)
            raise
        lifetime = DEFAULT_LIFETIME if answer.expires_in is None else answer.expires_in
        self._until = time.monotonic() + max(lifetime - EARLY_SECONDS, lifetime / 2)
        self._token = answer.access_token
        return self._token

    def _request(self, deadline: Deadline) -> _Token:
        endpoint = self._endpoint or self._discover(deadline)
        form = urlencode(
            {
                "grant_type": "client_credentials",
                "scope": self._client.scopes,
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": self._client.assertion(endpoint),
            }
        )
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        body = self._ask(Request(endpoint, headers, form), deadline)
        try:
            token = msgspec.json.decode(body, type=_Token)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Failed(EvidenceState.FAILED, "the token endpoint's answer is no token") from None
        if token.token_type.lower() != "bearer" or not token.access_token:
            raise Failed(EvidenceState.FAILED, "the token endpoint gave no bearer token")
        return token

    def _discover(self, deadline: Deadline) -> str:
        """The token endpoint that the server names, where it may be asked."""
        url = f"{self._client.server}/.well-known/smart-configuration"
        body = self._ask(Request(url, {"Accept": "application/json"}), deadline)
        try:
            endpoint = msgspec.json.decode(body, type=_Configuration).token_endpoint
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Failed(EvidenceState.FAILED, "the FHIR server's SMART configuration cannot be read") from None
        if not self._client.may_ask(endpoint):
            reason = "the FHIR server names a token endpoint elsewhere that is not on the list of its entry"
            raise Failed(EvidenceState.FAILED, reason)
        self._endpoint = endpoint
        return endpoint

    def _ask(self, request: Request, deadline: Deadline) -> bytes:
        try:
            return ask(self._session, request, deadline, self._breaker)
        except Failed as problem:
            reason = problem.reason.replace("the FHIR server", "the token endpoint")
            raise Failed(problem.state, reason, status=problem.status) from None
