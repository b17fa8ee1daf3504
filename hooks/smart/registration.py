"""The file of EHRs that may launch the app (THERAPY_CDS_SMART_SERVERS): who they are, and what the app is to them.

docs/smart.md explains every key. Mistakes are told with file, line and key, and stop the start.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema

from cds.errors import SettingsError
from cds.yamlfile import Key, YamlFile, read_yaml

log = logging.getLogger(__name__)
PUBLIC, PRIVATE_KEY_JWT = "public", "private_key_jwt"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# What the pages need; writing is asked for by sites that want scores saved.
DEFAULT_SCOPES = "launch openid fhirUser patient/Patient.r patient/Encounter.rs patient/Observation.rs"
_HELP = "docs/smart.md shows every key of an entry"


@dataclass(frozen=True)
class Ehr:
    """One entry: an EHR by its FHIR base URL (`iss`), and how the app is registered there.

    `frame_ancestors` are the origins whose pages may hold the app in a frame; `fhir_servers` other base URLs that the
    same EHR gives as `fhirServer` when it calls the hooks.
    """

    name: str
    iss: str
    client_id: str
    method: str = PUBLIC
    algorithm: str = "RS384"
    scopes: str = DEFAULT_SCOPES
    frame_ancestors: tuple[str, ...] = ()
    fhir_servers: tuple[str, ...] = ()

    def scopes_for(self, *, standalone: bool) -> str:
        """The scopes to ask for; a standalone launch has the EHR ask which patient (scopes-and-launch-context.md).

        >>> Ehr("a", "https://a.example", "app", scopes="launch openid").scopes_for(standalone=True)
        'launch/patient openid'
        """
        wanted = "launch/patient" if standalone else "launch"
        rest = [scope for scope in self.scopes.split() if scope not in ("launch", "launch/patient")]
        return " ".join([wanted, *rest])

    def is_behind(self, fhir_server: str | None) -> bool:
        """Whether a call of a hook that names this FHIR server came from this EHR."""
        return fhir_server is not None and fhir_server.rstrip("/") in (self.iss, *self.fhir_servers)


def is_safe(url: str, *, production: bool) -> bool:
    """Whether a browser, a code or an assertion may be sent to an address: https; http on this machine in development.

    >>> is_safe("https://ehr.example.org/token", production=True), is_safe("http://localhost/token", production=True)
    (True, False)
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # a port that is no number is noticed only when it is asked for
    except ValueError:
        return False
    if not parts.hostname or "@" in parts.netloc or parts.fragment or set(url) & set(" \\;,'\"<>\t\r\n"):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and not production and parts.hostname in LOOPBACK)


def origin_of(url: str) -> str:
    """The origin of an address, as Content-Security-Policy writes it.

    >>> origin_of("https://ehr.example.org/fhir/r4")
    'https://ehr.example.org'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def read_ehrs(path: Path, *, production: bool) -> tuple[Ehr, ...]:
    """The entries of the file; SettingsError names file, line and key of the first mistake."""
    document = read_yaml(path, SettingsError)
    _check_schema(document)
    found: list[Ehr] = []
    for index, entry in enumerate(document.data["servers"]):
        ehr = _ehr(document, index, entry, production=production)
        if any(ehr.iss == other.iss for other in found):
            raise _refuse(document, ("servers", index, "iss"), f"The iss '{ehr.iss}' is there twice", "One entry each")
        found.append(ehr)
    if len(found) > 1 and any(ehr.method == PUBLIC for ehr in found):
        # RFC 9207: one EHR could name another's authorization endpoint as its own. A signed assertion is for one only.
        log.warning("several EHRs may launch the app, and one as a public client: register it by private_key_jwt")
    return tuple(found)


def _ehr(document: YamlFile, index: int, entry: dict[str, Any], *, production: bool) -> Ehr:
    at: Key = ("servers", index)
    iss = str(entry["iss"]).rstrip("/")
    frames = tuple(str(url).rstrip("/") for url in entry.get("frame_ancestors", [origin_of(iss)]))
    servers = tuple(str(url).rstrip("/") for url in entry.get("fhir_servers", ()))
    for key, urls in (("iss", (iss,)), ("frame_ancestors", frames), ("fhir_servers", servers)):
        for url in urls:
            if not is_safe(url, production=production) or "?" in url:
                what = f"'{url}' is no address that may be used"
                raise _refuse(document, (*at, key), what, "Write https URLs; http on this machine in development only")
    for url in frames:
        if url != origin_of(url):
            what = f"'{url}' is no origin"
            raise _refuse(document, (*at, "frame_ancestors"), what, "Write scheme, host and port only")
    return Ehr(
        name=entry["name"],
        iss=iss,
        client_id=entry["client_id"],
        method=entry["method"],
        algorithm=entry.get("algorithm", "RS384"),
        scopes=" ".join(entry.get("scopes", DEFAULT_SCOPES).split()),
        frame_ancestors=frames,
        fhir_servers=servers,
    )


@lru_cache(maxsize=1)
def _validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(files("hooks").joinpath("schemas/smart-servers.json").read_text("utf-8"))
    return jsonschema.Draft202012Validator(schema)


def _check_schema(document: YamlFile) -> None:
    error = jsonschema.exceptions.best_match(_validator().iter_errors(document.data))
    if error is not None:
        raise _refuse(document, tuple(error.absolute_path), f"This cannot be used: {error.message}", _HELP)


def _refuse(document: YamlFile, at: Key, what: str, remedy: str) -> SettingsError:
    return SettingsError(what, where=document.where(at), remedy=remedy)
