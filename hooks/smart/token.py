"""Tokens: asked for with a code or a refresh token, by Authlib; what comes back is read, and never shown or logged.

SMART App Launch 2.2, app-launch.md, Obtain access token and Refresh access token; client-confidential-asymmetric.md.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from uuid import uuid4

import jwt
import msgspec
import requests
from authlib.common.urls import add_params_to_qs
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.auth import ClientAuth

from hooks.smart.discovery import whole_body
from hooks.smart.errors import EhrFailed, LaunchRefused
from hooks.smart.keys import Keys
from hooks.smart.registration import PUBLIC, Ehr

log = logging.getLogger(__name__)
CONNECT_SECONDS = 1.5
TOKEN_SECONDS = 10.0
ASSERTION_SECONDS = 240
DEFAULT_LIFETIME = 3600
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_AGAIN = "Open it again from the patient's chart; if it lasts, tell your EHR's support"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_OPAQUE = re.compile(r"[\x21-\x7e]{0,200}")


class Token(msgspec.Struct, rename={"app_context": "appContext"}):
    """A token response: what OAuth 2.0 (5.1) and SMART's launch context say it holds."""

    access_token: str
    token_type: str
    scope: str | None = None
    expires_in: float | None = None
    id_token: str | None = None
    refresh_token: str = ""
    patient: str = ""
    encounter: str = ""
    app_context: str = ""
    need_patient_banner: bool = True

    def __repr__(self) -> str:
        """Nothing of what it holds."""
        return "Token()"

    @property
    def lifetime(self) -> int:
        """Seconds that the access token lasts; an hour where the server does not say."""
        seconds = DEFAULT_LIFETIME if self.expires_in is None else self.expires_in
        return int(min(seconds, 86_400)) if seconds > 0 else 0  # what is no number is not above 0


class SignedAssertion:
    """Authlib's way to tell who asks: a signed assertion in the form (private_key_jwt), and no client_id beside it."""

    name = "private_key_jwt"

    def __init__(self, keys: Keys, algorithm: str, endpoint: str, jwks_url: str) -> None:
        """`endpoint` is the token endpoint, `jwks_url` where the public keys are published, as it was registered."""
        self._keys = keys
        self._endpoint = endpoint  # to the letter, which the address of a request need not be
        self._algorithm = algorithm
        self._jwks_url = jwks_url

    def __call__(
        self, auth: ClientAuth, method: str, uri: str, headers: Mapping[str, str], body: str
    ) -> tuple[str, Mapping[str, str], str]:
        """The request with a fresh assertion: for this endpoint, for one use, for four minutes."""
        now = int(time.time())
        claims = {"iss": auth.client_id, "sub": auth.client_id, "aud": self._endpoint, "iat": now, "jti": str(uuid4())}
        kid, key = self._keys.signing(self._algorithm)
        header = {"kid": kid, "jku": self._jwks_url}
        assertion = jwt.encode(claims | {"exp": now + ASSERTION_SECONDS}, key, self._algorithm, header)
        form = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)]
        return uri, headers, add_params_to_qs(body or "", form)


class TokenClient:
    """Speaks OAuth 2.0 with the EHRs of the file."""

    def __init__(self, session: requests.Session, keys: Keys, base_url: str) -> None:
        """`session` lends its connections, which lead only where they may."""
        self._lender = session
        self._keys = keys
        self.redirect_uri = f"{base_url}/smart/callback"
        self._jwks_url = f"{base_url}/smart/.well-known/jwks.json"

    def authorize_url(self, endpoint: str, ehr: Ehr, **parameters: str) -> str:
        """Where the EHR decides: with response_type, client_id, redirect_uri, PKCE S256, and what is given."""
        with self._session(ehr, endpoint) as session:
            url, _ = session.create_authorization_url(endpoint, **parameters)
            return url

    def redeem(self, endpoint: str, ehr: Ehr, code: str, verifier: str) -> Token:
        """The token for a code; EhrFailed where none comes."""
        return self._asked(endpoint, ehr, {"grant_type": "authorization_code", "code": code, "code_verifier": verifier})

    def refresh(self, endpoint: str, ehr: Ehr, refresh_token: str) -> Token:
        """A new token for a refresh token; EhrFailed where none comes."""
        return self._asked(endpoint, ehr, {"grant_type": "refresh_token", "refresh_token": refresh_token})

    def _asked(self, endpoint: str, ehr: Ehr, form: Mapping[str, str]) -> Token:
        try:
            with self._session(ehr, endpoint) as session:
                given = session.fetch_token(
                    endpoint,
                    timeout=(CONNECT_SECONDS, TOKEN_SECONDS),
                    allow_redirects=False,
                    stream=True,
                    **form,
                )
        except OAuthError as problem:
            # The code of RFC 6749, 5.2, and nothing of what the server says beside it.
            raise _failed(f"refused it ({_code(problem.error)})") from None
        except requests.HTTPError as problem:
            status = problem.response.status_code if problem.response is not None else "?"
            raise _failed(f"failed ({status})") from None
        except requests.RequestException as problem:
            raise _failed(f"could not be reached ({type(problem).__name__})") from None
        except (ValueError, RecursionError):
            raise _failed("answered with something that is no token") from None
        return _read(given)

    def _session(self, ehr: Ehr, endpoint: str) -> OAuth2Session:
        """A session for one exchange, on the shared connections: no cookies, no proxies, no netrc."""
        method = "none" if ehr.method == PUBLIC else SignedAssertion.name
        session = OAuth2Session(
            ehr.client_id,
            token_endpoint_auth_method=method,
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
        )
        assertion = SignedAssertion(self._keys, ehr.algorithm, endpoint, self._jwks_url)
        session.register_client_auth_method(assertion)
        session.register_compliance_hook("access_token_response", _bounded)
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Lent(self._lender.get_adapter(scheme)))
        return session


class _Lent(requests.adapters.BaseAdapter):
    """Another session's connections; they stay open when this session is closed."""

    def __init__(self, adapter: requests.adapters.BaseAdapter) -> None:
        super().__init__()
        self._adapter = adapter

    def send(self, *args: Any, **named: Any) -> requests.Response:  # noqa: ANN401 - as requests has it
        return self._adapter.send(*args, **named)

    def close(self) -> None:
        """Nothing: they are not ours."""


def _bounded(response: requests.Response) -> requests.Response:
    """The answer with its body read; EhrFailed where it is too large."""
    with response:
        response._content = whole_body(response)  # as requests keeps a body that was read
    return response


def _read(given: Mapping[str, Any]) -> Token:
    try:
        # Real servers write numbers and truth values as texts too, and null for what there is not.
        token = msgspec.convert(
            {name: value for name, value in given.items() if value is not None}, Token, strict=False
        )
    except (ValueError, RecursionError):
        raise _failed("answered with something that is no token") from None
    if token.token_type.lower() != "bearer" or not token.access_token:
        raise _failed("gave no bearer token")
    token.patient = token.patient.removeprefix("Patient/")
    token.encounter = token.encounter.removeprefix("Encounter/")
    if not all(_ID.fullmatch(value) for value in (token.patient, token.encounter) if value):
        raise LaunchRefused("The EHR named a patient or visit in a way that is no FHIR id", remedy=_AGAIN)
    if not _OPAQUE.fullmatch(token.app_context):
        raise LaunchRefused("The EHR sent a link that was not made here", remedy=_AGAIN)
    return token


def _code(error: object) -> str:
    """An OAuth error code as it may be shown and logged: its own alphabet, short.

    >>> _code("invalid_grant"), _code("<b>")
    ('invalid_grant', 'unknown')
    """
    return error if isinstance(error, str) and re.fullmatch(r"[a-z_]{1,40}", error) else "unknown"


def _failed(what: str) -> EhrFailed:
    log.warning("no token: the EHR's token endpoint %s", what)
    return EhrFailed(f"The EHR's token endpoint {what}", remedy=_AGAIN)
