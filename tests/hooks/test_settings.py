"""Settings from the environment: read, checked, refused where they are unsafe, and documented."""

from __future__ import annotations

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cds.errors import SettingsError
from hooks.settings import KNOWN, PREFIX, Settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def read(**given: str) -> Settings:
    return Settings.from_environment({f"{PREFIX}{name}": value for name, value in given.items()})


def test_defaults_are_used_when_nothing_is_set() -> None:
    assert Settings.from_environment({"PATH": "/bin"}) == Settings()


def test_each_setting_is_read_when_it_is_set(tmp_path: Path) -> None:
    clients = tmp_path / "clients.yaml"
    clients.write_text("servers: []", encoding="utf-8")
    settings = read(
        BASE_URL="https://cds.example.org/",
        FHIR_SERVERS="https://a.example.org/fhir/, http://127.0.0.1:8080/fhir",
        POLICY_PATH=str(tmp_path),
        TIME_ZONE="America/New_York",
        DEADLINE_SECONDS="2.5",
        MAX_BODY_MIB="8",
        CORS_ORIGINS="https://ehr.example.org",
        THREADS="4",
        PRIVATE_FHIR_SERVERS="https://a.example.org/fhir/, https://login.example.org",
        BACKEND_CLIENTS=str(clients),
        CLIENTS=str(clients),
        DATABASE_URL="postgresql://cds@db.example.org/cds",
        RETENTION_DAYS="3650",
        BATCH="auto",
    )
    assert settings == Settings(
        base_url="https://cds.example.org",
        fhir_servers=("https://a.example.org/fhir", "http://127.0.0.1:8080/fhir"),
        policy_path=(tmp_path,),
        time_zone=ZoneInfo("America/New_York"),
        deadline_seconds=2.5,
        max_body_mib=8,
        cors_origins=("https://ehr.example.org",),
        threads=4,
        private_fhir_servers=("https://a.example.org/fhir", "https://login.example.org"),
        backend_clients=clients,
        clients=clients,
        database_url="postgresql://cds@db.example.org/cds",
        retention_days=3650,
        batch="auto",
    )


def test_a_payer_is_read_when_one_runs_the_service() -> None:
    settings = read(ROLE="payer", PAYER_NAME="A Plan", PAYER_IDENTIFIERS="a, b", PAYER_CONTACT="+1 555 010 0100")
    assert settings == Settings(
        role="payer", payer_name="A Plan", payer_identifiers=("a", "b"), payer_contact=("+1 555 010 0100",)
    )
    assert settings.is_payer


def test_a_payer_is_refused_when_it_has_no_name() -> None:
    with pytest.raises(SettingsError, match=f"{PREFIX}PAYER_NAME"):
        read(ROLE="payer")


def test_a_setting_is_as_good_as_unset_when_it_is_empty() -> None:
    assert read(BASE_URL=" ", FHIR_SERVERS="") == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NO_SUCH", "x"),
        ("BASE_URL", "cds.example.org"),
        ("BASE_URL", "ftp://cds.example.org"),
        ("BASE_URL", "https://[::1"),
        ("FHIR_SERVERS", "nonsense"),
        ("FHIR_SERVERS", "https://["),
        ("FHIR_SERVERS", "http://ehr.example.org/fhir"),
        ("POLICY_PATH", "/no/such/folder"),
        ("MODE", "test"),
        ("TIME_ZONE", "Mars/Olympus"),
        ("TIME_ZONE", "../etc/passwd"),
        ("DEADLINE_SECONDS", "soon"),
        ("DEADLINE_SECONDS", "0"),
        ("DEADLINE_SECONDS", "nan"),
        ("DEADLINE_SECONDS", "inf"),
        ("MAX_BODY_MIB", "0"),
        ("THREADS", "1000"),
        ("PRIVATE_FHIR_SERVERS", "nonsense"),
        ("PRIVATE_FHIR_SERVERS", "http://fhir.hospital.example/r4"),
        ("PRIVATE_FHIR_SERVERS", "https://fhir.hospital.example:many/r4"),
        ("BACKEND_CLIENTS", "/no/such/file.yaml"),
        ("CLIENTS", "/no/such/file.yaml"),
        ("ROLE", "patient"),
        ("RETENTION_DAYS", "-1"),
        ("BATCH", "always"),
    ],
)
def test_it_refuses_to_start_and_names_the_variable_when_a_setting_is_wrong(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{name: value})
    assert f"{PREFIX}{name}" in caught.value.what
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("BASE_URL", {"BASE_URL": ""}),
        ("BASE_URL", {"BASE_URL": "http://cds.example.org"}),
        ("FHIR_SERVERS", {"FHIR_SERVERS": ""}),
        ("FHIR_SERVERS", {"FHIR_SERVERS": "http://localhost/fhir"}),
        ("CLIENTS", {"CLIENTS": ""}),
        ("TRUSTED_NETWORKS", {"TRUSTED_NETWORKS": "172.28.5.0/24"}),
    ],
)
def test_production_refuses_to_start_when_it_would_be_unsafe(tmp_path: Path, name: str, given: dict[str, str]) -> None:
    clients = tmp_path / "clients.yaml"
    clients.write_text("clients: []", encoding="utf-8")
    safe = {
        "MODE": "production",
        "BASE_URL": "https://cds.example.org",
        "FHIR_SERVERS": "https://ehr.example.org/fhir",
        "CLIENTS": str(clients),
    }
    assert read(**safe).is_production
    with pytest.raises(SettingsError, match=f"^{PREFIX}{name} "):
        read(**(safe | given))


@pytest.mark.parametrize("url", ["http://localhost:1/fhir", "http://127.0.0.1/", "http://[::1]:8080/fhir"])
def test_servers_on_this_machine_may_be_asked_when_none_is_listed(url: str) -> None:
    assert Settings().allows(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "http://127.0.0.1@example.org/",
        "http://localhost/?x",
        "http://localhost/#x",
        "http://[::1",
        "",
    ],
)
def test_no_other_server_may_be_asked_when_none_is_listed(url: str) -> None:
    assert not Settings().allows(url)


def test_only_listed_servers_may_be_asked_when_there_is_a_list() -> None:
    settings = Settings(fhir_servers=("https://ehr.example.org/fhir",))
    assert settings.allows("https://ehr.example.org/fhir/")
    assert not settings.allows("https://ehr.example.org/fhir/../other")
    assert not settings.allows("https://ehr.example.org/fhir2")
    assert not settings.allows("http://localhost/fhir")


def test_a_private_server_may_not_be_asked_when_it_is_not_listed_as_a_server_too() -> None:
    settings = Settings(
        fhir_servers=("https://ehr.example.org/fhir",), private_fhir_servers=("https://fhir.hospital.example/r4",)
    )
    assert not settings.allows("https://fhir.hospital.example/r4")


def test_each_setting_is_documented_when_it_is_known() -> None:
    named = re.findall(rf"^\| `{PREFIX}([A-Z_]+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(KNOWN)
