"""`policy mutate`: it finds a planted hole, and the library that ships has none."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from cds.authoring.cases import SELECTED, read_cases
from cds.authoring.library import Authored, read_library
from cds.authoring.mutate import Report, mutate_policy, prepare
from cds.authoring.mutations import mutations
from cds.authoring.run import run_case
from cds.rules.load import packaged_policies
from cds.terminology import packaged

TODAY = date(2026, 1, 15)
HIP = "hip-pain-extended-therapy"
LIBRARY = read_library([packaged_policies()], packaged())


def copy_of_hip(folder: Path) -> Path:
    """The hip policy with its cases, where a test may change it."""
    return Path(shutil.copytree(str(packaged_policies().joinpath(HIP)), folder / HIP))


def mutated(folder: Path) -> Report:
    authored, *_ = read_library([folder], packaged())
    return mutate_policy(authored, _with(authored), packaged(), TODAY)


def _with(authored: Authored) -> Sequence[Authored]:
    return [authored, *(each for each in LIBRARY if each.policy.id != authored.policy.id)]


@pytest.mark.parametrize("authored", LIBRARY, ids=[each.policy.id for each in LIBRARY])
def test_no_change_goes_unnoticed_when_a_shipped_policy_is_mutated(authored: Authored) -> None:
    report = mutate_policy(authored, LIBRARY, packaged(), TODAY)
    assert report.tried > len(authored.policy.criteria)
    assert [f"{hole.group}: {hole.says} ({hole.where})" for hole in report.holes] == []


def test_the_threshold_is_named_when_no_case_guards_it(tmp_path: Path) -> None:
    (copy_of_hip(tmp_path) / "cases" / "contraindications.yaml").unlink()
    report = mutated(tmp_path)
    assert {hole.group for hole in report.holes} == {"no-contraindication"}
    assert all("policy.yaml:" in hole.where and "criteria[20]" in hole.where for hole in report.holes)


def test_the_figure_is_named_with_its_line_when_one_side_of_it_is_not_guarded(tmp_path: Path) -> None:
    cases = copy_of_hip(tmp_path) / "cases" / "measures.yaml"
    text = cases.read_text(encoding="utf-8")
    start = text.index("- name: A score of thirty-one days ago")
    cases.write_text(text[:start] + text[text.index("- name: A score on the day of the tenth") :], encoding="utf-8")
    (hole,) = mutated(tmp_path).holes
    assert hole.group == "current-outcome-measure"
    assert hole.says == "threshold current-days from 2025-01-01: 31 instead of 30"
    assert "thresholds.current-days.values[0].value" in hole.where


def test_a_declaration_is_reported_when_it_excuses_nothing(tmp_path: Path) -> None:
    declared = copy_of_hip(tmp_path) / "cases" / "equivalent.yaml"
    more = '\n- {mutation: "criterion goals-open: no such change", reason: "it was here once"}\n'
    declared.write_text(declared.read_text(encoding="utf-8") + more, encoding="utf-8")
    (hole,) = mutated(tmp_path).holes
    assert "goals-open: no such change" in hole.says
    assert "equivalent.yaml:" in hole.where


def test_the_change_is_not_reported_when_it_is_declared_equivalent(tmp_path: Path) -> None:
    declared = copy_of_hip(tmp_path) / "cases" / "equivalent.yaml"
    declared.unlink()
    assert len(mutated(tmp_path).holes) == 3


def test_the_quick_way_agrees_with_the_whole_path_when_a_case_is_weighed_again() -> None:
    policies = tuple(each.policy for each in LIBRARY)
    hip = next(each for each in LIBRARY if each.policy.id == HIP)
    for case in read_cases(hip, LIBRARY):
        if case.policy == SELECTED:
            continue
        ready = prepare(case, policies, packaged(), TODAY)
        again = ready.weigh(policies, packaged())
        whole = run_case(case, policies, packaged(), TODAY).assessment
        assert [(r.id, r.result, r.says) for r in again.criteria] == [(r.id, r.result, r.says) for r in whole.criteria]


def test_every_mutation_has_its_own_words_when_a_policy_is_mutated() -> None:
    for authored in LIBRARY:
        says = [mutation.says for mutation in mutations(authored.policy)]
        assert len(says) == len(set(says)), authored.policy.id
