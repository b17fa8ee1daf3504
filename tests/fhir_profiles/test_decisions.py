"""Which figures of the catalogue may decide: none that nobody verified, but by name."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from cds.authoring.explain import markdown
from cds.model import Days, Measure, Result
from cds.rules.change import change_of, read_change
from cds.rules.policy import Leaf, leaves
from cds.terminology import packaged
from tests.cds.build import ICD10, concept, policies, terms, weigh
from tests.cds.build import service_request as order

INSTRUMENTS = packaged().instruments
SCORE_KINDS = {"score-at-least", "score-below"}
# Marks of a score that decide a required criterion though no source was read: the contract allows these by name.
ALLOWED = {("sample-prior-authorization-97110", "fabq")}


def parts() -> list[tuple[str, str | None]]:
    return [(i.id, p) for i in INSTRUMENTS.values() for p in (None, *(s["id"] for s in i.data["subscales"]))]


def scored(instrument: str, part: str | None, score: float, day: date) -> Measure:
    return Measure(instrument, part, score, Days(day, day), ("Observation/x",))


@pytest.mark.parametrize(("name", "part"), parts())
def test_the_reading_is_by_the_cited_figure_when_a_score_improves_by_it(name: str, part: str | None) -> None:
    """Every instrument: improved only by its own direction, its own figure, and only where that is verified."""
    instrument = INSTRUMENTS[name]
    figure, limits = instrument.important_change(part), instrument.range(part)
    if figure is None or limits is None:
        return
    amount, _, verified = figure
    data = instrument.part(part)
    said = [f for f in (data["important-change"], data["detectable-change"]) if f and f["value"] == amount]
    assert any(f["verified"] is verified and f["cite"] for f in said)
    worst, best = limits if instrument.higher_is_better else limits[::-1]
    step = amount if best > worst else -amount
    pairs = [(worst, worst + step), (worst, worst + step * 0.99), (worst + step, worst)]
    days = (date(2025, 1, 1), date(2025, 3, 1))
    readings = [
        read_change(change_of(instrument, scored(name, part, a, days[0]), scored(name, part, b, days[1]))).result
        for a, b in pairs
    ]
    assert readings == [Result.MET if verified else Result.UNKNOWN, Result.NOT_MET, Result.NOT_MET]


def leaves_of(policy: Any, kinds: set[str]) -> list[Leaf]:
    required = [criterion for criterion in policy.criteria if criterion.required]
    return [leaf for criterion in required for leaf in leaves(criterion.test) if leaf.kind in kinds]


@pytest.mark.parametrize("policy", policies(), ids=lambda policy: str(policy.id))
def test_no_mark_decides_unverified_when_a_required_criterion_weighs_a_score(policy: Any) -> None:
    for leaf in leaves_of(policy, SCORE_KINDS):
        values = policy.thresholds[leaf.params["score"]].values
        verified = all(value.cite.verified for value in values)
        assert verified or (policy.id, leaf.params["instrument"]) in ALLOWED


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("M25.552", {"HAGOS", "iHOT-12", "HOOS JR", "LEFS"}),
        ("M16.12", {"HOOS JR", "LEFS"}),
        ("M54.50", {"ODI"}),
        ("M54.2", {"NDI"}),
        ("M79.642", {"QuickDASH"}),
        ("G56.02", {"QuickDASH"}),
    ],
)
def test_the_usual_names_are_offered_when_an_order_names_its_region(code: str, names: set[str]) -> None:
    told = weigh(order=order(reasonCode=[concept(ICD10, code)]), policy="hip-pain-extended-therapy")
    facts = next(c.facts for c in told.criteria if "current_on_file" in c.facts)
    assert names & set(facts["instruments"][:4])
    assert facts["instruments"][0] in names


def test_instruments_are_called_by_their_usual_names_when_a_policy_is_explained() -> None:
    for policy in policies():
        text = markdown(policy, terms())
        used = {leaf.params["instrument"] for leaf in leaves_of(policy, SCORE_KINDS)}
        for name in used:
            assert INSTRUMENTS[name].name in text
        assert not [name for name in used if re.search(rf"\b{name}\b", text) and name != INSTRUMENTS[name].name]
