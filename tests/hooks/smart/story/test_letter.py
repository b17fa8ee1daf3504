"""The letter: the assessment alone, every sentence with its source, gaps open, no word of what a payer decides."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from cds.story import Story
from hooks.smart.story.letter import Kind, Letter, letter_of
from tests.hooks.calls import EXAMPLES, draft
from tests.hooks.calls import resources as example
from tests.hooks.smart.story.stories import score, signed, with_more

Json = dict[str, Any]
NUMBER = re.compile(r"\d+(?:\.\d+)?")
DECIDES = re.compile(r"\b(approv\w*|den(y|ied|ial\w*)|certif(y|ied)|entitled|guarantee\w*)\b", re.IGNORECASE)


def sentences(letter: Letter) -> list[str]:
    return [sentence.text for section in letter.sections for sentence in section.sentences]


def written(story: Story, kind: Kind = Kind.NECESSITY) -> Letter:
    return letter_of(story.said, story.id, kind)


def numbers_of(value: Any) -> set[str]:
    """The numbers that an assessment or a record holds anywhere in it."""
    return set(NUMBER.findall(json.dumps(value, default=str)))


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("name", EXAMPLES)
def test_no_number_is_new_when_a_letter_is_written(app: Flask, name: str, kind: Kind) -> None:
    story = signed(app, name)
    letter = written(story, kind)
    told = set(NUMBER.findall(" ".join(sentences(letter))))
    assert told - numbers_of(story.said) == set()


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_sentence_has_its_source_when_it_is_no_gap(app: Flask, name: str, kind: Kind) -> None:
    story = signed(app, name)
    known = json.dumps(story.said)
    for section in written(story, kind).sections:
        for sentence in section.sentences:
            assert sentence.gap == sentence.text.startswith("[to be completed by the clinician: ")
            assert bool(sentence.sources) != sentence.gap
            for source in sentence.sources:
                bare = re.sub(r"^(assessment|criterion|search) ", "", source)
                assert bare == story.id or json.dumps(bare)[1:-1] in known


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("name", EXAMPLES)
def test_letter_says_nothing_of_what_a_payer_decides_when_it_is_written(app: Flask, name: str, kind: Kind) -> None:
    letter = written(signed(app, name), kind)
    assert not DECIDES.search(
        " ".join([letter.title, *(section.title for section in letter.sections), *sentences(letter)])
    )


def test_exception_is_asked_for_with_its_reason_left_open_when_criteria_are_not_met(app: Flask) -> None:
    letter = written(signed(app))
    assert (letter.title, letter.open) == ("Request for an exception", True)
    text = sentences(letter)
    assert "The order asks for 2 visits: Physical therapy, left hip, lines 97110, 97112, 20561." in text
    assert "20 of 14 visits: 18 completed and 2 requested." in text
    assert "The plan of care projects 28 to 36 visits in all." in text
    assert "[to be completed by the clinician: name and date of birth of the patient]" in text
    why = "why this patient needs the therapy although these criteria are not all met"
    assert f"[to be completed by the clinician: {why}]" in text


@pytest.mark.parametrize("name", ["f002", "f003", "f004"])
def test_no_plan_of_care_is_told_of_when_the_record_holds_none(app: Flask, name: str) -> None:
    story = signed(app, name)
    assert not story.record.plans
    assert not any("plan of care projects" in sentence for sentence in sentences(written(story)))


def test_no_exception_is_asked_for_and_nothing_said_of_the_order_s_visits_when_no_policy_applies(app: Flask) -> None:
    record = [each for each in example("f000") if each["resourceType"] not in ("Coverage", "Organization")]
    letter = written(signed(app, record=record))  # the order asks for two visits
    assert letter.title == "Letter of medical necessity"
    assert "[to be completed by the clinician: the number of visits]" in sentences(letter)


def test_necessity_is_told_by_its_criteria_when_all_are_met(app: Flask) -> None:
    letter = written(signed(app, "f003"))
    assert letter.title == "Letter of medical necessity"
    assert "The ordered therapy is asked for on the ground of these criteria." in sentences(letter)
    assert not any("exception" in sentence for sentence in sentences(letter))


def test_summary_asks_for_nothing_when_a_reviewer_reads_it(app: Flask) -> None:
    letter = written(signed(app), Kind.REVIEW)
    assert letter.title == "Review summary"
    assert [section.title for section in letter.sections if "settle" in section.title]
    assert not any("is asked for" in sentence for sentence in sentences(letter))


def test_gap_stands_where_the_number_of_visits_is_not_known(app: Flask) -> None:
    story = signed(app, order=draft("f000", quantityQuantity=None, occurrenceTiming=None))
    assert story.said["visits"]["requested"] is None
    assert any(
        text.startswith("[to be completed by the clinician: the number of visits") for text in sentences(written(story))
    )


def test_gap_stands_where_no_payer_is_known(app: Flask) -> None:
    nothing: Json = {"coverage": None, "policy": None, "criteria": [], "count": None, "wouldChange": []}
    said = signed(app).said | nothing | {"says": "No policy applies", "outcome": "no-policy"}
    text = sentences(letter_of(said, "1", Kind.NECESSITY))
    assert "[to be completed by the clinician: the payer, whose coverage is not known]" in text
    assert "[to be completed by the clinician: the criteria by which the order is to be weighed]" in text


def test_what_could_not_be_read_is_told_once_when_it_bears_on_several_facts(app: Flask) -> None:
    gap = {"fact": "visits", "asked": "encounters", "state": "failed", "reason": "Encounter could not be read"}
    said = signed(app).said | {
        "gaps": [gap, gap | {"fact": "schedule"}],
        "notes": [{"source": "Goal/1", "reason": "no date"}],
    }
    letter = letter_of(said, "1", Kind.REVIEW)
    (section,) = [each for each in letter.sections if each.title == "What could not be read"]
    assert [(each.text, each.sources) for each in section.sentences] == [
        ("Encounter could not be read.", ("search encounters",)), ("No date.", ("Goal/1",)),
    ]  # fmt: skip


@given(
    first=st.integers(0, 100), latest=st.integers(0, 100), asked=st.integers(1, 40),
    day=st.dates(min_value=date(2024, 8, 1), max_value=date(2025, 3, 9)),
)  # fmt: skip
def test_no_number_is_new_when_the_record_is_any(app: Flask, first: int, latest: int, asked: int, day: date) -> None:
    order = draft("f000", quantityQuantity={"value": asked, "unit": "visit", "code": "{visit}"}, occurrenceTiming=None)
    more = [score("ihot-12", "2024-08-12", first), score("ihot-12", day.isoformat(), latest, 2)]
    story = with_more(app, *more, order=order)
    for kind in Kind:
        told = set(NUMBER.findall(" ".join(sentences(written(story, kind)))))
        assert told - numbers_of(story.said) == set()
