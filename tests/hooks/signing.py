"""Clients as real EHRs are: with key pairs, a JWKS, and tokens signed by them."""

from __future__ import annotations

import base64
import json
import time
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hooks.settings import Settings

Json = dict[str, Any]
BASE = "https://cds.example.org"
ISS = "https://ehr.example.org"
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.9"}
SERVICE = "/cds-services/order-sign-therapy"


@lru_cache
def rsa_key(name: str = "rsa", bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key pair; the same one for the same name."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@lru_cache
def ec_key(name: str = "ec", curve: str = "secp384r1") -> ec.EllipticCurvePrivateKey:
    """A key pair; the same one for the same name."""
    return ec.generate_private_key({"secp384r1": ec.SECP384R1(), "secp256r1": ec.SECP256R1()}[curve])


PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def jwk(key: PrivateKey, kid: str, **more: Any) -> Json:
    """The public half as a JWK; members set to None are left out."""
    if isinstance(key, rsa.RSAPrivateKey):
        found = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        found = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    found = {name: value for name, value in found.items() if name not in ("key_ops",)}
    return {name: value for name, value in (found | {"kid": kid} | more).items() if value is not None}


def jwks(*keys: Json) -> Json:
    return {"keys": list(keys)}


def claims(path: str = SERVICE, **changes: Any) -> Json:
    """What a good token says; claims set to None are left out."""
    now = int(time.time())
    good = {"iss": ISS, "aud": BASE + path, "exp": now + 300, "iat": now, "jti": str(uuid4())}
    return {name: value for name, value in (good | changes).items() if value is not None}


def token(
    said: Json | None = None,
    key: PrivateKey | None = None,
    alg: str = "ES384",
    header: Json | None = None,
) -> str:
    """A signed token; ES384 and the key id `ec` where nothing else is said. Headers set to None are left out."""
    headers = {"kid": "ec", "typ": "JWT"} | (header or {})
    return jwt.encode(claims() if said is None else said, key or ec_key(), alg, headers)


def by_hand(header: Json, said: Json, signature: bytes = b"") -> str:
    """A token that no library would make."""
    parts = (json.dumps(header).encode(), json.dumps(said).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def pem(key: PrivateKey) -> bytes:
    """The public half as PEM: what a mistaken library takes for the secret of an HMAC."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def entry(**changes: Any) -> Json:
    """An entry of the file of clients; keys set to None are left out."""
    good = {"name": "General Hospital", "iss": ISS, "keys": jwks(jwk(ec_key(), "ec"), jwk(rsa_key(), "rsa"))}
    return {name: value for name, value in (good | changes).items() if value is not None}


def clients_file(folder: Path, *entries: Json) -> Path:
    """JSON is YAML."""
    path = folder / "clients.yaml"
    path.write_text(json.dumps({"clients": list(entries or (entry(),))}, indent=2), encoding="utf-8")
    return path


def production(file: Path, **more: Any) -> Settings:
    """Settings of a service that answers clients only."""
    given: Json = {
        "mode": "production",
        "base_url": BASE,
        "fhir_servers": ("https://fhir.example.org/r4",),
        "clients": file,
    }
    return Settings(**(given | more))


def development(file: Path, **more: Any) -> Settings:
    """Settings of a service that may fetch keys over plain http from this machine."""
    given: Json = {"base_url": BASE, "clients": file}
    return Settings(**(given | more))


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}
