"""`replay` and `report` as a person types them, on a ledger that a real service has written."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine
import yaml
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, text

from cds.rules.load import packaged_policies
from hooks.app import create_app
from hooks.cli import main
from hooks.settings import Settings
from tests.hooks.calls import EXAMPLES, Json, answered, draft, post, request, resources

FEEDBACK = "/cds-services/order-sign-therapy/feedback"
DAY = "2026-03-10T12:00:00+00:00"
HIP = "hip-pain-extended-therapy"


class Service:
    """A service with a ledger of its own, called in this process."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.url = f"sqlite:///{file}"
        self.app = create_app(Settings(database_url=self.url))
        self.client = self.app.test_client()

    def sign(self, name: str = "f000", **more: Any) -> Json:
        return answered(self.client, request(name=name, **more))

    def override(self, card: Json, code: str = "record-wrong", comment: str = "") -> None:
        reason = next(each for each in card["overrideReasons"] if each["code"] == code)
        said = {"reason": reason, "userComment": comment}
        item = {"card": card["uuid"], "outcome": "overridden", "overrideReason": said}
        assert post(self.client, {"feedback": [item]}, FEEDBACK).status_code == 200

    def change(self, statement: str) -> None:
        """Change the database behind the service's back, past its triggers."""
        engine = create_engine(self.url)
        with engine.begin() as connection:
            for name in ("entries_kept", "entries_stay", "blobs_kept"):
                connection.execute(text(f"DROP TRIGGER {name}"))
            connection.execute(text(statement))
        engine.dispose()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service on a day that stays."""
    with time_machine.travel(DAY, tick=False):
        yield Service(tmp_path / "ledger.sqlite3")


def run(service: Service, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--database", service.url])


def assessment_id(answer: Json, index: int = 0) -> str:
    return str(answer["extension"]["example.therapy-cds.assessments"][index]["id"])


# ------------------------------------------------------------------------------------------------- replay


@pytest.mark.parametrize("by", ["entry", "assessment", "card"])
def test_call_comes_out_the_same_again_when_it_is_named(service: Service, by: str) -> None:
    answer = service.sign()
    entry = service.app.extensions["therapy-cds"].ledger.find(answer["cards"][0]["uuid"])
    names = {"entry": entry.id, "assessment": assessment_id(answer), "card": answer["cards"][0]["uuid"]}
    result = run(service, "replay", names[by])
    assert result.exit_code == 0, result.output
    assert "2026-03-10T12:00:00Z  order-sign-therapy, called by development" in result.output
    assert f"ServiceRequest/f000-order: criteria-not-met ({HIP} 2025-01-01)" in result.output
    assert "The same again (code" in result.output
    assert "Under today's policies: the same." in result.output


def test_difference_is_told_and_the_status_is_1_when_the_code_says_something_else(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = service.sign()
    monkeypatch.setattr("cds.replay.whole_assessment", changed_assessment)
    result = run(service, "replay", assessment_id(answer))
    assert result.exit_code == 1
    assert "NOT the same again" in result.output
    assert "ServiceRequest/f000-order, outcome: criteria-not-met then, criteria-met now" in result.output


def changed_assessment(assessment: Any) -> Json:
    """An assessment as a code with a fault in it would tell it."""
    from cds.as_json import whole_assessment

    return whole_assessment(assessment) | {"outcome": "criteria-met"}


def test_policy_of_today_is_told_to_differ_when_it_was_changed_since(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = service.sign()
    folder = tmp_path / "policies" / HIP
    shutil.copytree(str(packaged_policies().joinpath(HIP)), folder)
    policy = folder / "policy.yaml"
    policy.write_text(re.sub(r"\b14\b", "30", policy.read_text(encoding="utf-8")), encoding="utf-8")
    monkeypatch.setenv("THERAPY_CDS_POLICY_PATH", str(tmp_path / "policies"))
    result = run(service, "replay", assessment_id(answer))
    assert result.exit_code == 0, result.output
    assert "The same again" in result.output
    assert "Under today's policies it would differ:" in result.output
    assert "visits.limit: 14 then, 30 now" in result.output
    told = json.loads(run(service, "replay", assessment_id(answer), "--json").output)
    assert told["same"] is True
    assert told["today"]["same"] is False
    assert {"order": "ServiceRequest/f000-order", "where": "visits.limit", "then": 14, "now": 30} in told["today"][
        "differences"
    ]


def test_every_call_is_replayed_when_all_are_wanted(service: Service) -> None:
    for name in EXAMPLES:
        service.sign(name)
    result = run(service, "replay", "--all")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("5 calls: 5 the same again, 0 not, 0 past their retention; 0 would differ")
    lines = run(service, "replay", "--all", "--json").output.splitlines()
    assert [json.loads(line)["same"] for line in lines] == [True] * 5


def test_chain_is_said_to_hold_when_nothing_was_touched(service: Service) -> None:
    service.override(service.sign()["cards"][0])
    head = service.app.extensions["therapy-cds"].ledger.head()
    result = run(service, "replay", "--verify")
    assert result.exit_code == 0
    assert result.output == f"2 entries, head {head[1]}\nThe chain holds, nothing is missing.\n"
    assert json.loads(run(service, "replay", "--verify", "--json").output) == {
        "entries": 2, "head": head[1], "breaks": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE entries SET body = replace(body, 'not-met', 'met') WHERE sequence = 2", "entry 2 ("),
        ("DELETE FROM entries WHERE sequence = 2", "entry 2: it is missing"),
        ("UPDATE blobs SET body = X'00' WHERE kind = 'policies'", "what it rests on was changed"),
        ("UPDATE blobs SET body = 'text' WHERE kind = 'policies'", "what it rests on was changed"),
        ("UPDATE entries SET body = X'7B7D' WHERE sequence = 2", "its body was changed"),
    ],
)
def test_break_is_named_and_the_status_is_1_when_a_row_was_changed_or_deleted(
    service: Service, statement: str, says: str
) -> None:
    for _ in range(3):
        service.sign()
    service.change(statement)
    result = run(service, "replay", "--verify")
    assert result.exit_code == 1
    assert says in result.output
    assert "break" in result.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["replay"], "Give ID, or --all, or --verify"),
        (["replay", "x", "--all"], "Give ID, or --all, or --verify"),
        (["replay", "nobody"], "nothing of that id"),
        (["report", "--since", "yesterday"], "does not match the format"),
        (["report", "--since", "2026-03-10", "--until", "2026-03-09"], "The last day is before the first"),
        (["report", "--policy", "nobodys"], "knows 'nobodys'"),
        (["report", "--format", "xml"], "'xml' is not one of"),
        (["report", "--case", "nobody"], "nothing of that id"),
    ],
)
def test_one_line_says_what_is_wrong_when_a_command_cannot_be_done(
    service: Service, arguments: list[str], says: str
) -> None:
    service.sign()
    result = run(service, *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [("replay", "--verify"), ("report",)])
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite:////nowhere/ledger.sqlite3", "There is no ledger at /nowhere/ledger.sqlite3"),
        ("mysql://host/name", "names mysql"),
        ("ledger", "no database URL"),
    ],
)
def test_no_ledger_is_made_when_the_url_names_none(command: tuple[str, ...], url: str, says: str) -> None:
    result = CliRunner().invoke(main, [*command, "--database", url])
    assert result.exit_code == 2
    assert says in result.stderr


def test_ledger_of_the_environment_is_read_when_none_is_named(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service.sign()
    monkeypatch.setenv("THERAPY_CDS_DATABASE_URL", service.url)
    assert CliRunner().invoke(main, ["replay", "--verify"]).output.startswith("1 entries")
    monkeypatch.delenv("THERAPY_CDS_DATABASE_URL")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "therapy-cds").mkdir()
    shutil.copy(service.file, tmp_path / "therapy-cds" / "ledger.sqlite3")
    assert CliRunner().invoke(main, ["replay", "--verify"]).exit_code in (0, 1)
    assert "entries, head" in CliRunner().invoke(main, ["replay", "--verify"]).output


# ------------------------------------------------------------------------------------------------- report


def test_figures_are_printed_when_calls_are_on_record(service: Service) -> None:
    service.override(service.sign()["cards"][0])
    output = run(service, "report").output
    assert output.startswith("1 calls, 2026-03-10 to 2026-03-10")
    for words in ("Criteria", "visits-within-benchmark", "100 %", "The record is wrong", "Clients", "Day by day"):
        assert words in output
    assert "never applied" in run(service, "report", "--section", "policies").output


def test_nothing_is_counted_when_the_period_has_no_call(service: Service) -> None:
    service.sign()
    assert run(service, "report", "--until", "2026-03-09").output == "The ledger holds no call of this period.\n"


def test_rows_are_read_by_others_when_csv_or_json_is_wanted(service: Service) -> None:
    service.override(service.sign()["cards"][0])
    rows = list(csv.DictReader(io.StringIO(run(service, "report", "--format", "csv").output)))
    (benchmark,) = [each for each in rows if each["criterion"] == "visits-within-benchmark"]
    assert (benchmark["shown"], benchmark["falseAlarms"], benchmark["falseAlarmRate"]) == ("1", "1", "1.0")
    days = run(service, "report", "--format", "csv", "--section", "days").output
    assert days.splitlines()[1].startswith("2026-03-10,1,3")
    told = json.loads(run(service, "report", "--format", "json", "--policy", HIP).output)
    assert told["cards"]["falseAlarms"] == 1
    assert {each["policy"] for each in told["criteria"]} == {HIP}


# -------------------------------------------------------------------------------------- from override to test

MARKED = {
    "name": [{"family": "Markedname", "given": ["Givenmark"]}],
    "birthDate": "1961-02-03",
    "identifier": [{"system": "urn:mrn", "value": "MRN-4711-MARK"}],
}
PERSONAL = ("Markedname", "Givenmark", "1961-02-03", "MRN-4711-MARK", "f000", "Mrs.")


def marked_record() -> list[Json]:
    """The record of f000 with what identifies somebody in places where real records have it."""
    record = resources("f000")
    for each in record:
        if each["resourceType"] not in ("Organization", "Coverage"):
            each["identifier"] = [{"system": "urn:visit", "value": "MRN-4711-MARK"}]
        if each["resourceType"] == "Patient":
            each |= MARKED
        if each["resourceType"] == "Encounter":
            each["reasonCode"] = [*each.get("reasonCode", ()), {"text": "hip pain of Mrs. Markedname"}]
            each["subject"]["display"] = "Givenmark Markedname"
    return record


def drafted(service: Service, to: Path, name: str) -> tuple[Json, str, str]:
    """The case that was written, its YAML and its Bundle as text."""
    result = run(service, "report", "--case", name, "--to", str(to))
    assert result.exit_code == 0, result.output
    (file,) = to.glob("draft-*.yaml")
    (case,) = yaml.safe_load(file.read_text(encoding="utf-8"))
    bundle = (to / case["given"]["bundle"]).read_text(encoding="utf-8")
    return case, file.read_text(encoding="utf-8"), bundle


@pytest.mark.parametrize("by", ["card", "assessment"])
def test_case_expects_what_was_said_when_an_override_is_drafted(service: Service, tmp_path: Path, by: str) -> None:
    answer = service.sign()
    card = answer["cards"][1]
    service.override(card, "done-elsewhere", comment="Mrs. Markedname filled it in on paper")
    name = {"card": card["uuid"], "assessment": assessment_id(answer)}[by]
    case, written, _ = drafted(service, tmp_path / "cases", name)
    assert case["policy"] == HIP
    assert case["expect"]["outcome"] == "criteria-not-met"
    assert case["expect"]["visits"]["total"] == 20
    assert case["expect"]["criteria"]["current-outcome-measure"] == "not-met"
    assert "baseline-outcome-measure, current-outcome-measure was overridden: done-elsewhere." in written
    assert "Markedname" not in written


def test_nothing_identifies_the_patient_when_a_case_is_drafted(service: Service, tmp_path: Path) -> None:
    record = marked_record()
    order = draft("f000", identifier=[{"value": "MRN-4711-MARK"}], note=[{"text": "for Mrs. Markedname"}])
    answer = answered(service.client, request(order, record=record))
    case, written, bundle = drafted(service, tmp_path / "cases", assessment_id(answer))
    for personal in PERSONAL:
        assert personal not in written
        assert personal not in bundle
    days = {each["period"]["start"] for each in record if each["resourceType"] == "Encounter"}
    shifted = [each["resource"] for each in json.loads(bundle)["entry"]]
    assert days != {each["period"]["start"] for each in shifted if each["resourceType"] == "Encounter"}
    assert '"text": "hip"' in bundle
    assert case["expect"]["visits"]["completed"] == 18


@pytest.mark.parametrize("name", EXAMPLES)
def test_draft_passes_as_a_case_of_its_policy_when_policy_test_runs_it(
    service: Service, tmp_path: Path, name: str
) -> None:
    answer = service.sign(name)
    told = answer["extension"]["example.therapy-cds.assessments"][0]
    folder = tmp_path / "policies" / told["policy"]
    shutil.copytree(str(packaged_policies().joinpath(told["policy"])), folder)
    shutil.rmtree(folder / "cases")
    result = run(service, "report", "--case", told["id"], "--to", str(folder / "cases"))
    assert "It runs, and comes out as recorded." in result.output, result.output
    tested = CliRunner().invoke(main, ["policy", "test", told["policy"], "--path", str(tmp_path / "policies")])
    assert tested.exit_code == 0, tested.output
    assert "1 cases, all as expected" in tested.output


def test_searches_that_failed_fail_again_when_a_case_is_drafted(service: Service, tmp_path: Path) -> None:
    body = request()
    body["prefetch"]["goals"] = {"resourceType": "OperationOutcome", "issue": []}
    case, _, _ = drafted(service, tmp_path / "cases", assessment_id(answered(service.client, body)))
    assert case["given"]["fails"] == ["Goal"]
    assert case["expect"]["criteria"]["goals-open"] == "unknown"


def test_id_of_an_assessment_is_asked_for_when_a_call_has_several(service: Service, tmp_path: Path) -> None:
    answer = answered(service.client, request(draft(), draft(id="second")))
    ledger = service.app.extensions["therapy-cds"].ledger
    entry = ledger.find(assessment_id(answer))
    result = run(service, "report", "--case", entry.id, "--to", str(tmp_path))
    assert result.exit_code == 2
    assert assessment_id(answer, 1) in result.stderr
