"""The id_token: who the user is, if its signature, issuer, audience, times and nonce are right.

OpenID Connect Core 1.0, 3.1.3.7; SMART App Launch 2.2, scopes-and-launch-context.md,
Scopes for requesting identity data.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import jwt
import msgspec

from hooks.smart.discovery import Discovery
from hooks.smart.errors import LaunchRefused

log = logging.getLogger(__name__)
# RS256 is what OpenID providers must offer, the others what SMART names beside it; never `none`, never a shared secret.
ALGORITHMS = frozenset(("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"))
SKEW_SECONDS = 60
MAX_TOKEN = 16_384
_OPTIONS = {"require": ["iss", "sub", "aud", "exp", "iat"]}


@dataclass(frozen=True)
class Expected:
    """What an id_token has to say: from whom, for whom, and in answer to which request."""

    issuer: str
    client_id: str
    nonce: str


class _Claims(msgspec.Struct):
    aud: str | list[str]
    nonce: str = ""
    azp: str = ""
    fhirUser: str = ""  # noqa: N815 - SMART's own name
    profile: str = ""


def user_of(token: object, expected: Expected, discovery: Discovery) -> str:
    """The user's FHIR reference as the EHR gives it ("" where it names none).

    LaunchRefused where the token is not right: the reason is in the log as a code, and never what the token holds.
    EhrFailed where the issuer's keys cannot be had.
    """
    try:
        claims = _verified(token, expected, discovery)
    except _Wrong as wrong:
        log.warning("refused an id_token: %s", wrong)
        raise LaunchRefused(
            "What the EHR said about who you are could not be verified",
            remedy="Open it again from the patient's chart; if it lasts, tell your EHR's support",
        ) from None
    user = claims.fhirUser or claims.profile
    return user if len(user) <= 500 and user.isprintable() else ""


class _Wrong(Exception):
    """Why a token is not right, as a code for the log."""


def _verified(token: object, expected: Expected, discovery: Discovery) -> _Claims:
    if not isinstance(token, str) or len(token) > MAX_TOKEN:
        raise _Wrong("not-a-token")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, RecursionError):
        raise _Wrong("not-a-token") from None
    algorithm, kid = header.get("alg"), header.get("kid", "")
    if algorithm not in ALGORITHMS:
        raise _Wrong("algorithm")
    fitting = [key for key in discovery.keys(expected.issuer, str(kid)) if key.fits(algorithm)]
    if len(fitting) != 1:
        raise _Wrong("several-keys" if fitting else "unknown-key")
    try:
        payload = jwt.decode(
            token,
            fitting[0].key,
            algorithms=[algorithm],
            options=_OPTIONS,  # type: ignore[arg-type]
            audience=expected.client_id,
            issuer=expected.issuer,
            leeway=SKEW_SECONDS,
        )
        claims = msgspec.convert(payload, _Claims)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as problem:
        raise _Wrong(type(problem).__name__) from None
    if claims.nonce != expected.nonce:
        raise _Wrong("nonce")
    others = isinstance(claims.aud, list) and len(claims.aud) > 1
    if claims.azp != expected.client_id and (others or claims.azp):
        raise _Wrong("azp")
    return claims
