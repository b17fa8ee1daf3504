"""Version negotiation and configuration options: what discovery offers, and what a request may ask for."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from cds.errors import UnsupportedVersion
from hooks.configuration import (
    CARD_TYPES,
    CONFIGURATION_KEY,
    OPTIONS_KEY,
    REQUESTED_KEY,
    ROLES,
    VERSION_KEY,
    Configuration,
    options,
    read_configuration,
    service_extension,
)
from tests.hooks.calls import EXAMPLES, Json, answered, post, refused, request

# A version as the kit that tests CRD servers reads it.
VERSION = re.compile(r"[1-9]\d*\.\d+")
THO = "http://terminology.hl7.org/CodeSystem/cdshooks-card-type"
TEMPORARY = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"


def configured(asked: object, role: str = "payer", defaults: Json | None = None) -> Configuration:
    return read_configuration({CONFIGURATION_KEY: asked}, role, defaults)


def asking(name: str = "f000", version: str | None = None, **asked: Any) -> Json:
    """A request with a configuration; `max_cards` stands for `max-cards`."""
    settings = {code.replace("_", "-"): value for code, value in asked.items()}
    return request(name=name, extension={CONFIGURATION_KEY: settings} | ({REQUESTED_KEY: version} if version else {}))


# -------------------------------------------------------------------------------------------------- discovery


@pytest.mark.parametrize("role", ROLES)
def test_options_are_whole_and_unique_when_they_are_listed(role: str) -> None:
    listed = service_extension(role)[OPTIONS_KEY]
    for option in listed:
        assert set(option) == {"code", "type", "name", "description", "default"}
        assert type(option["default"]) is {"boolean": bool, "integer": int}[option["type"]]
        assert all(isinstance(option[text], str) and option[text] for text in ("code", "name", "description"))
    for text in ("code", "name", "description"):
        assert len({option[text] for option in listed}) == len(listed)
    assert {option["code"] for option in listed} == {*CARD_TYPES, "coverage-info", "max-cards"}
    assert all(VERSION.fullmatch(version) for version in service_extension(role)[VERSION_KEY])


def test_coverage_information_is_offered_when_a_payer_runs_the_service_and_on_request_elsewhere() -> None:
    defaults = {role: {option.code: option.default for option in options(role)} for role in ROLES}
    assert defaults["payer"]["coverage-info"] is True
    assert defaults["provider"]["coverage-info"] is False


def test_each_service_lists_them_when_services_are_discovered(client: FlaskClient) -> None:
    services = client.get("/cds-services").get_json()["services"]
    assert services
    for service in services:
        assert service["extension"] == service_extension("provider")


def test_each_type_of_card_has_its_switch_when_cards_are_returned(client: FlaskClient) -> None:
    shown = {
        card["source"]["topic"]["code"] for name in EXAMPLES for card in answered(client, request(name=name))["cards"]
    }
    assert len(shown) > 2
    assert shown <= set(CARD_TYPES)


# --------------------------------------------------------------------------------------------------- versions


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("2.0", "2.0"), ("2.1", "2.1"), ("2.2", "2.2"), ("2.0.1", "2.0"), ("2.2.1", "2.2"), (None, "2.2")],
)
def test_a_version_is_answered_in_when_it_is_one_of_ours(asked: str | None, expected: str) -> None:
    assert read_configuration({REQUESTED_KEY: asked}, "payer").version == expected


def test_the_latest_is_answered_in_when_no_version_is_asked_for() -> None:
    assert read_configuration({}, "payer").version == "2.2"


@pytest.mark.parametrize(
    "asked", ["1.0", "2.3", "3.0", "2", "", "v2.2", "2.2\n", "2.2.1.1", 2.2, 5, True, [], {}, ["2.2"]]
)
def test_a_version_is_refused_when_it_is_none_of_ours(client: FlaskClient, asked: object) -> None:
    with pytest.raises(UnsupportedVersion):
        read_configuration({REQUESTED_KEY: asked}, "payer")
    issue = refused(post(client, request(extension={REQUESTED_KEY: asked})), 422, "CDS-107")
    assert issue["code"] == "not-supported"
    assert issue["expression"] == ["extension['davinci-crd.requestedVersion']"]
    assert "2.0, 2.1, 2.2" in issue["details"]["text"]


@pytest.mark.parametrize(("version", "system"), [("2.0", TEMPORARY), ("2.1", TEMPORARY), ("2.2", THO), (None, THO)])
def test_cards_have_the_shape_of_the_version_when_it_is_asked_for(
    client: FlaskClient, version: str | None, system: str
) -> None:
    cards = answered(client, asking(version=version))["cards"]
    reference = "ServiceRequest/f000-order"
    about = reference if version == "2.0" else {"reference": reference}
    assert cards
    for card in cards:
        assert card["source"]["topic"]["system"] == system
        assert card["extension"]["davinci-crd.associated-resource"] == [about]


# ---------------------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, Configuration(coverage_info=True)),
        ({"coverage-info": False}, Configuration(coverage_info=False)),
        ({"limits": False, "guideline": True}, Configuration(off=frozenset(["limits"]), coverage_info=True)),
        ({"max-cards": 0}, Configuration(max_cards=0, coverage_info=True)),
        ({"max-cards": 10}, Configuration(max_cards=10, coverage_info=True)),
        ({"max-cards": 11}, Configuration(coverage_info=True)),
        ({"max-cards": -1}, Configuration(coverage_info=True)),
        ({"max-cards": True}, Configuration(coverage_info=True)),
        ({"max-cards": 2.5}, Configuration(coverage_info=True)),
        ({"max-cards": "5"}, Configuration(coverage_info=True)),
        ({"coverage-info": "false", "limits": 0, "guideline": None}, Configuration(coverage_info=True)),
        ({"alt-drug": False, "coverage": False, "": 5}, Configuration(coverage_info=True)),
        (None, Configuration(coverage_info=True)),
        ([{"limits": False}], Configuration(coverage_info=True)),
        ("limits", Configuration(coverage_info=True)),
    ],
)
def test_what_can_be_obeyed_is_obeyed_when_a_configuration_is_sent(asked: object, expected: Configuration) -> None:
    assert configured(asked) == expected


def test_the_clients_own_settings_hold_when_the_request_says_nothing_else() -> None:
    own: Json = {"coverage-info": True, "max-cards": 1, "limits": False, "guideline": "off"}
    assert configured({}, "provider", own) == Configuration(max_cards=1, off=frozenset(["limits"]), coverage_info=True)
    assert configured({"limits": True, "max-cards": 99}, "provider", own) == Configuration(
        max_cards=1, coverage_info=True
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


@given(
    JSON | st.dictionaries(st.sampled_from((*CARD_TYPES, "coverage-info", "max-cards", "x")), JSON),
    st.sampled_from(ROLES),
)
def test_a_configuration_is_never_an_error_when_it_is_nonsense(asked: object, role: str) -> None:
    found = configured(asked, role)
    assert 0 <= found.max_cards <= 10
    assert found.off <= set(CARD_TYPES)


@pytest.mark.parametrize("budget", range(11))
def test_an_order_gets_no_more_cards_than_asked_for_when_the_budget_is_moved(client: FlaskClient, budget: int) -> None:
    usual = [card["summary"] for card in answered(client, asking(max_cards=10))["cards"]]
    given_ = [card["summary"] for card in answered(client, asking(max_cards=budget))["cards"]]
    assert given_ == usual[:budget]
    assert len(usual) > 3


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_type_of_card_is_left_out_when_it_is_switched_off(client: FlaskClient, name: str) -> None:
    usual = answered(client, asking(name, max_cards=10))["cards"]
    for kind in {card["source"]["topic"]["code"] for card in usual}:
        left = answered(client, request(name=name, extension={CONFIGURATION_KEY: {kind: False, "max-cards": 10}}))[
            "cards"
        ]
        expected = [card["summary"] for card in usual if card["source"]["topic"]["code"] != kind]
        assert [card["summary"] for card in left] == expected


def test_nothing_is_shown_when_everything_is_switched_off(client: FlaskClient) -> None:
    off = dict.fromkeys(CARD_TYPES, False) | {"coverage-info": False}
    answer = answered(client, request(extension={CONFIGURATION_KEY: off}))
    assert answer["cards"] == []
    assert "systemActions" not in answer
