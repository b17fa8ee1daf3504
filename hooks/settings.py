"""One frozen dataclass from the environment (`THERAPY_CDS_…`); it refuses what is unsafe."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cds.errors import SettingsError
from hooks.configuration import PAYER, PROVIDER, ROLES

PREFIX = "THERAPY_CDS_"
LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
Network = IPv4Network | IPv6Network
PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
KNOWN = (
    "BASE_URL",
    "FHIR_SERVERS",
    "POLICY_PATH",
    "MODE",
    "TIME_ZONE",
    "DEADLINE_SECONDS",
    "MAX_BODY_MIB",
    "CORS_ORIGINS",
    "THREADS",
    "TRUSTED_NETWORKS",
    "DATABASE_URL",
    "RETENTION_DAYS",
    "CLIENTS",
    "PRIVATE_FHIR_SERVERS",
    "BACKEND_CLIENTS",
    "BATCH",
    "ROLE",
    "PAYER_NAME",
    "PAYER_IDENTIFIERS",
    "PAYER_CONTACT",
    "SMART_SERVERS",
    "SMART_KEYS",
    "SMART_LINKS",
)


@dataclass(frozen=True)
class Settings:
    """Settings of one deployment. docs/settings.md explains each."""

    base_url: str = "http://127.0.0.1:8000"
    fhir_servers: tuple[str, ...] = ()
    policy_path: tuple[Path, ...] = ()
    mode: str = "development"
    time_zone: ZoneInfo | None = None
    deadline_seconds: float = 4.0
    max_body_mib: int = 16
    cors_origins: tuple[str, ...] = ("*",)
    threads: int = 8
    trusted_networks: tuple[Network, ...] = ()
    private_fhir_servers: tuple[str, ...] = ()
    backend_clients: Path | None = None
    batch: str = "never"
    clients: Path | None = None
    role: str = PROVIDER
    payer_name: str = ""
    payer_identifiers: tuple[str, ...] = ()
    payer_contact: tuple[str, ...] = ()
    database_url: str = ""
    retention_days: int | None = None
    smart_servers: Path | None = None
    smart_keys: Path | None = None
    smart_links: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read and check the environment; SettingsError names the variable and the remedy."""
        env = os.environ if environment is None else environment
        given = {name[len(PREFIX) :]: value.strip() for name, value in env.items() if name.startswith(PREFIX)}
        given = {name: value for name, value in given.items() if value and not name.startswith("TEST_")}
        unknown = sorted(set(given) - set(KNOWN))
        if unknown:
            raise _refuse(unknown[0], "is not a setting", f"Known settings: {', '.join(KNOWN)}")
        settings = cls(
            base_url=_url(given, "BASE_URL", cls.base_url),
            fhir_servers=tuple(url.rstrip("/") for url in _list(given, "FHIR_SERVERS")),
            policy_path=tuple(Path(part) for part in _list(given, "POLICY_PATH", os.pathsep)),
            mode=given.get("MODE", cls.mode),
            time_zone=_zone(given),
            deadline_seconds=_number(given, "DEADLINE_SECONDS", cls.deadline_seconds, 0.1, 60),
            max_body_mib=round(_number(given, "MAX_BODY_MIB", cls.max_body_mib, 1, 1024)),
            cors_origins=tuple(_list(given, "CORS_ORIGINS")) or cls.cors_origins,
            threads=round(_number(given, "THREADS", cls.threads, 1, 256)),
            trusted_networks=tuple(map(_network, _list(given, "TRUSTED_NETWORKS"))),
            private_fhir_servers=tuple(url.rstrip("/") for url in _list(given, "PRIVATE_FHIR_SERVERS")),
            backend_clients=Path(given["BACKEND_CLIENTS"]) if "BACKEND_CLIENTS" in given else None,
            batch=given.get("BATCH", cls.batch),
            clients=Path(given["CLIENTS"]) if "CLIENTS" in given else None,
            role=given.get("ROLE", cls.role),
            payer_name=given.get("PAYER_NAME", ""),
            payer_identifiers=tuple(_list(given, "PAYER_IDENTIFIERS")),
            payer_contact=tuple(_list(given, "PAYER_CONTACT")),
            database_url=given.get("DATABASE_URL", ""),
            smart_servers=Path(given["SMART_SERVERS"]) if "SMART_SERVERS" in given else None,
            smart_keys=Path(given["SMART_KEYS"]) if "SMART_KEYS" in given else None,
            smart_links=_switch(given, "SMART_LINKS", on=cls.smart_links),
            retention_days=round(_number(given, "RETENTION_DAYS", 0, 0, 36500)) or None,
        )
        settings.check()
        return settings

    @property
    def is_production(self) -> bool:
        """Whether real patients may be behind the calls."""
        return self.mode == "production"

    @property
    def ledger_url(self) -> str:
        """Where the ledger is: as set, else one SQLite file in the user's folder for state (XDG base directories)."""
        if self.database_url:
            return self.database_url
        return f"sqlite:///{_state_folder()}/ledger.sqlite3"

    @property
    def smart_keys_folder(self) -> Path:
        """Where the app's keys are: as set, else beside the default ledger."""
        return self.smart_keys or _state_folder() / "keys"

    @property
    def is_payer(self) -> bool:
        """Whether a payer runs this service, and so answers for coverage (docs/crd.md)."""
        return self.role == PAYER

    def check(self) -> None:
        """Refuse unsafe settings."""
        if self.mode not in ("development", "production"):
            raise _refuse("MODE", f"is '{self.mode}'", "It is 'development' or 'production'")
        if self.batch not in ("never", "auto"):
            raise _refuse("BATCH", f"is '{self.batch}'", "It is 'never' or 'auto'")
        if self.role not in ROLES:
            raise _refuse("ROLE", f"is '{self.role}'", "It is 'provider' or 'payer'")
        if self.is_payer and not self.payer_name:
            raise _refuse("PAYER_NAME", "is not set", "Name the insurer as it stands on the patient's card")
        for url in self.fhir_servers:
            _check_server("FHIR_SERVERS", url, production=self.is_production)
        for url in self.private_fhir_servers:
            _check_server("PRIVATE_FHIR_SERVERS", url, production=self.is_production)
        for name, file in (
            ("BACKEND_CLIENTS", self.backend_clients),
            ("CLIENTS", self.clients),
            ("SMART_SERVERS", self.smart_servers),
        ):
            if file is not None and not file.is_file():
                raise _refuse(name, f"names '{file}', which is no file", "Name a YAML file")
        for path in self.policy_path:
            if not path.is_dir():
                raise _refuse("POLICY_PATH", f"names '{path}', which is no folder", "Name folders of policies")
        if self.is_production:
            self._check_production()

    def _check_production(self) -> None:
        if not self.base_url.startswith("https://"):
            raise _refuse("BASE_URL", "is not an https URL", "Production answers over TLS only")
        if not self.fhir_servers:
            raise _refuse("FHIR_SERVERS", "is empty", "List the FHIR base URLs that may be asked")
        if self.trusted_networks:
            raise _refuse("TRUSTED_NETWORKS", "is set", "It is for development; production trusts no address")
        if self.clients is None:
            raise _refuse("CLIENTS", "is not set", "Name the file of the EHRs that may call, see docs/clients.md")

    def trusts(self, address: str) -> bool:
        """Whether a caller's address may call in development: on this machine, or in a trusted network."""
        return address in LOOPBACK or self.is_in_trusted_network(address)

    def is_in_trusted_network(self, address: str) -> bool:
        """Whether a caller's address lies in one of the networks that are trusted in development."""
        try:
            caller = ip_address(address)
        except ValueError:
            return False
        return any(caller in network for network in self.trusted_networks)

    def allows(self, fhir_server: str) -> bool:
        """Whether a FHIR server may be asked: listed, or on loopback in development."""
        url = fhir_server.rstrip("/")
        if url in self.fhir_servers:
            return True
        return not self.is_production and not self.fhir_servers and _is_plain_loopback(url)


def _state_folder() -> Path:
    """The service's own folder among the user's folders for state (XDG base directories)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "therapy-cds"


def _is_plain_loopback(url: str) -> bool:
    """Whether a URL is a base on this machine: no user, query or fragment, into which searches would be written."""
    parts = _split(url)
    return parts is not None and parts.hostname in LOOPBACK and "@" not in parts.netloc and not set("?#") & set(url)


def _split(url: str) -> SplitResult | None:
    """The parts of an http or https URL; None where it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # a port that is no number is noticed only when it is asked for
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None


def _refuse(name: str, what: str, remedy: str) -> SettingsError:
    return SettingsError(f"{PREFIX}{name} {what}", where="environment", remedy=remedy)


def _list(given: Mapping[str, str], name: str, separator: str = ",") -> list[str]:
    return [part.strip() for part in given.get(name, "").split(separator) if part.strip()]


def _url(given: Mapping[str, str], name: str, default: str) -> str:
    url = given.get(name, default).rstrip("/")
    if _split(url) is None:
        raise _refuse(name, "is no URL", "Write it like https://cds.example.org")
    return url


def _check_server(name: str, url: str, *, production: bool) -> None:
    if (parts := _split(url)) is None:
        raise _refuse(name, "holds something that is no URL", "Separate base URLs by commas")
    if parts.scheme == "http" and (production or parts.hostname not in LOOPBACK):
        raise _refuse(name, f"names {parts.hostname} over plain http", "Use https; tokens are sent there")


def _network(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise _refuse("TRUSTED_NETWORKS", f"holds '{text}'", "Write networks like 172.28.5.0/24") from None
    if not any(isinstance(wide, type(network)) and network.subnet_of(wide) for wide in PRIVATE):  # type: ignore[arg-type]
        raise _refuse("TRUSTED_NETWORKS", f"names {network}, which is not private", "Name private networks only")
    return network


def _switch(given: Mapping[str, str], name: str, *, on: bool) -> bool:
    value = given.get(name, "on" if on else "off")
    if value not in ("on", "off"):
        raise _refuse(name, f"is '{value}'", "It is 'on' or 'off'")
    return value == "on"


def _number(given: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    try:
        value = float(given.get(name, default))
    except ValueError:
        raise _refuse(name, "is no number", f"Give a number from {low:g} to {high:g}") from None
    if not low <= value <= high:
        raise _refuse(name, "is out of range", f"Give a number from {low:g} to {high:g}")
    return value


def _zone(given: Mapping[str, str]) -> ZoneInfo | None:
    if "TIME_ZONE" not in given:
        return None
    try:
        return ZoneInfo(given["TIME_ZONE"])
    except (ZoneInfoNotFoundError, ValueError):
        raise _refuse("TIME_ZONE", "is no known zone", "Use a name such as America/New_York") from None
