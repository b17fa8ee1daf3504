"""The file of clients: what it may say, and where it is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cds.errors import SettingsError
from hooks.app import create_app
from hooks.clients import ALGORITHMS, MAX_AGE_SECONDS, Registration, read_clients
from tests.hooks.signing import ISS, clients_file, ec_key, entry, jwk, jwks, production, rsa_key

JKU = "https://ehr.example.org/jwks.json"
DOCUMENT = Path(__file__).parents[2] / "docs" / "clients.md"


def written(folder: Path, text: str) -> tuple[Registration, ...]:
    path = folder / "clients.yaml"
    path.write_text(text, encoding="utf-8")
    return read_clients(path, production=True)


def test_the_recommended_algorithms_are_taken_when_an_entry_names_none(tmp_path: Path) -> None:
    (found,) = written(tmp_path, f"clients: [{{name: General, iss: '{ISS}', jku: '{JKU}'}}]")
    assert (found.client.name, found.client.iss, dict(found.client.configuration)) == ("General", ISS, {})
    assert found.jku == (JKU,)
    assert found.algorithms == ALGORITHMS == ("RS384", "ES384")
    assert found.max_age_seconds == MAX_AGE_SECONDS
    assert found.leniencies == ()


def test_each_key_is_read_when_an_entry_has_it(tmp_path: Path) -> None:
    (tmp_path / "general.json").write_text(json.dumps(jwks(jwk(rsa_key(), "rsa"))), encoding="utf-8")
    text = f"""
clients:
  - name: General
    iss: {ISS}
    jku: [{JKU}, {JKU}?2]
    keys: general.json
    algorithms: [RS256]
    tenant: north
    audience: [sand_man]
    max-age-seconds: 300
    reuse-tokens: true
    lenient-header: true
    card-configuration: {{max-cards: 2, coverage-info: false}}
"""
    (found,) = written(tmp_path, text)
    assert found.jku == (JKU, f"{JKU}?2")
    assert [key.kid for key in found.keys] == ["rsa"]
    assert found.algorithms == ("RS256",)
    assert found.tenants == ("north",)
    assert found.audiences == ("sand_man",)
    assert found.max_age_seconds == 300
    assert len(found.leniencies) == 3
    assert dict(found.client.configuration) == {"max-cards": 2, "coverage-info": False}


@pytest.mark.parametrize(
    ("given", "key", "problem"),
    [
        ({"name": None}, "clients[0]", "'name' is a required property"),
        ({"iss": None}, "clients[0]", "'iss' is a required property"),
        ({"iss": "x" * 256}, "clients[0].iss", "is too long"),
        ({"name": "development"}, "clients[0].name", "is taken"),
        ({"colour": "blue"}, "clients[0].colour", "There is no key 'colour'"),
        ({"keys": None}, "clients[0]", "neither 'jku' nor 'keys'"),
        ({"keys": None, "jku": []}, "clients[0].jku", "non-empty"),
        ({"algorithms": ["none"]}, "clients[0].algorithms[0]", "'none' is not one of"),
        ({"algorithms": ["RS384", "HS256"]}, "clients[0].algorithms[1]", "'HS256' is not one of"),
        ({"algorithms": []}, "clients[0].algorithms", "non-empty"),
        ({"algorithms": ["ES512"]}, "clients[0].keys", "No key fits ES512"),
        ({"jku": "http://ehr.example.org/jwks.json"}, "clients[0].jku", "plain http"),
        ({"jku": "http://127.0.0.1:1/jwks.json"}, "clients[0].jku", "plain http"),
        ({"jku": "ehr.example.org"}, "clients[0].jku", "no address"),
        ({"jku": "file:///etc/passwd"}, "clients[0].jku", "no address"),
        ({"jku": "https://me@ehr.example.org/"}, "clients[0].jku", "no address"),
        ({"jku": "https://ehr.example.org:many/"}, "clients[0].jku", "no address"),
        ({"jku": "https://["}, "clients[0].jku", "no address"),
        ({"keys": "no-such-file.json"}, "clients[0].keys", "cannot be read (FileNotFoundError)"),
        ({"keys": "clients.yaml"}, "clients[0].keys", "it is no JWKS"),
        ({"keys": {"keys": []}}, "clients[0].keys", "no public RSA or EC key"),
        ({"max-age-seconds": 0}, "clients[0].max-age-seconds", "minimum"),
        ({"reuse-tokens": "sometimes"}, "clients[0].reuse-tokens", "not of type 'boolean'"),
        ({"card-configuration": {"max-cards": [1]}}, "clients[0].card-configuration.max-cards", "not of type"),
    ],
)
def test_file_line_and_key_are_named_when_an_entry_is_wrong(
    tmp_path: Path, given: dict[str, Any], key: str, problem: str
) -> None:
    path = clients_file(tmp_path, entry(**given))
    with pytest.raises(SettingsError) as caught:
        read_clients(path, production=True)
    assert problem in caught.value.what
    assert caught.value.where.startswith(f"{path}:")
    assert caught.value.where.endswith(f", key '{key}'")
    assert caught.value.remedy


def test_the_line_is_that_of_the_mistake_when_there_are_several_entries(tmp_path: Path) -> None:
    text = f"clients:\n  - name: A\n    iss: a\n    jku: {JKU}\n  - name: B\n    iss: b\n    jkus: {JKU}\n"
    with pytest.raises(SettingsError) as caught:
        written(tmp_path, text)
    assert caught.value.where == f"{tmp_path / 'clients.yaml'}:7, key 'clients[1].jkus'"


@pytest.mark.parametrize("same", ["name", "iss"])
def test_two_entries_are_refused_when_they_cannot_be_told_apart(tmp_path: Path, same: str) -> None:
    other = entry(name="Other", iss="https://other.example.org") | {same: entry()[same]}
    with pytest.raises(SettingsError, match="is there twice"):
        read_clients(clients_file(tmp_path, entry(), other), production=True)


@pytest.mark.parametrize("text", ["", "[]", "clients: []", "clients: {}", "clients:\n  - name: [", "client: []"])
def test_the_service_does_not_start_when_no_client_can_be_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "clients.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"clients\.yaml"):
        create_app(production(path))


def test_plain_http_is_allowed_when_development_fetches_from_this_machine(tmp_path: Path) -> None:
    path = clients_file(tmp_path, entry(keys=None, jku="http://127.0.0.1:8003/jwks.json"))
    assert read_clients(path, production=False)[0].jku == ("http://127.0.0.1:8003/jwks.json",)
    with pytest.raises(SettingsError, match="plain http"):
        read_clients(clients_file(tmp_path, entry(jku="http://10.0.0.7/jwks.json")), production=False)


@pytest.mark.parametrize("as_list", [True, False])
def test_nothing_of_a_private_key_is_told_when_a_file_holds_one(tmp_path: Path, as_list: bool) -> None:
    key = {"d": "c2VjcmV0LTQ3MTE"} | jwk(ec_key(), "ec")
    secret: Any = [key] if as_list else {"keys": [key]}
    with pytest.raises(SettingsError) as caught:
        read_clients(clients_file(tmp_path, entry(keys=secret)), production=True)
    assert "c2VjcmV0LTQ3MTE" not in str(caught.value)


def test_the_example_can_be_used_when_it_is_copied_from_the_documents(tmp_path: Path) -> None:
    (tmp_path / "lakeside.json").write_text(json.dumps(jwks(jwk(rsa_key(), "2026-01"))), encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    example = text.split("```yaml\n")[1].split("```")[0]
    names = [each.client.name for each in written(tmp_path, example)]
    assert len(names) >= 3
    keys = set(
        json.loads((Path(__file__).parents[2] / "hooks/schemas/clients.json").read_text())["$defs"]["client"][
            "properties"
        ]
    )
    assert {key for key in keys if f"| `{key}` |" in text} == keys
