"""The sandbox as an EHR that launches the app: a small SMART authorization server, and the FHIR server behind it.

It is for trying out: its one user is signed in, and says yes to everything. What an EHR checks of an app it does check
(SMART App Launch 2.2, app-launch.md): client, redirect URL, `aud`, PKCE S256, codes that are good once. Its FHIR base
URL is one of its own, since the FHIR server behind it knows nothing of launches; whoever brings a token is passed on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Blueprint, Response, current_app, jsonify, redirect, request
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeTimedSerializer

from hooks.sandbox.ehr import SANDBOX_USER
from hooks.sandbox.errors import InputError
from hooks.sandbox.http import ANSWER_SECONDS, CONNECT_SECONDS, session_for

Json = dict[str, Any]
CLIENT = "therapy-cds-sandbox"
SCOPES = (
    "launch openid fhirUser patient/Patient.r patient/Encounter.rs patient/Observation.crs "
    "patient/QuestionnaireResponse.crs patient/DocumentReference.crs"
)
LAUNCH_SECONDS, CODE_SECONDS, TOKEN_SECONDS = 12 * 3600, 60, 3600
_KEY_ID = "sandbox"
_PASSED_ON = ("Accept", "Content-Type", "Prefer", "If-Match", "If-None-Exist")
_PASSED_BACK = ("Content-Type", "ETag", "Last-Modified")
pages = Blueprint("sandbox_smart", __name__, url_prefix="/fhir")


class SmartEhr:
    """What the sandbox knows as an EHR. Launches, codes and tokens are signed texts: nothing is kept but used codes."""

    def __init__(self, iss: str, service_url: str, fhir_url: str) -> None:
        """`iss` is the sandbox's FHIR base URL, `fhir_url` the server behind it, `service_url` where the app is."""
        self.iss = iss
        self.fhir_url = fhir_url
        self._launch_url = f"{service_url}/smart/launch"
        self._redirect_url = f"{service_url}/smart/callback"
        self._signed = URLSafeTimedSerializer(secrets.token_urlsafe(32))
        self._key = ec.generate_private_key(ec.SECP384R1())
        self._used: set[str] = set()
        self._lock = threading.Lock()

    def address_of(self, link: Mapping[str, Any], patient: str) -> str:
        """Where a card's link leads for a patient: the app, launched; "" where it is another app, or no such link."""
        if link.get("type") != "smart" or link.get("url") != self._launch_url:
            return ""
        context = {"patient": patient, "appContext": link.get("appContext")}
        return f"{self._launch_url}?{urlencode({'iss': self.iss, 'launch': self._signed.dumps(context, 'launch')})}"

    def authorize(self, asked: Mapping[str, str]) -> str:
        """Where the browser goes on to, with a code.

        Raises:
            InputError: another client, or one that does not ask as it must; nobody is sent anywhere then.
        """
        wanted = {
            "client_id": CLIENT, "redirect_uri": self._redirect_url, "aud": self.iss, "response_type": "code",
            "code_challenge_method": "S256",
        }  # fmt: skip
        for name, value in wanted.items():
            if asked.get(name) != value:
                raise InputError(f"{name}: {value} is wanted")
        context = self._opened(asked.get("launch", ""), "launch", LAUNCH_SECONDS)
        kept = {name: asked.get(name, "") for name in ("code_challenge", "scope", "nonce")}
        code = self._signed.dumps(context | kept | {"id": secrets.token_urlsafe(8)}, "code")
        return f"{self._redirect_url}?{urlencode({'code': code, 'state': asked.get('state', '')})}"

    def token(self, form: Mapping[str, str]) -> Json:
        """The token response for a code.

        Raises:
            InputError: the code is not good (any more), or another one's.
        """
        if form.get("grant_type") != "authorization_code" or form.get("client_id") != CLIENT:
            raise InputError("another client, or another grant")
        code = form.get("code", "")
        kept = self._opened(code, "code", CODE_SECONDS)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != kept["code_challenge"]:
            raise InputError("the verifier is not that of the challenge")
        with self._lock:
            if kept["id"] in self._used:
                raise InputError("the code was used before")
            self._used.add(kept["id"])
        given = {
            "access_token": self._signed.dumps({"patient": kept["patient"]}, "token"),
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": kept["scope"],
            "id_token": self._id_token(kept["nonce"]),
            "patient": kept["patient"],
            "need_patient_banner": True,
            "appContext": kept["appContext"],
        }
        return {name: value for name, value in given.items() if value is not None}

    def lets_in(self, authorization: str) -> bool:
        """Whether a request to the FHIR server carries a token of this EHR."""
        try:
            self._opened(authorization.removeprefix("Bearer "), "token", TOKEN_SECONDS)
        except InputError:
            return False
        return True

    def keys(self) -> Json:
        """The key of its id_tokens, as a JWKS."""
        key = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": _KEY_ID, "use": "sig", "alg": "ES384"}]}

    def _id_token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {"iss": self.iss, "aud": CLIENT, "sub": "sandbox", "iat": now, "exp": now + 300, "nonce": nonce}
        return jwt.encode(claims | {"fhirUser": SANDBOX_USER}, self._key, "ES384", {"kid": _KEY_ID})

    def _opened(self, text: str, kind: str, seconds: int) -> Json:
        try:
            found: Json = self._signed.loads(text, seconds, salt=kind)
        except BadSignature:
            raise InputError(f"this {kind} was not made here, or is too old") from None
        return found


def write_servers(path: Path, iss: str, fhir_urls: Sequence[str]) -> Path:
    """Write the file by which the service knows this EHR (THERAPY_CDS_SMART_SERVERS, docs/smart.md)."""
    entry = {
        "name": "Sandbox EHR", "iss": iss, "client_id": CLIENT, "method": "public", "scopes": SCOPES,
        "fhir_servers": list(fhir_urls),
    }  # fmt: skip
    path.write_text(json.dumps({"servers": [entry]}, indent=1), encoding="utf-8")
    return path


# ------------------------------------------------------------------------------------------------ the addresses


def _ehr() -> SmartEhr:
    found: SmartEhr = current_app.extensions["smart-ehr"]
    return found


@pages.get("/.well-known/smart-configuration")
def smart_configuration() -> Response:
    """Say where to ask (SMART App Launch 2.2, conformance.md)."""
    iss = _ehr().iss
    return jsonify(
        issuer=iss,
        jwks_uri=f"{iss}/auth/jwks",
        authorization_endpoint=f"{iss}/auth/authorize",
        token_endpoint=f"{iss}/auth/token",
        grant_types_supported=["authorization_code"],
        code_challenge_methods_supported=["S256"],
        capabilities=["launch-ehr", "client-public", "sso-openid-connect", "context-ehr-patient", "permission-v2"],
    )


@pages.get("/.well-known/openid-configuration")
def openid_configuration() -> Response:
    """Say where the key of the id_tokens is (OpenID Connect Discovery 1.0)."""
    iss = _ehr().iss
    return jsonify(issuer=iss, jwks_uri=f"{iss}/auth/jwks")


@pages.get("/auth/jwks")
def jwks() -> Response:
    """The key of the id_tokens."""
    return jsonify(_ehr().keys())


@pages.get("/auth/authorize")
def authorize() -> ResponseReturnValue:
    """Say yes, and send the browser back to the app."""
    return redirect(_ehr().authorize(request.args.to_dict()), 302)


@pages.post("/auth/token")
def token() -> ResponseReturnValue:
    """Give a token for a code."""
    try:
        return jsonify(_ehr().token(request.form.to_dict()))
    except InputError as problem:
        return jsonify(error="invalid_grant", error_description=str(problem)), 400


@pages.route("/<path:path>", methods=["GET", "POST", "PUT"])
def pass_on(path: str) -> ResponseReturnValue:
    """Ask the FHIR server behind, for whoever brings a token."""
    ehr = _ehr()
    if not ehr.lets_in(request.headers.get("Authorization", "")):
        return jsonify(resourceType="OperationOutcome", issue=[{"severity": "error", "code": "login"}]), 401
    url = f"{ehr.fhir_url}/{path}"
    headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
    with session_for(url) as session:
        try:
            answer = session.request(
                request.method, url, params=request.args.to_dict(flat=False), data=request.get_data(),
                headers=headers, timeout=(CONNECT_SECONDS, ANSWER_SECONDS), allow_redirects=False,
            )  # fmt: skip
        except requests.RequestException:
            return jsonify(resourceType="OperationOutcome", issue=[{"severity": "error", "code": "transient"}]), 502
    response = Response(answer.content, answer.status_code)
    for name in _PASSED_BACK:
        if name in answer.headers:
            response.headers[name] = answer.headers[name]
    if "Location" in answer.headers:
        response.headers["Location"] = answer.headers["Location"].replace(ehr.fhir_url, ehr.iss, 1)
    return response
