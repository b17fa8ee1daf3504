"""The commands as a person types them, before the real service and a real FHIR server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hooks.cli import main
from hooks.sandbox.examples import Example
from hooks.sandbox.http import FhirServer
from hooks.sandbox.processes import free_port

pytestmark = pytest.mark.integration
NOBODY = "http://127.0.0.1:9"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_cards_are_printed_when_an_example_is_signed(service_url: str, fhir_server: str) -> None:
    result = run("sign", "--service", service_url, "--fhir", fhir_server, "--patient", "f000")
    assert result.exit_code == 0
    assert "20 of 14 visits" in result.output
    assert "WARNING" in result.output
    assert "criteria not met" in result.output
    assert "18 completed + 2 requested = 20, limit 14; 28 to 36 projected" in result.output


def test_response_is_printed_as_it_came_when_json_is_wanted(service_url: str, fhir_server: str) -> None:
    result = run("sign", "--service", service_url, "--fhir", fhir_server, "--patient", "Patient/f000", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["cards"]


def test_order_of_a_file_is_signed_when_one_is_given(
    service_url: str, fhir_server: str, tmp_path: Path, examples: tuple[Example, ...]
) -> None:
    (draft,) = next(example.drafts for example in examples if example.name == "f000")
    order = tmp_path / "order.json"
    order.write_text(json.dumps(draft | {"quantityQuantity": {"value": 1, "unit": "visit"}}))
    signed = run("sign", "--service", service_url, "--fhir", fhir_server, "--patient", "f000", "--order", str(order))
    assert "19 of 14 visits" in signed.output


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["sign", "--service", NOBODY, "--fhir", NOBODY, "--patient", "f000"], 1, "nobody answers"),
        (["sign", "--service", NOBODY, "--fhir", NOBODY, "--patient", "nobody"], 2, "--order FILE"),
        (["sign", "--service", "ftp://x", "--fhir", NOBODY, "--patient", "f000"], 2, "http or https"),
        (["sign", "--service", NOBODY], 2, "--fhir"),
        (["load", "--fhir", NOBODY, "/missing"], 2, "no such folder"),
        (["load", "--fhir", NOBODY], 1, "nobody answers"),
        (["unheard-of"], 2, "No such command"),
        (["serve", "--port", "70000"], 2, "--port"),
    ],
)
def test_one_line_says_what_is_wrong_when_a_command_cannot_be_done(
    arguments: list[str], status: int, says: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == status
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_patient_is_said_to_be_missing_when_the_server_has_none(
    service_url: str, fhir_server: str, tmp_path: Path
) -> None:
    order = tmp_path / "order.json"
    order.write_text('{"resourceType": "ServiceRequest", "id": "o", "subject": {"reference": "Patient/none"}}')
    result = run("sign", "--service", service_url, "--fhir", fhir_server, "--patient", "none", "--order", str(order))
    assert result.exit_code == 2
    assert "404" in result.stderr


def test_refusal_is_told_with_its_text_when_the_service_rejects_an_order(
    service_url: str, fhir_server: str, tmp_path: Path
) -> None:
    order = tmp_path / "order.json"
    draft = {"resourceType": "ServiceRequest", "id": "o", "status": "draft", "subject": {"reference": "Patient/f000"}}
    order.write_text(json.dumps(draft))
    result = run("sign", "--service", service_url, "--fhir", fhir_server, "--patient", "f000", "--order", str(order))
    assert result.exit_code == 2
    assert "code" in result.stderr
    assert "No advice" not in result.output


def test_examples_stand_on_the_server_when_they_are_loaded(fhir_server: str, examples: tuple[Example, ...]) -> None:
    result = run("load", "--fhir", fhir_server)
    assert result.exit_code == 0
    for example in examples:
        assert f"{example.name}: {len(example.record)} resources of Patient/{example.patient_id}" in result.output
    assert len(FhirServer(fhir_server).search("Encounter?patient=f000&_count=7")) == 18
    assert not FhirServer(fhir_server).search("ServiceRequest?patient=f000")


def test_refusal_is_told_with_its_text_when_the_fhir_server_rejects_an_example(
    fhir_server: str, tmp_path: Path
) -> None:
    patient = {"resourceType": "Patient", "id": "bad", "birthDate": "yesterday"}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient}]}
    (tmp_path / "bad.json").write_text(json.dumps(bundle))
    result = run("load", "--fhir", fhir_server, str(tmp_path))
    assert result.exit_code == 2
    assert "birthDate" in result.stderr


def test_other_port_is_asked_for_when_one_is_taken(fhir_server: str) -> None:
    port = fhir_server.removesuffix("/fhir").rpartition(":")[2]
    result = run("serve", "--port", port)
    assert result.exit_code == 2
    assert "choose another" in result.stderr


@pytest.mark.parametrize("setting", ["THERAPY_CDS_MODE", "THERAPY_CDS_POLICY_PATH"])
def test_service_does_not_start_when_a_setting_is_wrong(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(setting, "/missing")
    result = run("serve", "--port", str(free_port()))
    assert result.exit_code == 2
    assert setting in result.stderr


def demo(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hooks.cli", "demo", *arguments]
    # A test run in the background may have been told to ignore Ctrl-C; what it starts must not inherit that.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    finally:
        signal.signal(signal.SIGINT, former)


def children_of(parent: int) -> set[int]:
    # Linux tells a process's children; elsewhere this test looks at nothing.
    listed = Path(f"/proc/{parent}/task/{parent}/children")
    found = {int(child) for child in listed.read_text().split()} if listed.exists() else set()
    return found | {grandchild for child in found for grandchild in children_of(child)}


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_demo_prints_every_patient_and_ends_when_it_runs_once() -> None:
    process = demo("--once")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    for name in ("f000", "f001"):
        assert f"Patient {name}" in output
    assert "20 of 14 visits" in output
    assert "28 to 36 projected" in output
    assert "HAGOS" in output
    assert "iHOT" in output
    assert "20561" in output
    assert "overridden, The record is wrong. The service has noted it." in output
    assert "the chain holds" in output
    assert "f000 comes out the same again; under today's policies: the same" in output
    assert "5 calls, 8 cards, 1 overridden (1 as a false alarm), 7 without feedback" in output
    assert "/insights" in output


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_nothing_is_left_running_when_the_demo_is_ended(number: signal.Signals, status: int) -> None:
    process = demo()
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert any(line.startswith("Sandbox EHR") for line in lines)
    children = children_of(process.pid)
    os.kill(process.pid, number)
    process.communicate(timeout=30)
    assert process.returncode == status
    assert not [child for child in children if is_running(child)]


def test_log_is_shown_when_a_part_of_the_demo_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hooks.sandbox.fhir_server.START", "raise SystemExit('no disk left')")
    result = run("demo", "--once")
    assert result.exit_code == 1
    assert "the FHIR server (sekmet-fhir) ended at once" in result.stderr
    assert "no disk left" in result.stderr
