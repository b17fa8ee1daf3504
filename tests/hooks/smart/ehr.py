"""An EHR's authorization server as a real one over HTTP on loopback, with a switch for every fault.

It decides at once, as for a user who is signed in and says yes. It checks what a strict server checks, and keeps what
it was asked, so that tests can look at it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import requests

from tests.hooks.signing import by_hand, ec_key, jwk, jwks, pem, rsa_key

Json = dict[str, Any]
PATIENT, USER, CLIENT = "f000", "Practitioner/dr-example", "therapy-cds-app"
ACCESS, REFRESH = "access-secret-4711", "refresh-secret-4711"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass
class Faults:
    """What this EHR does wrong, or otherwise than usual. None of it by default."""

    methods: list[str] | None = field(default_factory=lambda: ["S256"])
    configuration: Json = field(default_factory=dict)
    configuration_status: int = 200
    openid: Json = field(default_factory=dict)
    error: str = ""
    state: str | None = None
    token: tuple[int, str, str] | None = None
    token_seconds: float = 0.0
    response: Json = field(default_factory=dict)
    claims: Json = field(default_factory=dict)
    header: Json = field(default_factory=dict)
    algorithm: str = "RS256"
    key: str = "ehr"
    refused_refresh: bool = False
    create_status: int = 201
    create_body: str = ""
    create_location: bool = True


@dataclass
class TestEhr:
    """One EHR that runs. `base` is its FHIR base URL (`iss`)."""

    __test__ = False

    base: str = ""
    jwks_url: str = ""
    public: bool = False
    launch: Json = field(default_factory=lambda: {"patient": PATIENT, "encounter": "visit-1"})
    faults: Faults = field(default_factory=Faults)
    asked: list[str] = field(default_factory=list)
    authorized: list[Json] = field(default_factory=list)
    forms: list[Json] = field(default_factory=list)
    assertions: list[tuple[Json, Json]] = field(default_factory=list)
    created: list[tuple[str, Json]] = field(default_factory=list)
    _codes: dict[str, Json] = field(default_factory=dict)
    _jtis: set[str] = field(default_factory=set)

    def reset(self) -> None:
        """As it was in the beginning."""
        new = TestEhr()
        self.launch, self.faults = new.launch, new.faults
        for kept in (self.asked, self.authorized, self.forms, self.assertions, self.created):
            kept.clear()

    # ---------------------------------------------------------------------------------------- what it says

    def smart_configuration(self) -> Json:
        return {
            "issuer": self.base,
            "authorization_endpoint": f"{self.base}/auth/authorize",
            "token_endpoint": f"{self.base}/auth/token",
            "grant_types_supported": ["authorization_code"],
            "capabilities": ["launch-ehr", "client-confidential-asymmetric", "sso-openid-connect"],
            **({} if self.faults.methods is None else {"code_challenge_methods_supported": self.faults.methods}),
        } | self.faults.configuration

    def openid_configuration(self) -> Json:
        return {"issuer": self.base, "jwks_uri": f"{self.base}/auth/jwks"} | self.faults.openid

    def keys(self) -> Json:
        return jwks(jwk(rsa_key("ehr"), "ehr-rsa", use="sig"), jwk(ec_key("ehr"), "ehr-ec", use="sig"))

    # ---------------------------------------------------------------------------------------- what it does

    def authorize(self, query: Json) -> str:
        """The address to which the browser goes back."""
        self.authorized.append(query)
        state = query["state"] if self.faults.state is None else self.faults.state
        if self.faults.error:
            answer = {"error": self.faults.error, "error_description": "<script>evil</script>", "state": state}
        else:
            code = secrets.token_urlsafe(16)
            self._codes[code] = query
            answer = {"code": code, "state": state}
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def token(self, form: Json) -> tuple[int, str, str]:
        """Status, content type and body of the token endpoint's answer."""
        self.forms.append(form)
        if self.faults.token:
            return self.faults.token
        problem = self._client_problem(form)
        if problem:
            return _refusal("invalid_client", problem)
        if form["grant_type"] == "refresh_token":
            if self.faults.refused_refresh or form["refresh_token"] != REFRESH:
                return _refusal("invalid_grant", "no such refresh token")
            return _found({"access_token": f"{ACCESS}-2", "token_type": "bearer", "expires_in": 300, "scope": ""})
        query = self._codes.pop(form["code"], None)
        if query is None or form["redirect_uri"] != query["redirect_uri"]:
            return _refusal("invalid_grant", "no such code")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
        if challenge.rstrip("=") != query["code_challenge"]:
            return _refusal("invalid_grant", "the verifier is not that of the challenge")
        given: Json = {
            "access_token": ACCESS,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": query["scope"],
            "id_token": self.id_token(query),
            **self.launch,
        } | self.faults.response
        return _found({name: value for name, value in given.items() if value is not None})

    def create(self, kind: str, authorization: str, body: str) -> tuple[int, str, str, str]:
        """Keep a resource; status, content type, body and Location of the answer."""
        if self.faults.create_status != 201:
            return self.faults.create_status, "application/fhir+json", '{"issue": "Jane Doe is unknown"}', ""
        self.created.append((authorization, json.loads(body)))
        place = f"{self.base}/{kind}/new-{len(self.created)}/_history/1"
        return 201, "application/fhir+json", self.faults.create_body, place if self.faults.create_location else ""

    def id_token(self, query: Json) -> str:
        now = int(time.time())
        claims = {
            "iss": self.base, "aud": CLIENT, "sub": "user-1", "iat": now, "exp": now + 300,
            "nonce": query.get("nonce"), "fhirUser": USER,
        } | self.faults.claims  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        algorithm = self.faults.algorithm
        if algorithm == "none":
            return jwt.encode(claims, "", "none")
        if algorithm.startswith("HS"):
            # The public key as a shared secret: what a verifier falls for that lets the token choose its algorithm.
            signed = by_hand({"alg": algorithm, "kid": "ehr-rsa", "typ": "JWT"}, claims).rpartition(".")[0]
            mac = hmac.digest(pem(rsa_key("ehr")), signed.encode(), "sha256")
            return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
        key = ec_key(self.faults.key) if algorithm.startswith("ES") else rsa_key(self.faults.key)
        header = {"kid": "ehr-ec" if algorithm.startswith("ES") else "ehr-rsa"} | self.faults.header
        return jwt.encode(claims, key, algorithm, header)

    def _client_problem(self, form: Json) -> str:
        """What is wrong with how the client says who it is ("" where nothing is)."""
        if self.public:
            return "" if form.get("client_id") == CLIENT and "client_assertion" not in form else "another client"
        if form.get("client_assertion_type") != ASSERTION_TYPE or "client_id" in form:
            return "no assertion, or something beside it"
        assertion = form["client_assertion"]
        header = jwt.get_unverified_header(assertion)
        published = requests.get(self.jwks_url, timeout=5).json()["keys"]
        key = jwt.PyJWK(next(each for each in published if each["kid"] == header["kid"])).key
        try:
            claims = jwt.decode(
                assertion, key, algorithms=["RS384", "ES384"], audience=f"{self.base}/auth/token", issuer=CLIENT,
                options={"require": ["iss", "sub", "aud", "exp", "jti"]},
            )  # fmt: skip
        except jwt.PyJWTError as problem:
            return type(problem).__name__
        self.assertions.append((header, claims))
        if claims["sub"] != CLIENT or claims["exp"] > time.time() + 300 or claims["jti"] in self._jtis:
            return "wrong subject, too long, or used before"
        self._jtis.add(claims["jti"])
        return ""


def _found(body: Json) -> tuple[int, str, str]:
    return 200, "application/json", json.dumps(body)


def _refusal(error: str, why: str) -> tuple[int, str, str]:
    return 400, "application/json", json.dumps({"error": error, "error_description": why})


@contextmanager
def running_ehr(**changes: Any) -> Iterator[TestEhr]:
    """An EHR at an address of its own, until the block is left."""
    ehr = TestEhr(**changes)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            ehr.asked.append(address.path)
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            match address.path.removeprefix("/fhir"):
                case "/.well-known/smart-configuration":
                    self._json(ehr.smart_configuration(), ehr.faults.configuration_status)
                case "/.well-known/openid-configuration":
                    self._json(ehr.openid_configuration())
                case "/auth/jwks":
                    self._json(ehr.keys())
                case "/auth/authorize":
                    self._send(302, "text/plain", "", ehr.authorize(query))
                case _:
                    self._send(404, "text/plain", "")

        def do_POST(self) -> None:
            ehr.asked.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            kind = self.path.removeprefix("/fhir/")
            if kind[:1].isupper():
                self._send(*ehr.create(kind, self.headers["Authorization"], body))
                return
            time.sleep(ehr.faults.token_seconds)
            self._send(*ehr.token({name: values[0] for name, values in parse_qs(body).items()}))

        def _json(self, body: Json, status: int = 200) -> None:
            self._send(status, "application/json", json.dumps(body))

        def _send(self, status: int, kind: str, body: str, location: str = "") -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body.encode())))
                if location:
                    self.send_header("Location", location)
                self.end_headers()
                self.wfile.write(body.encode())
            except ConnectionError:
                pass  # the app did not wait for it

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    ehr.base = f"http://127.0.0.1:{server.server_port}/fhir"
    try:
        yield ehr
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
