"""Where connections may lead: names are checked by the address that their socket really has."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from cds.ehr.client import Deadline, Fetched, FhirClient, pooled_session
from cds.ehr.reach import Reach
from cds.model import EvidenceState
from tests.cds.ehr.misbehaving import TOKEN, encounter, misbehaving, replying, searchset

HOST = "fhir.example.org"


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"])
def test_a_public_address_is_allowed_when_nothing_is_listed(address: str) -> None:
    assert Reach().allows(HOST, 443, address)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.5", "172.16.3.4", "192.168.1.1", "127.0.0.1", "169.254.169.254", "100.100.100.200", "0.0.0.0",  # noqa: S104 - refused
        "168.63.129.16", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00:ec2::254",
        "::ffff:10.0.0.5", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
        "64:ff9b:1::a00:5", "::10.0.0.5", "::ffff:0:10.0.0.5", "fec0::1", "192.0.0.192",
        "ff02::1", "no address", "",
    ],
)  # fmt: skip
def test_an_address_is_refused_when_it_is_not_public(address: str) -> None:
    assert not Reach().allows(HOST, 443, address)


def test_loopback_only_is_allowed_beside_public_ones_when_it_says_so() -> None:
    reach = Reach(loopback=True)
    assert reach.allows("localhost", 8080, "127.0.0.1")
    assert reach.allows("localhost", 8080, "::1")
    assert not reach.allows("localhost", 8080, "10.0.0.5")


def test_a_private_address_is_allowed_when_its_host_and_port_are_listed() -> None:
    reach = Reach.of(["https://FHIR.hospital.example/r4"], loopback=False)
    assert reach.allows("fhir.hospital.example", 443, "10.0.0.5")
    assert not reach.allows("fhir.hospital.example", 22, "10.0.0.5")
    assert not reach.allows("other.hospital.example", 443, "10.0.0.5")


def search(base: str, reach: Reach) -> Fetched:
    with pooled_session(2, reach) as session:
        return FhirClient(session, base, TOKEN).search("Encounter?patient=f000", Deadline.after(5))


@pytest.fixture
def rebound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that answers for a public name with this machine's address."""
    real = socket.getaddrinfo

    def lie(host: str, *args: Any, **named: Any) -> Any:
        return real("127.0.0.1" if host == HOST else host, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lie)


@pytest.mark.usefixtures("rebound")
def test_nothing_is_sent_when_a_public_name_leads_to_a_private_address() -> None:
    with misbehaving(replying(searchset(encounter()))) as server:
        port = urlsplit(server.base).port
        fetched = search(f"http://{HOST}:{port}/fhir", Reach())
        assert server.seen == []
        assert fetched.state is EvidenceState.FAILED
        assert "leads to a private address" in fetched.reason
        assert search(f"http://{HOST}:{port}/fhir", Reach.of([f"http://{HOST}:{port}"], loopback=False)).resources
        assert len(server.seen) == 1


def test_no_tls_is_begun_when_the_address_is_private() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        fetched = search(f"https://127.0.0.1:{listening.getsockname()[1]}/fhir", Reach())
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(5)
            assert connection.recv(100) == b"", "not a byte, not even of TLS"
    assert "private address" in fetched.reason


def test_this_machine_is_asked_when_development_allows_it() -> None:
    with misbehaving(replying(searchset(encounter()))) as server:
        assert search(server.base, Reach(loopback=True)).state is EvidenceState.FETCHED
