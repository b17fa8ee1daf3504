"""An EHR that signs its calls, before the real service that knows it by its token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hooks.cli import main
from hooks.sandbox.demo import start_service
from hooks.sandbox.identity import thumbprint
from hooks.sandbox.processes import free_port
from tests.hooks.signing import ISS, PrivateKey, clients_file, ec_key, entry, rsa_key


def written(folder: Path, key: PrivateKey) -> str:
    path = folder / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def published(folder: Path, key: PrivateKey) -> dict[str, object]:
    result = run("jwks", written(folder, key))
    assert result.exit_code == 0
    found: dict[str, object] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("key", [rsa_key(), ec_key()])
def test_the_public_half_only_is_printed_when_a_key_is_to_be_registered(tmp_path: Path, key: PrivateKey) -> None:
    (found,) = jwt.PyJWKSet.from_dict(published(tmp_path, key)).keys
    assert found.key == key.public_key()
    assert found.key_id
    assert found.public_key_use == "sig"


# RFC 7638, 3.1
MODULUS = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
    "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
    "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
    "nqDKgw"
)


def test_the_thumbprint_is_that_of_the_standard_when_the_key_is() -> None:
    key = {"kty": "RSA", "n": MODULUS, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory, fhir_server: str) -> Iterator[str]:
    """The address of a service that knows one client, by the key that `jwks` printed."""
    folder, port = tmp_path_factory.mktemp("knowing"), free_port()
    clients = clients_file(folder, entry(keys=published(folder, ec_key())))
    with start_service(port, fhir_server, folder, {"THERAPY_CDS_CLIENTS": str(clients)}) as service:
        service.wait_until_ready()
        yield f"http://127.0.0.1:{port}"


@pytest.mark.integration
@pytest.mark.parametrize(("key", "status", "says"), [(ec_key(), 0, "20 of 14 visits"), (ec_key("other"), 1, "401")])
def test_cards_are_printed_when_the_service_knows_the_key(
    tmp_path: Path, fhir_server: str, knowing: str, key: PrivateKey, status: int, says: str
) -> None:
    signing = ["--client-key", written(tmp_path, key), "--client-iss", ISS]
    result = run("sign", "--service", knowing, "--fhir", fhir_server, "--patient", "f000", *signing)
    assert result.exit_code == status
    assert says in result.output


@pytest.mark.parametrize("half", [["--client-iss", "me"], ["--client-key", "KEY"]])
def test_it_is_a_mistake_when_only_half_of_an_identity_is_given(tmp_path: Path, half: list[str]) -> None:
    given = [written(tmp_path, ec_key()) if each == "KEY" else each for each in half]
    result = run("sign", "--service", "http://127.0.0.1:9", "--fhir", "http://127.0.0.1:9", "--patient", "f000", *given)
    assert result.exit_code == 2
    assert "both --client-key FILE and --client-iss ISS" in result.stderr


@pytest.mark.parametrize("content", [b"", b"secret-4711", "small", "short"])
def test_nothing_of_a_file_is_told_when_it_holds_no_usable_key(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "key.pem"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        written(tmp_path, ec_key("small", "secp256r1") if content == "small" else rsa_key("short", 1024))
    result = run("jwks", str(path))
    assert result.exit_code == 2
    assert str(path) in result.stderr
    assert "4711" not in result.output
