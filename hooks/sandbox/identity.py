"""An EHR that signs its calls: a private key in a file, and a token of it for each address that is called."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hooks.sandbox.errors import InputError

TOKEN_SECONDS = 300
_THUMBPRINT = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}


@dataclass(frozen=True)
class Identity:
    """Who an EHR says that it is, and the key that proves it: RS384 by RSA, ES384 by P-384."""

    iss: str
    key: RSAPrivateKey | EllipticCurvePrivateKey = field(repr=False)

    def token(self, url: str) -> str:
        """A token for one call of this address (CDS Hooks 2.0.1, Trusting CDS Clients), good for five minutes."""
        now = int(time.time())
        claims = {"iss": self.iss, "aud": url, "iat": now, "exp": now + TOKEN_SECONDS, "jti": str(uuid4())}
        algorithm = "RS384" if isinstance(self.key, RSAPrivateKey) else "ES384"
        return jwt.encode(claims, self.key, algorithm, {"kid": self.jwk["kid"], "typ": "JWT"})

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key as it is registered; its id is its thumbprint (RFC 7638)."""
        if isinstance(self.key, RSAPrivateKey):
            found = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        else:
            found = jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        public = {name: found[name] for name in _THUMBPRINT[found["kty"]]}
        return public | {"kid": thumbprint(public), "use": "sig"}


def thumbprint(public: dict[str, Any]) -> str:
    """The thumbprint of a public key (RFC 7638): the same for everybody who makes one."""
    needed = {name: public[name] for name in _THUMBPRINT[public["kty"]]}
    digest = hashlib.sha256(json.dumps(needed, sort_keys=True, separators=(",", ":")).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def read_identity(path: Path, iss: str) -> Identity:
    """The identity of a PEM file with a private key.

    Raises:
        InputError: the file holds no key that can be used; nothing of it is told.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The class only: a message may quote the file.
        raise InputError(f"{path} holds no private key in PEM without a password ({type(error).__name__})") from None
    if isinstance(key, RSAPrivateKey) and key.key_size >= 2048:
        return Identity(iss, key)
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP384R1):
        return Identity(iss, key)
    raise InputError(f"{path} holds a key of another kind; use RSA with 2048 bits or more, or P-384")
