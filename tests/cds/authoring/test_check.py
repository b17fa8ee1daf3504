"""`policy check` beyond the schema: codes, dates, citations, overlaps; and the command itself."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from cds.authoring import check
from cds.authoring.check import overlaps
from cds.cli import policy
from cds.rules.load import load_policies, packaged_policies
from cds.rules.policy import AppliesTo, Policy
from cds.terminology import packaged

HIP = "hip-pain-extended-therapy"
POLICIES = load_policies([packaged_policies()], packaged())


def hip() -> Policy:
    return next(policy for policy in POLICIES if policy.id == HIP)


def checked(folder: Path, old: str, new: str) -> tuple[int, str, str]:
    """What `policy check` says of the hip policy once a piece of its text is another."""
    own = folder / HIP
    shutil.copytree(str(packaged_policies().joinpath(HIP)), own)
    file = own / "policy.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    done = CliRunner().invoke(policy, ["check", "--path", str(folder)])
    return done.exit_code, done.stdout, done.stderr


def test_nothing_is_wrong_when_the_shipped_library_is_checked() -> None:
    done = CliRunner().invoke(policy, ["check"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"{len(POLICIES)} policies checked, nothing wrong" in done.stdout


def test_the_code_is_named_when_icd_10_cm_has_no_such_branch(tmp_path: Path) -> None:
    status, _, stderr = checked(tmp_path, "diagnoses: [M25.55]", "diagnoses: [M25.58]")
    assert status == 2
    assert f"ICD-10-CM has no 'M25.58' at policies/{HIP}/policy.yaml" in stderr.replace(str(tmp_path.name), "policies")
    assert "key 'applies-to.diagnoses[0]'" in stderr


def test_it_is_said_when_nobody_can_tell_which_codes_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "simple_icd_10_cm", None)
    check.icd10.cache_clear()
    try:
        status, stdout, _ = checked(tmp_path, "diagnoses: [M25.55]", "diagnoses: [M25.58]")
    finally:
        check.icd10.cache_clear()
    assert status == 0
    assert "ICD-10-CM codes were not checked" in stdout


@pytest.mark.parametrize(
    ("old", "new", "what", "key"),
    [
        ("      - from: 2025-01-01\n        value: 14", "      - from: 2024-06-01\n        value: 14",
         "lies outside the policy's time", "thresholds.benchmark-visits.values[0].from"),
        ("effective:\n  from: 2025-01-01", "effective:\n  from: 2025-01-01\n  to: 2025-01-02",
         "", ""),
        ("          checked_on: 2026-11-22", "          checked_on: 2999-01-01",
         "which is still to come", "cite.checked_on"),
        ("      - {from: 2025-01-01, value: 60, cite: *house}",
         "      - {from: 2025-01-01, value: 60, cite: *house}\n      - {from: 2025-01-01, value: 61, cite: *house}",
         "Two figures of 'episode-gap' begin on 2025-01-01", "thresholds.episode-gap.values[1].from"),
    ],
)  # fmt: skip
def test_the_mistake_is_told_with_line_and_key_when_dates_do_not_fit(
    tmp_path: Path, old: str, new: str, what: str, key: str
) -> None:
    status, _, stderr = checked(tmp_path, old, new)
    assert status == (2 if what else 0)
    assert what in stderr
    assert key in stderr
    assert not what or "policy.yaml:" in stderr


def test_it_warns_when_a_figure_begins_after_the_policy(tmp_path: Path) -> None:
    old = "      - {from: 2025-01-01, value: 60, cite: *house}"
    status, stdout, _ = checked(tmp_path, old, old.replace("2025-01-01", "2025-02-01"))
    assert status == 0
    assert "'episode-gap' has no figure from 2025-01-01 to the day before 2025-02-01" in stdout


def test_it_warns_when_a_policy_has_no_cases(tmp_path: Path) -> None:
    own = tmp_path / HIP
    own.mkdir()
    shutil.copy(str(packaged_policies().joinpath(HIP, "policy.yaml")), own)
    done = CliRunner().invoke(policy, ["check", "--path", str(tmp_path)])
    assert done.exit_code == 0
    assert f"no cases at {HIP}/cases/" in done.stdout


def test_every_file_is_told_when_several_cannot_be_loaded(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "policy.yaml").write_text(f"id: {name}\n", encoding="utf-8")
    done = CliRunner().invoke(policy, ["check", "--path", str(tmp_path)])
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 2


# ------------------------------------------------------------------------------------------------ overlaps


def ties(other: Policy) -> list[str]:
    return [str(tie) for tie in overlaps([hip(), other], packaged())]


def test_both_are_named_when_two_policies_are_equally_specific() -> None:
    (tie,) = ties(replace(hip(), id="my-hip-policy", source="mine/policy.yaml"))
    assert "my-hip-policy (mine/policy.yaml)" in tie
    assert HIP in tie


@pytest.mark.parametrize(
    "changes",
    [
        {"payers": ("another-plan",)},
        {"payers": ()},
        {"diagnoses": ("M25.56",)},
        {"diagnoses": ()},
        {"services": ()},
        {"plans": ("gold",)},
        {"lines_of_business": ("workers-compensation",)},
        {"jurisdictions": ("US-CA",)},
    ],
)
def test_there_is_no_tie_when_one_field_tells_them_apart(changes: dict[str, tuple[str, ...]]) -> None:
    applies = AppliesTo(**{**vars(hip().applies_to), **changes})
    assert ties(replace(hip(), id="my-hip-policy", applies_to=applies)) == []


def test_there_is_no_tie_when_one_ends_on_the_day_the_other_begins() -> None:
    assert ties(replace(hip(), id="before", start=date(2024, 1, 1), end=hip().start)) == []


def test_there_is_a_tie_when_one_ends_a_day_after_the_other_begins() -> None:
    assert len(ties(replace(hip(), id="before", start=date(2024, 1, 1), end=date(2025, 1, 2)))) == 1


def test_there_is_no_tie_when_one_of_them_only_adds() -> None:
    assert ties(replace(hip(), id="cap", kind="statute")) == []


def test_it_warns_of_the_tie_when_a_folder_holds_a_twin_of_a_shipped_policy(tmp_path: Path) -> None:
    shutil.copytree(str(packaged_policies().joinpath(HIP)), tmp_path / "twin")
    file = tmp_path / "twin" / "policy.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace(f"id: {HIP}", "id: twin-of-hip"), encoding="utf-8")
    shutil.rmtree(tmp_path / "twin" / "cases")
    done = CliRunner().invoke(policy, ["check", "--path", str(tmp_path)])
    assert done.exit_code == 0
    assert "twin-of-hip" in done.stdout
    assert "a tie is no policy" in done.stdout
