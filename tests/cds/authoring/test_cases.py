"""Mistakes in cases: each is told with file, line, key and remedy. One bad file per mistake."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from cds.authoring.cases import read_cases
from cds.authoring.given import build
from cds.authoring.library import Authored, read_library
from cds.cli import policy
from cds.errors import PolicyError
from cds.rules.load import packaged_policies
from cds.terminology import packaged

HIP = "hip-pain-extended-therapy"
BAD = Path(__file__).parent / "bad_cases"
LIBRARY = read_library([packaged_policies()], packaged())

# file: line, key, and what the message must hold
MISTAKES = {
    "added-twice": (5, "[0].given.add[0]", "Goal/f001-goal-long already"),
    "key-twice": (3, None, "'given' is there twice"),
    "misspelt-key": (4, "[0].expect.outcom", "no case has: 'outcom'"),
    "missing-bundle": (2, "[0].given.bundle", "no file 'nobody.json'"),
    "no-expectation": (1, "[0]", "'expect' is a required property"),
    "no-order": (2, "[0].given", "no therapy order"),
    "no-patient": (2, "[0].given", "0 Patients"),
    "no-such-place": (5, "[0].given.set.Condition/f001-hip-pain.code.coding.3.code", "no such place"),
    "not-a-list": (1, None, "is not of type 'array'"),
    "not-yaml": (3, None, "not YAML"),
    "nothing-expected": (3, "[0].expect", ""),
    "nothing-to-remove": (6, "[0].given.remove[1]", "'ImagingStudy' is not there"),
    "nothing-to-set": (5, "[0].given.set.Condition/f001-knee", "'Condition/f001-knee' is not there"),
    "same-name-twice": (4, "[1].name", "taken by another case"),
    "two-patients": (2, "[0].given", "one of two forms"),
    "unknown-criterion": (5, "[0].expect.criteria.visits-within-limit", "no criterion 'visits-within-limit'"),
    "unknown-example": (2, "[0].given.example", "no example patient 'f999'"),
    "unknown-outcome": (3, "[0].expect.outcome", "'approved' is not one of"),
    "unknown-policy": (3, "[0].policy", "no policy 'my-policy'"),
    "unknown-policy-expected": (4, "[0].expect.policy", "no policy 'my-policy'"),
    "visits-both-ways": (2, "[0].given.visits", "one of two forms"),
    "wrong-date": (3, "[0].on", "'2025-02-30' is not written"),
}


def own_policy(folder: Path, cases: Path) -> Path:
    """The hip policy in a folder of its own, with one file of cases."""
    own = folder / HIP
    (own / "cases").mkdir(parents=True)
    shutil.copy(str(packaged_policies().joinpath(HIP, "policy.yaml")), own)
    shutil.copy(cases, own / "cases")
    return folder


def read_and_build(authored: Authored) -> None:
    for case in read_cases(authored, LIBRARY):
        build(case, packaged(), date(2026, 1, 15))


def test_every_mistake_is_listed_when_there_is_a_bad_file_for_it() -> None:
    assert {file.stem for file in BAD.glob("*.yaml")} == MISTAKES.keys()


@pytest.mark.parametrize("name", MISTAKES)
def test_the_mistake_is_told_with_line_key_and_remedy_when_a_case_is_wrong(name: str, tmp_path: Path) -> None:
    (authored,) = read_library([own_policy(tmp_path, BAD / f"{name}.yaml")], packaged())
    with pytest.raises(PolicyError) as caught:
        read_and_build(authored)
    line, key, what = MISTAKES[name]
    where = f"{HIP}/cases/{name}.yaml:{line}" + (f", key '{key}'" if key else "")
    assert (caught.value.where, bool(caught.value.remedy)) == (where, True)
    assert what in caught.value.what


@pytest.mark.parametrize("name", MISTAKES)
def test_check_ends_with_2_when_a_case_is_wrong(name: str, tmp_path: Path) -> None:
    folder = own_policy(tmp_path, BAD / f"{name}.yaml")
    done = CliRunner().invoke(policy, ["check", HIP, "--path", str(folder)])
    assert done.exit_code == 2
    assert f"{name}.yaml:{MISTAKES[name][0]}" in done.stderr
