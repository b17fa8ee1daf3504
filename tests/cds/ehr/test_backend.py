"""The service's own access to a FHIR server: for what the caller's token does not give, and for nobody else."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cds.ehr import backend as backend_module
from cds.ehr.backend import BackendClient
from cds.ehr.backend_file import read_backend_clients
from cds.ehr.client import Deadline, Fetched, FhirClient, pooled_session
from cds.ehr.server import FhirServer
from cds.errors import SettingsError
from cds.model import EvidenceState
from hooks.sandbox import fhir_server
from hooks.sandbox.processes import free_port
from tests.cds.ehr.misbehaving import (
    TOKEN,
    Handler,
    encounter,
    hanging_up,
    misbehaving,
    replying,
    searchset,
    slow_first_byte,
)

SEARCH = "Encounter?patient=f000"
BACKEND_TOKEN = "backend-token-0816"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP384R1())


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with pooled_session(8) as shared:
        yield shared


class Ehr:
    """A FHIR server with a token endpoint: takes what tokens it says, and remembers what it was sent."""

    def __init__(self, takes: tuple[str, ...] = (BACKEND_TOKEN,), refuses: int = 401) -> None:
        self.takes = takes
        self.refuses = refuses
        self.issued = 0
        self.lifetime = 300.0
        self.assertions: list[str] = []
        self.endpoint = ""
        self.token_answer: Callable[[Handler], None] | None = None

    def __call__(self, handler: Handler) -> None:
        if handler.path.endswith("/smart-configuration"):
            handler.reply({"token_endpoint": self.endpoint or f"http://{handler.headers['Host']}/token"})
        elif handler.path == "/token":
            self.issued += 1
            self.assertions.append(parse_qs(handler.server.seen[-1].body)["client_assertion"][0])
            token = {"access_token": BACKEND_TOKEN, "token_type": "Bearer", "expires_in": self.lifetime}
            (self.token_answer or replying(token))(handler)
        elif handler.headers.get("Authorization", "").removeprefix("Bearer ") in self.takes:
            handler.reply(searchset(encounter()))
        else:
            handler.reply({}, self.refuses)


def server_at(session: requests.Session, base: str, **more: Any) -> FhirServer:
    return FhirServer(session, base, BackendClient(server=base, client_id="therapy-cds", key=KEY, **more))


def search(session: requests.Session, server: FhirServer, token: str | None, seconds: float = 5) -> Fetched:
    return FhirClient(session, server.base, token, server).search(SEARCH, Deadline.after(seconds))


@pytest.mark.parametrize(("token", "refuses"), [(None, 401), (TOKEN, 401), (TOKEN, 403)])
def test_it_is_used_when_the_callers_token_does_not_do(
    session: requests.Session, token: str | None, refuses: int
) -> None:
    ehr = Ehr(refuses=refuses)
    with misbehaving(ehr) as running:
        server = server_at(session, running.base)
        assert [search(session, server, token).state for _ in range(3)] == [EvidenceState.FETCHED] * 3
        claims = jwt.decode(ehr.assertions[0], KEY.public_key(), ["RS384"], audience=f"{running.base[:-5]}/token")
    assert ehr.issued == 1, "the token is kept"
    assert (claims["iss"], claims["sub"]) == ("therapy-cds", "therapy-cds")
    assert 0 < claims["exp"] - time.time() <= 300
    assert claims["jti"]


def test_it_is_not_used_when_the_callers_token_does(session: requests.Session) -> None:
    ehr = Ehr(takes=(TOKEN,))
    with misbehaving(ehr) as running:
        assert search(session, server_at(session, running.base), TOKEN).state is EvidenceState.FETCHED
    assert ehr.issued == 0


def test_the_assertion_is_signed_with_es384_when_the_key_is_of_that_kind() -> None:
    client = BackendClient(server="x", client_id="c", key=EC_KEY, algorithm="ES384", key_id="k1")
    signed = client.assertion("https://ehr.example.org/token")
    assert jwt.get_unverified_header(signed) == {"alg": "ES384", "typ": "JWT", "kid": "k1"}
    assert jwt.decode(signed, EC_KEY.public_key(), ["ES384"], audience="https://ehr.example.org/token")


def test_one_token_is_fetched_when_many_searches_need_it_at_once(session: requests.Session) -> None:
    ehr = Ehr()
    with misbehaving(ehr) as running, ThreadPoolExecutor(8) as pool:
        server = server_at(session, running.base)
        states = set(pool.map(lambda _: search(session, server, None).state, range(8)))
    assert (states, ehr.issued) == ({EvidenceState.FETCHED}, 1)


def test_another_token_is_fetched_when_the_first_expires(session: requests.Session) -> None:
    ehr = Ehr()
    ehr.lifetime = 0.2
    with misbehaving(ehr) as running:
        server = server_at(session, running.base)
        search(session, server, None)
        time.sleep(0.15)
        search(session, server, None)
    assert (ehr.issued, len(set(ehr.assertions))) == (2, 2)


def test_another_token_is_fetched_once_when_the_server_takes_it_no_more(session: requests.Session) -> None:
    ehr = Ehr()
    with misbehaving(ehr) as running:
        server = server_at(session, running.base)
        search(session, server, None)
        ehr.takes = ()
        assert search(session, server, None).state is EvidenceState.REFUSED
    assert ehr.issued == 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (replying({}, 500), "the token endpoint answered 500"),
        (replying({"error": "invalid_client"}, 400), "the token endpoint answered 400"),
        (replying({"error": "invalid_client"}, 401), "the token endpoint refused it (401)"),
        (replying({"access_token": "", "token_type": "bearer"}), "no bearer token"),
        (replying({"access_token": "x", "token_type": "mac"}), "no bearer token"),
        (replying(b"<html>"), "is no token"),
        (replying(b"", 302, {"Location": "http://127.0.0.1:9/"}), "redirects are not followed"),
        (hanging_up, "the token endpoint could not be reached"),
    ],
)
def test_the_gap_says_so_when_no_token_can_be_had(
    session: requests.Session, answer: Callable[[Handler], None], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ehr = Ehr()
    ehr.token_answer = answer
    with misbehaving(ehr) as running:
        server = server_at(session, running.base)
        fetched = search(session, server, TOKEN)
        before = ehr.issued
        assert search(session, server, TOKEN).reason == fetched.reason
        assert ehr.issued == before, "a failure is remembered for a moment"
    assert fetched.resources == ()
    assert "refused it (401); backend access failed: " in fetched.reason
    assert says in fetched.reason
    said = "".join(record.getMessage() for record in caplog.records if record.name.startswith("cds"))
    assert not [secret for secret in (TOKEN, *ehr.assertions) if secret in f"{said}{fetched!r}{server.backend!r}"]


def test_the_deadline_is_kept_when_the_token_endpoint_is_slow(session: requests.Session) -> None:
    ehr = Ehr()
    ehr.token_answer = slow_first_byte(3)
    with misbehaving(ehr) as running, ThreadPoolExecutor(4) as pool:
        server = server_at(session, running.base)
        began = time.monotonic()
        states = set(pool.map(lambda _: search(session, server, None, 0.4).state, range(4)))
        assert time.monotonic() - began < 0.5
    assert states == {EvidenceState.LATE}


def test_no_assertion_is_sent_elsewhere_when_the_server_names_another_token_endpoint(
    session: requests.Session,
) -> None:
    ehr, elsewhere = Ehr(), Ehr()
    with misbehaving(ehr) as running, misbehaving(elsewhere) as other:
        ehr.endpoint = f"{other.base[:-5]}/token"
        refused = search(session, server_at(session, running.base), None)
        assert (other.seen, "elsewhere that is not on the list" in refused.reason) == ([], True)
        allowed = server_at(session, running.base, token_origins=(other.base,))
        assert search(session, allowed, None).state is EvidenceState.FETCHED
        named = server_at(session, running.base, token_endpoint=ehr.endpoint)
        assert search(session, named, None).state is EvidenceState.FETCHED
    assert elsewhere.issued == 2


def test_no_other_server_gets_the_token_when_it_asks_for_one(session: requests.Session) -> None:
    with misbehaving(Ehr()) as running, misbehaving(Ehr()) as other:
        assert search(session, server_at(session, running.base), None).state is EvidenceState.FETCHED
        assert search(session, FhirServer(session, other.base), None).state is EvidenceState.REFUSED
        assert not [seen for seen in other.seen if "Authorization" in seen.headers]


def test_nothing_secret_is_shown_when_a_client_is_printed(session: requests.Session) -> None:
    client = BackendClient(server="https://ehr.example.org", client_id="c", key=KEY)
    shown = f"{client!r}{backend_module.BackendTokens(session, client)!r}"
    assert "PrivateKey" not in shown
    assert "key=" not in shown


# ---------------------------------------------------------------------------------------------------- the file

SERVER = "https://ehr.example.org/r4"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, key in (("rsa", KEY), ("ec", EC_KEY), ("p256", ec.generate_private_key(ec.SECP256R1()))):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{name}.pem").write_bytes(pem)
    (tmp_path / "odd.pem").write_text(f"{TOKEN} is no key")
    return tmp_path


def written(folder: Path, *entries: object) -> Path:
    path = folder / "backend.yaml"
    path.write_text(json.dumps({"servers": entries}), encoding="utf-8")
    return path


def entry(**more: object) -> dict[str, object]:
    return {"server": SERVER, "client_id": "therapy-cds", "key_file": "rsa.pem"} | more


@pytest.mark.parametrize(("key", "algorithm"), [("rsa.pem", "RS384"), ("ec.pem", "ES384")])
def test_the_algorithm_is_that_of_the_key_when_the_file_is_read(folder: Path, key: str, algorithm: str) -> None:
    (client,) = read_backend_clients(written(folder, entry(server=f"{SERVER}/", key_file=key)), [SERVER])
    assert (client.server, client.algorithm, client.scopes) == (SERVER, algorithm, "system/*.rs")
    assert client.may_ask("https://ehr.example.org/token")
    assert not replace(client, token_endpoint="https://login.example.org/t").may_ask("https://ehr.example.org/token")
    assert not client.may_ask("https://login.example.org/token")
    assert not client.may_ask("https://[")


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([], "no list"),
        (["x"], "is no mapping"),
        ([entry(server="https://other.example.org")], "names https://other.example.org"),
        ([entry(), entry()], "twice"),
        ([entry(secret="x")], "unknown key 'secret'"),
        ([entry(client_id="")], "no 'client_id'"),
        ([entry(client_id=["x"])], "no text"),
        ([entry(key_file="none.pem")], "FileNotFoundError"),
        ([entry(key_file="odd.pem")], "ValueError"),
        ([entry(key_file="p256.pem")], "another kind"),
        ([entry(token_endpoint="http://login.example.org/t")], "would send assertions"),
        ([entry(token_endpoint="https://a@login.example.org/t")], "would send assertions"),
        ([entry(token_origins="https://login.example.org")], "no list"),
        ([entry(token_origins=["ftp://login.example.org"])], "would send assertions"),
    ],
)
def test_it_is_refused_when_the_file_is_wrong(folder: Path, entries: list[object], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_backend_clients(written(folder, *entries), [SERVER])
    assert says in str(caught.value)
    assert caught.value.remedy
    assert TOKEN not in str(caught.value)


# ----------------------------------------------------------------------------------------------- a real server


@pytest.fixture(scope="module")
def smart_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real FHIR server that gives tokens to this service's key, and nothing without one."""
    folder, port = tmp_path_factory.mktemp("smart"), free_port()
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "public.pem").write_bytes(public)
    known = {"client_id": "therapy-cds", "public_key_path": str(folder / "public.pem"), "scopes": "system/Encounter.rs"}
    config = fhir_server.settings_for(port, folder) | {"server_auth": {"types": ["smart"], "smart_clients": [known]}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fhir_server, "settings_for", lambda *_: config)
        program = fhir_server.start_fhir_server(port, folder)
    with program:
        program.wait_until_ready()
        yield f"http://127.0.0.1:{port}/fhir"


@pytest.mark.integration
@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_real_server_is_read_when_its_token_endpoint_knows_the_key(
    session: requests.Session, smart_server: str, token: str | None
) -> None:
    assert search(session, FhirServer(session, smart_server), token).state is EvidenceState.REFUSED
    server = server_at(session, smart_server, scopes="system/Encounter.rs")
    assert search(session, server, token).state is EvidenceState.FETCHED
    goals = FhirClient(session, smart_server, token, server).search("Goal?patient=f000", Deadline.after(5))
    assert (goals.state, "(403)" in goals.reason) == (EvidenceState.REFUSED, True), "out of scope"


@pytest.mark.integration
def test_a_real_server_refuses_when_its_token_endpoint_does_not_know_the_key(
    session: requests.Session, smart_server: str
) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    backend = BackendClient(server=smart_server, client_id="therapy-cds", key=stranger)
    fetched = search(session, FhirServer(session, smart_server, backend), None)
    assert fetched.state is EvidenceState.REFUSED
    assert "backend access failed: the token endpoint refused it (401)" in fetched.reason
