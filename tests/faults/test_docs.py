"""The document of faults, the command that plays them, and what it makes of a request."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from hooks.cli import main
from hooks.sandbox.errors import InputError
from hooks.sandbox.fault_proxy import WIRES
from hooks.sandbox.faults import FAULTS, TOKEN, change_request, choose

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"
REQUEST = {"fhirServer": "http://127.0.0.1:1/fhir", "context": {"userId": "Practitioner/1"}, "prefetch": {"goals": {}}}
TEMPLATES = {"goals": "Goal?patient={{context.patientId}}"}


def test_every_fault_is_documented_and_nothing_else_when_the_document_is_read() -> None:
    named = re.findall(r"^\| `([a-z0-9-]+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(FAULTS)


def test_every_fault_does_one_thing_when_it_is_defined() -> None:
    for fault in FAULTS.values():
        ways = [fault.prefetch, fault.page, fault.wire, fault.count is not None]
        assert sum(map(bool, ways)) == 1, fault.name
        assert not fault.wire or fault.wire in WIRES


def test_value_and_types_are_read_when_a_fault_is_named_with_them() -> None:
    chosen = choose("delay=2.5:Encounter,Procedure")
    assert (chosen.fault.name, chosen.value, chosen.types) == ("delay", 2.5, ("Encounter", "Procedure"))
    assert (chosen.befalls("Procedure"), chosen.befalls("Goal")) == (True, False)
    assert choose("refuse").befalls("Goal")


@pytest.mark.parametrize(("text", "says"), [("hiccups", "choose among broken-entries"), ("delay=long", "no number")])
def test_a_fault_is_refused_when_it_cannot_be_read(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        choose(text)


def test_the_request_is_untouched_when_there_is_no_fault() -> None:
    assert change_request(REQUEST, TEMPLATES, chosen=[], proxy="http://127.0.0.1:2/fhir") is REQUEST


def test_the_service_has_to_ask_the_proxy_when_the_server_has_a_fault() -> None:
    changed = change_request(REQUEST, TEMPLATES, chosen=[choose("refuse")], proxy="http://127.0.0.1:2/fhir")
    assert "prefetch" not in changed
    assert changed["fhirServer"] == "http://127.0.0.1:2/fhir"
    assert changed["fhirAuthorization"]["access_token"] == TOKEN


def test_the_service_cannot_ask_when_only_prefetch_has_a_fault() -> None:
    changed = change_request(REQUEST, TEMPLATES, chosen=[choose("null-prefetch")], proxy="http://127.0.0.1:2/fhir")
    assert changed == {"context": REQUEST["context"], "prefetch": {"goals": None}}


def test_the_demo_ends_with_the_list_of_faults_when_one_is_misspelt() -> None:
    result = CliRunner().invoke(main, ["demo", "--once", "--fault", "hiccups"])
    assert result.exit_code == 2
    assert "choose among" in result.stderr


@pytest.mark.integration
def test_the_demo_says_what_could_not_be_read_when_it_has_a_fault() -> None:
    result = CliRunner().invoke(main, ["demo", "--once", "--fault", "refuse:Encounter"])
    assert result.exit_code == 0, result.output
    assert "Fault        refuse (Encounter): the EHR answers 403" in result.output
    assert "Encounter could not be read: the FHIR server refused it (403)" in result.output
