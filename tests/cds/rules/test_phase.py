"""The phase of treatment, and policies that apply to one phase only."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from cds.evaluate import evaluate_bundle
from cds.model import Outcome
from cds.rules.load import load_policies, packaged_policies
from cds.rules.policy import Policy
from cds.terminology import packaged

EXAMPLES = Path(__file__).parents[3] / "fhir_profiles" / "examples"
TODAY = date(2025, 12, 1)


def _only_for(phase: str) -> tuple[Policy, ...]:
    hip = next(p for p in load_policies([packaged_policies()], packaged()) if p.id == "hip-pain-extended-therapy")
    return (replace(hip, applies_to=replace(hip.applies_to, phases=(phase,))),)


def _outcome(bundle: Path, phase: str) -> Outcome:
    (assessment,) = evaluate_bundle(bundle, _only_for(phase), packaged(), TODAY, None, None)
    return assessment.outcome


def test_a_policy_for_continuation_applies_when_visits_came_before() -> None:
    assert _outcome(EXAMPLES / "f001.json", "continuation") is Outcome.CRITERIA_MET


@pytest.mark.parametrize("phase", ["initial", "post-op", "programme"])
def test_a_policy_for_another_phase_does_not_apply_when_visits_came_before(phase: str) -> None:
    assert _outcome(EXAMPLES / "f001.json", phase) is Outcome.NO_POLICY


def test_a_policy_for_the_initial_phase_applies_when_no_visit_came_before(tmp_path: Path) -> None:
    bundle = json.loads((EXAMPLES / "f001.json").read_text("utf-8"))
    kept = [e for e in bundle["entry"] if e["resource"]["resourceType"] not in ("Encounter", "Procedure")]
    path = tmp_path / "fresh.json"
    path.write_text(json.dumps({**bundle, "entry": kept}), "utf-8")
    assert _outcome(path, "initial") is not Outcome.NO_POLICY


@pytest.mark.parametrize(("performed", "applies"), [("2024-10-01", True), ("2024-08-05", False), ("2024", False)])
def test_a_policy_after_surgery_applies_when_the_surgery_is_surely_recent(
    tmp_path: Path, performed: str, applies: bool
) -> None:
    bundle = json.loads((EXAMPLES / "f000.json").read_text("utf-8"))
    for entry in bundle["entry"]:
        if "labral" in json.dumps(entry["resource"].get("code", {})):
            entry["resource"]["performedDateTime"] = performed
    path = tmp_path / "surgery.json"
    path.write_text(json.dumps(bundle), "utf-8")
    assert (_outcome(path, "post-op") is not Outcome.NO_POLICY) is applies
