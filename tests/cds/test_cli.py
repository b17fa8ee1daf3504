from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine
from click.testing import CliRunner, Result

from cds.cli import evaluate, policy
from tests.cds.build import HIP, Json, bundle, coverage, patient, service_request, visits

F000 = Path("fhir_profiles/examples/f000.json")
BAD = Path(__file__).parent / "rules" / "bad_policies"


@pytest.fixture(autouse=True)
def evening_in_los_angeles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """8 March 2025, 20:30 in Los Angeles: the 9th in UTC."""
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    monkeypatch.setenv("COLUMNS", "160")
    time.tzset()
    with time_machine.travel("2025-03-09T04:30:00Z", tick=False):
        yield
    monkeypatch.undo()
    time.tzset()


def run(*arguments: object) -> Result:
    command, *rest = [str(argument) for argument in arguments]
    return CliRunner().invoke({"evaluate": evaluate, "policy": policy}[command], rest)


def file(folder: Path, *resources: Json) -> Path:
    path = folder / "bundle.json"
    path.write_text(json.dumps(bundle(*resources)), "utf-8")
    return path


def test_a_table_is_printed_when_an_example_is_evaluated() -> None:
    done = run("evaluate", F000)
    assert done.exit_code == 0
    for words in (
        "visits-within-benchmark *",
        "not met",
        "20 of 14 visits: 18 completed and 2 requested",
        "28 to 36",
        "20561",
    ):
        assert words in done.output
    assert "approv" not in done.output.lower()
    assert "denied" not in done.output.lower()


def test_json_is_printed_when_it_is_asked_for() -> None:
    done = run("evaluate", F000, "--json")
    told = json.loads(done.output)
    assert done.exit_code == 0
    assert told["asOf"] == "2025-03-10"
    assert [a["outcome"] for a in told["assessments"]] == ["criteria-not-met"]
    assert "cards" in told


def test_the_day_is_the_one_asked_for_when_as_of_is_given() -> None:
    told = json.loads(run("evaluate", F000, "--json", "--as-of", "2025-01-01").output)
    assert told["asOf"] == "2025-01-01"
    assert told["assessments"][0]["visits"]["completed"] == 12


def test_today_is_the_local_day_when_the_order_has_no_date(tmp_path: Path) -> None:
    order = service_request(quantityQuantity=visits(2), authoredOn=None)
    told = json.loads(run("evaluate", file(tmp_path, patient(), coverage(), order), "--json").output)
    assert told["asOf"] == "2025-03-08"


def test_the_policy_is_the_one_asked_for_when_it_is_named(tmp_path: Path) -> None:
    order = service_request(quantityQuantity=visits(2))
    told = json.loads(run("evaluate", file(tmp_path, patient(), order), "--json", "--policy", HIP).output)
    assert told["assessments"][0]["policy"] == HIP


def test_it_is_said_when_no_draft_is_therapy(tmp_path: Path) -> None:
    done = run("evaluate", file(tmp_path, patient(), service_request(code={"text": "Colonoscopy"})))
    assert (done.exit_code, done.output) == (0, "No draft order in this Bundle is a therapy order.\n")


def test_text_of_the_record_is_printed_as_it_stands_when_it_looks_like_markup(tmp_path: Path) -> None:
    clot = {
        "resourceType": "Condition",
        "id": "x",
        "subject": {"reference": "Patient/p"},
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "code": {
            "coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I82.402"}],
            "text": "[/] clot [red]",
        },
    }
    order = service_request(quantityQuantity=visits(2), code={"text": "[/bold] Physical therapy [/]"})
    done = run("evaluate", file(tmp_path, patient(), coverage(), clot, order))
    assert done.exit_code == 0
    assert "[/] clot [red]" in done.output


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("{", "no FHIR Bundle"),
        ("<xml/>", "no FHIR Bundle"),
        (json.dumps(bundle(service_request())), "holds 0 Patients"),
        (json.dumps(bundle(patient())), "holds no draft order"),
        (json.dumps(bundle(patient(), service_request(code=None))), "no code"),
        (json.dumps(bundle(patient(), service_request(subject=None))), "no subject"),
    ],
)
def test_one_line_says_what_is_wrong_when_the_input_cannot_be_used(
    tmp_path: Path, content: str | None, words: str
) -> None:
    path = tmp_path / "bundle.json"
    if content is not None:
        path.write_text(content, "utf-8")
    for flags in ([], ["--json"]):
        done = run("evaluate", path, *flags)
        assert done.exit_code == 2
        assert done.stdout == ""
        assert done.stderr.startswith("therapy-cds: ")
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_known_policies_are_named_when_an_unknown_one_is_asked_for() -> None:
    done = run("evaluate", F000, "--policy", "nowhere")
    assert done.exit_code == 2
    assert "'nowhere'" in done.stderr
    assert HIP in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_program_failed_when_something_unexpected_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("cds.cli.evaluate_bundle", broken)
    assert run("evaluate", F000).exit_code == 1


def test_every_policy_is_listed_when_it_is_asked_for() -> None:
    done = run("policy", "list")
    assert done.exit_code == 0
    assert HIP in done.output
    assert "benchmark" in done.output
    assert "2025-01-01" in done.output


def test_the_policies_are_said_to_be_right_when_nothing_is_wrong() -> None:
    with time_machine.travel("2026-12-01T12:00:00Z"):  # citations are not checked on a day to come
        done = run("policy", "check", HIP)
    assert done.exit_code == 0
    assert "nothing wrong" in done.stdout


def test_every_mistake_is_told_with_file_and_line_when_policies_are_checked() -> None:
    done = run("policy", "check", "--path", BAD)
    assert done.exit_code == 2
    assert "bad_policies/unknown-kind/policy.yaml:33" in done.stderr
    assert "bad_policies/not-yaml/policy.yaml:31" in done.stderr
    assert all(line.startswith("therapy-cds: ") for line in done.stderr.splitlines())


def test_it_is_said_when_there_is_no_folder_to_check(tmp_path: Path) -> None:
    done = run("policy", "check", "--path", tmp_path / "none")
    assert done.exit_code == 2
    assert "no such folder" in done.stderr


def test_a_sites_own_policies_are_used_when_the_environment_names_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    text = (BAD / "good" / "policy.yaml").read_text("utf-8").replace("id: bad-policy", "id: our-own-policy")
    (tmp_path / "own" / "policy.yaml").write_text(text, "utf-8")
    monkeypatch.setenv("THERAPY_CDS_POLICY_PATH", str(tmp_path))
    assert "our-own-policy" in run("policy", "list").output
    assert "our-own-policy" in run("policy", "list", "--path", tmp_path).output
