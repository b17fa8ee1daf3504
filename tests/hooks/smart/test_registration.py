"""The file of EHRs that may launch the app."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cds.errors import SettingsError
from hooks.app import create_app
from hooks.settings import Settings
from hooks.smart.app import has_link, smart_of
from hooks.smart.errors import SmartError
from hooks.smart.registration import DEFAULT_SCOPES, Ehr, read_ehrs

GOOD = {"name": "General", "iss": "https://fhir.example.org/r4/", "client_id": "app", "method": "public"}


def written(folder: Path, *entries: Any) -> Path:
    path = folder / "servers.yaml"
    path.write_text(json.dumps({"servers": list(entries)}, indent=1), encoding="utf-8")
    return path


def test_the_usual_is_taken_when_an_entry_says_no_more(tmp_path: Path) -> None:
    (ehr,) = read_ehrs(written(tmp_path, GOOD), production=True)
    assert ehr.iss == "https://fhir.example.org/r4"
    assert ehr.scopes == DEFAULT_SCOPES
    assert ehr.frame_ancestors == ("https://fhir.example.org",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"iss": "http://fhir.example.org/r4"}, r"servers\[0\]\.iss"),
        ({"iss": "http://127.0.0.1:8080/fhir"}, r"servers\[0\]\.iss"),
        ({"iss": "https://user@fhir.example.org"}, r"servers\[0\]\.iss"),
        ({"iss": "https://fhir.example.org/r4?x=1"}, r"servers\[0\]\.iss"),
        ({"iss": "https://fhir.example.org:port/"}, r"servers\[0\]\.iss"),
        ({"frame_ancestors": ["*"]}, "frame_ancestors"),
        ({"frame_ancestors": ["https://ehr.example.org/page"]}, "no origin"),
        ({"frame_ancestors": ["https://a.example; script-src *"]}, "frame_ancestors"),
        ({"fhir_servers": ["ftp://a.example"]}, "fhir_servers"),
        ({"method": "client_secret_basic"}, "method"),
        ({"algorithm": "RS256"}, "algorithm"),
        ({"client_id": ""}, "client_id"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_the_place_is_named_when_an_entry_cannot_be_used(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refusal:
        read_ehrs(written(tmp_path, GOOD | change), production=True)
    assert "servers.yaml:" in refusal.value.where


def test_it_is_refused_when_an_ehr_is_there_twice(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="twice"):
        read_ehrs(written(tmp_path, GOOD, GOOD | {"iss": "https://fhir.example.org/r4"}), production=True)


def test_this_machine_may_be_named_when_it_is_for_development(tmp_path: Path) -> None:
    (ehr,) = read_ehrs(written(tmp_path, GOOD | {"iss": "http://127.0.0.1:8080/fhir"}), production=False)
    assert ehr.frame_ancestors == ("http://127.0.0.1:8080",)


@pytest.mark.parametrize(
    ("fhir_server", "links", "expected"),
    [
        ("https://fhir.example.org/r4", False, True),
        ("https://fhir.example.org/r4/", False, True),
        ("https://other.example.org/r4", False, False),
        ("https://other.example.org/r4", True, True),
        (None, True, False),
        (None, False, False),
    ],
)
def test_cards_have_a_link_when_their_ehr_can_open_it(
    tmp_path: Path, keys_folder: Path, fhir_server: str | None, links: bool, expected: bool
) -> None:
    settings = Settings(smart_servers=written(tmp_path, GOOD), smart_keys=keys_folder, smart_links=links)
    smart = smart_of(settings, *[None] * 3)  # type: ignore[arg-type]
    assert has_link(smart, settings, fhir_server) is expected


def test_there_is_no_app_when_no_file_is_set() -> None:
    assert smart_of(Settings(), *[None] * 3) is None  # type: ignore[arg-type]


def test_an_entry_says_nothing_secret_when_it_is_printed() -> None:
    assert "app" in repr(Ehr("General", "https://fhir.example.org", "app"))


def test_the_settings_of_the_app_are_read_when_they_are_set(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD)
    given = {"SMART_SERVERS": str(file), "SMART_KEYS": str(tmp_path / "keys"), "SMART_LINKS": "on"}
    settings = Settings.from_environment({f"THERAPY_CDS_{name}": value for name, value in given.items()})
    assert settings == Settings(smart_servers=file, smart_keys=tmp_path / "keys", smart_links=True)
    assert settings.smart_keys_folder == tmp_path / "keys"


@pytest.mark.parametrize(("name", "value"), [("SMART_LINKS", "yes"), ("SMART_SERVERS", "/no/such/file")])
def test_a_setting_of_the_app_is_refused_when_it_is_wrong(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"THERAPY_CDS_{name}"):
        Settings.from_environment({f"THERAPY_CDS_{name}": value})


def test_keys_are_kept_beside_the_ledger_when_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/lib/state")
    assert Settings().smart_keys_folder == Path("/var/lib/state/therapy-cds/keys")
    assert Settings().ledger_url == "sqlite:////var/lib/state/therapy-cds/ledger.sqlite3"


def test_each_code_of_the_app_is_explained_when_the_document_is_read() -> None:
    text = (Path(__file__).parents[3] / "docs" / "errors.md").read_text(encoding="utf-8")
    kinds: list[type[SmartError]] = [SmartError, *SmartError.__subclasses__()]
    for kind in kinds:
        assert f"### {kind.code} {kind.__name__}\n" in text


def test_the_app_needs_no_clients_token_when_the_service_is_in_production(tmp_path: Path, keys_folder: Path) -> None:
    clients = tmp_path / "clients.yaml"
    entry = {"name": "General", "iss": "https://ehr.example.org", "jku": "https://ehr.example.org/jwks.json"}
    clients.write_text(json.dumps({"clients": [entry]}), encoding="utf-8")
    settings = Settings(
        base_url="https://cds.example.org", mode="production", fhir_servers=("https://fhir.example.org/r4",),
        clients=clients, smart_servers=written(tmp_path, GOOD), smart_keys=keys_folder,
        database_url=f"sqlite:///{tmp_path}/ledger.sqlite3",
    )  # fmt: skip
    client = create_app(settings).test_client()
    elsewhere = {"REMOTE_ADDR": "203.0.113.9"}
    assert client.get("/smart/.well-known/jwks.json", environ_base=elsewhere).status_code == 200
    refused = client.get("/smart/launch?iss=https://foreign.example.org", environ_base=elsewhere)
    assert (refused.status_code, refused.mimetype) == (403, "text/html")
    assert client.get("/cds-services", environ_base=elsewhere).status_code == 401
    assert client.get("/smart/no/such/page", environ_base=elsewhere).status_code == 401


@pytest.mark.parametrize(("methods", "warned"), [(["public"], 0), (["private_key_jwt"] * 2, 0), (["public"] * 2, 1)])
def test_it_is_warned_when_one_of_several_ehrs_could_take_anothers_code(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, methods: list[str], warned: int
) -> None:
    entries = [GOOD | {"iss": f"https://{n}.example.org", "method": method} for n, method in enumerate(methods)]
    assert len(read_ehrs(written(tmp_path, *entries), production=True)) == len(methods)
    assert sum("as a public client" in record.message for record in caplog.records) == warned
