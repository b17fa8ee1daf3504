"""The file of backend clients: which FHIR servers the service may enter in its own name, and with which key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cds.ehr.backend import BackendClient
from cds.errors import SettingsError
from cds.yamlfile import read_yaml

KEYS = ("server", "client_id", "key_file", "key_id", "scopes", "token_endpoint", "token_origins")
_NEEDED = KEYS[:3]
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
DEFAULT_SCOPES = "system/*.rs"


def read_backend_clients(path: Path, servers: Collection[str]) -> tuple[BackendClient, ...]:
    """The entries of a YAML or JSON file; SettingsError names the entry that cannot be used, never a key's content.

    `servers` are the FHIR servers that may be asked at all: nobody else gets a token.
    """
    data = read_yaml(path, SettingsError).data
    entries = data.get("servers") if isinstance(data, dict) else None
    if not isinstance(entries, list) or not entries:
        raise _refuse(path, "", "holds no list 'servers'", "See docs/fhir-servers.md, Backend access")
    clients = tuple(_client(path, number, entry, servers) for number, entry in enumerate(entries))
    names = [client.server for client in clients]
    if twice := [name for name in names if names.count(name) > 1]:
        raise _refuse(path, "", f"names {twice[0]} twice", "One entry for each server")
    return clients


def _client(path: Path, number: int, entry: object, servers: Collection[str]) -> BackendClient:
    place = f"servers[{number}]"
    given = _checked(path, place, entry)
    server = str(given["server"]).rstrip("/")
    if server not in servers:
        raise _refuse(path, place, f"names {server}", "Backend access is for servers of THERAPY_CDS_FHIR_SERVERS only")
    for url in (given.get("token_endpoint", ""), *given.get("token_origins", ())):
        if url and not _is_safe(url):
            raise _refuse(path, place, f"would send assertions to '{url}'", "Use https; http on this machine only")
    key = _key(path, place, path.parent / str(given["key_file"]))
    return BackendClient(
        server=server,
        client_id=str(given["client_id"]),
        key=key,
        algorithm="RS384" if isinstance(key, RSAPrivateKey) else "ES384",
        scopes=str(given.get("scopes", DEFAULT_SCOPES)),
        key_id=str(given.get("key_id", "")),
        token_endpoint=str(given.get("token_endpoint", "")),
        token_origins=tuple(map(str, given.get("token_origins", ()))),
    )


def _checked(path: Path, place: str, entry: object) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise _refuse(path, place, "is no mapping", f"Give it {', '.join(_NEEDED)}")
    if unknown := sorted(set(map(str, entry)) - set(KEYS)):
        raise _refuse(path, place, f"has the unknown key '{unknown[0]}'", f"Known keys: {', '.join(KEYS)}")
    if missing := [key for key in _NEEDED if not entry.get(key)]:
        raise _refuse(path, place, f"has no '{missing[0]}'", f"Give it {', '.join(_NEEDED)}")
    origins = entry.get("token_origins", [])
    if not isinstance(origins, list) or not all(isinstance(url, str) for url in origins):
        raise _refuse(path, place, "has token_origins that are no list", "Write a list of addresses")
    if not all(isinstance(value, str | int) for key, value in entry.items() if key != "token_origins"):
        raise _refuse(path, place, "has a value that is no text", "Write each value as text")
    return entry


def _key(path: Path, place: str, file: Path) -> RSAPrivateKey | EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as problem:
        # The class only: a message may quote the file.
        what = f"has a key_file that cannot be read ({type(problem).__name__})"
        raise _refuse(path, place, what, "Give a private key in PEM without a password") from None
    if isinstance(key, RSAPrivateKey) and key.key_size >= 2048:
        return key
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP384R1):
        return key
    raise _refuse(path, place, "has a key of another kind", "Use RSA with 2048 bits or more (RS384), or P-384 (ES384)")


def _is_safe(url: object) -> bool:
    try:
        parts = urlsplit(str(url))
    except ValueError:
        return False
    if not parts.hostname or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _refuse(path: Path, place: str, what: str, remedy: str) -> SettingsError:
    return SettingsError(
        f"The file of THERAPY_CDS_BACKEND_CLIENTS {what}", where=f"{path}{f', {place}' if place else ''}", remedy=remedy
    )
