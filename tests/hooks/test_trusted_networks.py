"""Who may call in development: this machine, and private networks that a container's operator names."""

from __future__ import annotations

import pytest

from cds.errors import SettingsError
from hooks.app import create_app
from hooks.settings import PREFIX, Settings


def read(**given: str) -> Settings:
    return Settings.from_environment({f"{PREFIX}{name}": value for name, value in given.items()})


@pytest.mark.parametrize("caller", ["172.28.5.1", "10.0.0.7", "203.0.113.9", "fd00::1", "", "nobody"])
def test_a_caller_elsewhere_is_not_answered_when_no_network_is_trusted(caller: str) -> None:
    assert not read().trusts(caller)
    assert read().trusts("127.0.0.1")


@pytest.mark.parametrize(
    ("caller", "trusted"), [("172.28.5.1", True), ("172.28.6.1", False), ("fd00:5::1", True), ("127.0.0.1", True)]
)
def test_callers_of_a_network_are_answered_when_it_is_trusted(caller: str, trusted: bool) -> None:
    settings = read(TRUSTED_NETWORKS="172.28.5.0/24, fd00:5::/64")
    assert settings.trusts(caller) is trusted


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "203.0.113.0/24", "172.28.5.1/24", "bridge", "10.0.0.0/7"])
def test_a_network_is_refused_when_it_is_public_or_cannot_be_read(network: str) -> None:
    with pytest.raises(SettingsError, match="TRUSTED_NETWORKS"):
        read(TRUSTED_NETWORKS=network)


def test_trusted_networks_are_refused_when_the_service_is_in_production() -> None:
    with pytest.raises(SettingsError, match="TRUSTED_NETWORKS is set"):
        read(
            MODE="production",
            BASE_URL="https://cds.example.org",
            FHIR_SERVERS="https://ehr.example.org/fhir",
            TRUSTED_NETWORKS="172.28.5.0/24",
        )


@pytest.mark.parametrize(("caller", "status"), [("172.28.5.1", 200), ("172.28.6.1", 401), ("127.0.0.1", 200)])
def test_the_service_answers_the_trusted_only_when_a_network_is_named(caller: str, status: int) -> None:
    client = create_app(read(TRUSTED_NETWORKS="172.28.5.0/24")).test_client()
    assert client.get("/cds-services", environ_base={"REMOTE_ADDR": caller}).status_code == status
