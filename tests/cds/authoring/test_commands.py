"""`therapy-cds policy`: what the commands print and how they end."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cds.cli import policy
from cds.rules.load import load_policies, packaged_policies
from cds.terminology import packaged

HIP = "hip-pain-extended-therapy"


def run(*args: str) -> Result:
    return CliRunner().invoke(policy, args)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a copy of the hip policy that a test may change."""
    shutil.copytree(str(packaged_policies().joinpath(HIP)), tmp_path / HIP)
    return tmp_path


def test_each_policy_has_its_line_when_they_are_listed() -> None:
    done = run("list")
    assert done.exit_code == 0
    for each in load_policies([packaged_policies()], packaged()):
        assert f" {each.id} " in done.stdout


def test_each_case_is_printed_when_all_come_out_as_expected(own: Path) -> None:
    done = run("test", HIP, "--path", str(own))
    assert done.exit_code == 0
    assert "  ok    Eighteen visits and two more are past the benchmark" in done.stdout
    assert done.stdout.rstrip().endswith("all as expected")


def test_expected_got_and_what_was_said_are_printed_when_a_case_fails(own: Path) -> None:
    file = own / HIP / "policy.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("value: 14\n", "value: 15\n"), encoding="utf-8")
    done = run("test", "--path", str(own))
    assert done.exit_code == 2
    assert "  FAILS Six visits and nine more are one too many, and that alone decides" in done.stdout
    assert 'visits-within-benchmark: expected not-met, got met ("15 of 15 visits' in done.stdout
    assert "cases/visits.yaml:" in done.stdout


def test_the_known_ones_are_named_when_there_is_no_such_policy() -> None:
    for command in ("test", "mutate", "explain", "check"):
        done = run(command, "nobody")
        assert done.exit_code == 2
        assert "There is no policy 'nobody'" in done.stderr
        assert HIP in done.stderr


def test_the_own_policy_takes_the_place_when_its_id_is_that_of_a_shipped_one(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = own / HIP / "policy.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("value: 14\n", "value: 16\n"), encoding="utf-8")
    monkeypatch.setenv("THERAPY_CDS_POLICY_PATH", str(own))
    done = run("explain", HIP, "--markdown")
    assert "no more than 16 visits" in done.stdout


def test_the_remedy_is_told_when_the_folder_does_not_exist() -> None:
    done = run("test", "--path", "no-such-folder")
    assert done.exit_code == 2
    assert "no such folder of policies at no-such-folder" in done.stderr


def test_it_reads_as_a_page_when_a_policy_is_explained_on_a_terminal() -> None:
    done = run("explain", HIP)
    assert done.exit_code == 0
    assert "Extended outpatient therapy for hip pain" in done.stdout
    assert "###" not in done.stdout


def test_the_other_policies_are_still_tried_when_a_case_of_one_fails(own: Path) -> None:
    shutil.copytree(own / HIP, own / "second")
    for name, old, new in (
        (HIP, "value: 14\n", "value: 15\n"),
        ("second", f"id: {HIP}", "id: second"),
        ("second", "payers: [hip-benchmark-plan]", "payers: [second-plan]"),
    ):
        file = own / name / "policy.yaml"
        file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    (own / "second" / "cases" / "selection.yaml").unlink()
    done = run("mutate", "--path", str(own))
    assert done.exit_code == 2
    assert "This case fails before anything is changed" in done.stderr
    assert "second: " in done.stdout


def test_one_line_is_printed_when_one_policy_is_listed() -> None:
    done = run("list", HIP)
    assert HIP in done.stdout
    assert "sample-prior-authorization" not in done.stdout
