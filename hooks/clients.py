"""The file of clients (THERAPY_CDS_CLIENTS): which EHRs may call, and by which keys they are known.

docs/clients.md explains every key. Mistakes are told with file, line and key, and stop the start.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import jsonschema

from cds.errors import SettingsError
from cds.rules.load import schema_problem, schema_remedy
from cds.yamlfile import Key, YamlFile, read_yaml
from hooks.client_keys import PublicKey, UnusableKeys, read_jwks

log = logging.getLogger(__name__)
# CDS Hooks 2.0.1, Trusting CDS Clients: the two that are recommended.
ALGORITHMS = ("RS384", "ES384")
MAX_AGE_SECONDS = 3600
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HELP = "docs/clients.md shows every key of an entry"


@dataclass(frozen=True)
class Client:
    """An EHR that calls: its name and issuer, and what its operator wants of cards (`card-configuration`).

    `fhir_servers` are the base URLs that it may name, of those that are allowed at all; any of them where it is empty.
    """

    name: str
    iss: str = ""
    configuration: Mapping[str, bool | int | str] = field(default_factory=lambda: MappingProxyType({}))
    fhir_servers: tuple[str, ...] = ()

    def owns(self, fhir_server: str) -> bool:
        """Whether a FHIR server is said to be this client's: only then is the service's own access used for it."""
        return fhir_server.rstrip("/") in self.fhir_servers

    def may_name(self, fhir_server: str) -> bool:
        """Whether it may name a FHIR server."""
        return not self.fhir_servers or self.owns(fhir_server)


@dataclass(frozen=True)
class Registration:
    """One entry of the file: a client, and which tokens are its own."""

    client: Client
    jku: tuple[str, ...] = ()
    keys: tuple[PublicKey, ...] = ()
    algorithms: tuple[str, ...] = ALGORITHMS
    tenants: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    max_age_seconds: int = MAX_AGE_SECONDS
    reuses_tokens: bool = False
    is_lenient: bool = False

    @property
    def leniencies(self) -> tuple[str, ...]:
        """What is taken from this client that the specification forbids, in words."""
        found = {
            "its tokens may be used again until they expire (reuse-tokens)": self.reuses_tokens,
            "its tokens may lack kid and typ (lenient-header)": self.is_lenient,
            "its tokens may be meant for other audiences (audience)": bool(self.audiences),
        }
        return tuple(words for words, is_so in found.items() if is_so)


def read_clients(path: Path, *, production: bool) -> tuple[Registration, ...]:
    """The entries of the file; SettingsError names file, line and key of the first mistake."""
    document = read_yaml(path, SettingsError)
    _check_schema(document)
    found = tuple(
        _registration(document, path.parent, index, production=production)
        for index in range(len(document.data["clients"]))
    )
    for key in ("name", "iss"):
        held = [entry[key] for entry in document.data["clients"]]
        for index, value in enumerate(held):
            if value in held[:index]:
                where: Key = ("clients", index, key)
                raise _refuse(document, where, f"The {key} '{value}' is there twice", "One entry for each client")
    return found


def tell_leniencies(clients: tuple[Registration, ...]) -> None:
    """Warn of every client that is treated more leniently than the specification says."""
    for each in clients:
        for words in each.leniencies:
            log.warning("client %s: %s", each.client.name, words)


@lru_cache(maxsize=1)
def _validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(files("hooks").joinpath("schemas/clients.json").read_text("utf-8"))
    return jsonschema.Draft202012Validator(schema)


def _check_schema(document: YamlFile) -> None:
    error = jsonschema.exceptions.best_match(_validator().iter_errors(document.data))
    if error is None:
        return
    path = tuple(error.absolute_path)
    match error.validator:
        case "additionalProperties":
            known = list(error.schema["properties"]) if isinstance(error.schema, dict) else []
            key = next(str(name) for name in error.instance if name not in known)
            raise _refuse(document, (*path, key), f"There is no key '{key}'", f"Known keys: {', '.join(known)}")
        case "not":
            raise _refuse(document, path, f"The name '{error.instance}' is taken", "It is for callers without a token")
        case "required" | "enum":
            raise _refuse(document, path, schema_problem(error), schema_remedy(error, _HELP))
        case _:
            # Not quoted: it may be a key.
            what = error.message.replace(repr(error.instance), "this value", 1)
            raise _refuse(document, path, f"A value is not as it must be: {what}", _HELP)


def _registration(document: YamlFile, folder: Path, index: int, *, production: bool) -> Registration:
    entry: dict[str, Any] = document.data["clients"][index]
    at: Key = ("clients", index)
    jku = _texts(entry.get("jku"))
    for url in jku:
        _check_address(document, (*at, "jku"), url, production=production)
    keys = _keys(document, (*at, "keys"), entry["keys"], folder) if "keys" in entry else ()
    if not jku and not keys:
        raise _refuse(document, at, "The client has neither 'jku' nor 'keys'", "Name where its public keys are")
    algorithms = tuple(entry.get("algorithms", ALGORITHMS))
    if keys and not jku and not any(key.fits(algorithm) for key in keys for algorithm in algorithms):
        what = f"No key fits {', '.join(algorithms)}"
        raise _refuse(document, (*at, "keys"), what, "Give another key, or name its algorithm under 'algorithms'")
    return Registration(
        client=Client(
            entry["name"],
            entry["iss"],
            MappingProxyType(dict(entry.get("card-configuration", {}))),
            tuple(url.rstrip("/") for url in _texts(entry.get("fhir-servers"))),
        ),
        jku=jku,
        keys=keys,
        algorithms=algorithms,
        tenants=_texts(entry.get("tenant")),
        audiences=_texts(entry.get("audience")),
        max_age_seconds=entry.get("max-age-seconds", MAX_AGE_SECONDS),
        reuses_tokens=entry.get("reuse-tokens", False),
        is_lenient=entry.get("lenient-header", False),
    )


def _texts(given: str | list[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


def _check_address(document: YamlFile, at: Key, url: str, *, production: bool) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # a port that is no number is noticed only when it is asked for
    except ValueError:
        parts = urlsplit("")
    if not parts.hostname or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise _refuse(document, at, "This is no address", "Write it like https://ehr.example.org/jwks.json")
    if parts.scheme == "http" and (production or parts.hostname not in _LOOPBACK):
        raise _refuse(document, at, "Keys would be fetched over plain http", "Use https; http on this machine only")


def _keys(document: YamlFile, at: Key, given: str | dict[str, Any], folder: Path) -> tuple[PublicKey, ...]:
    """The keys of an entry: written there, or in a file beside it."""
    remedy = "Give a JWKS with public RSA (2,048 bits or more) or EC keys, or the name of a file that holds one"
    if isinstance(given, str):
        try:
            given = json.loads((folder / given).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as problem:
            # The class only: a message may quote the file.
            raise _refuse(document, at, f"The keys cannot be read ({type(problem).__name__})", remedy) from None
    try:
        return read_jwks(given)
    except UnusableKeys as problem:
        raise _refuse(document, at, f"The keys cannot be used: {problem}", remedy) from None


def _refuse(document: YamlFile, at: Key, what: str, remedy: str) -> SettingsError:
    return SettingsError(what, where=document.where(at), remedy=remedy)
