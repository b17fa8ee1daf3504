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
                is_count = kind is Kind.NECESSITY and re.fullmatch(r"and \d+ more", bare)
                assert is_count or bare == story.id or json.dumps(bare)[1:-1] in known


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
    (changes,) = [section for section in letter.sections if "settle" in section.title]
    assert any("no visit is left of 14" in each.text and not each.gap for each in changes.sentences)
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


def section_of(letter: Letter, title: str) -> list[str]:
    return [each.text for section in letter.sections if section.title == title for each in section.sentences]


def test_only_what_is_missing_is_left_to_complete_and_each_once_when_criteria_are_not_met_or_unknown(
    app: Flask,
) -> None:
    letter = written(signed(app, "f002"))
    open_ones = section_of(letter, "To be completed")
    assert [text.partition(": ")[2].partition(".")[0] for text in open_ones] == [
        "unknown",
        "unknown",
        "Completed and requested visits for this body part stay within the guideline's course; "
        "Visits of this discipline since the injury stay within the statutory cap: the therapy visits of this episode "
        "in full: notes tell of therapy whose visits are not on file (DocumentReference/f002-note-01)]",
    ]
    assert not any("met if" in text or "no visit is left" in text for text in sentences(letter))
    assert not any(": unknown." in text for text in section_of(letter, "Required criteria"))
    assert "An exception is asked for from the criteria below that are not met." in sentences(letter)


def test_no_exception_is_asked_for_when_criteria_are_only_unknown(app: Flask) -> None:
    said = signed(app, "f002").said
    said = said | {"criteria": [each for each in said["criteria"] if each["result"] != "not-met"]}
    letter = letter_of(said, "1", Kind.NECESSITY)
    assert letter.title == "Letter of medical necessity"
    assert not any("exception" in text for text in sentences(letter))
    assert "Whether the criteria listed as to be completed are met is not known yet." in sentences(letter)


REMARKS = re.compile(r"choice of this project|example determination|review decision of example", re.IGNORECASE)


@pytest.mark.parametrize("name", EXAMPLES)
def test_this_project_s_own_remarks_stand_in_the_summary_only_when_they_are_the_cite(app: Flask, name: str) -> None:
    story = signed(app, name)
    cited = [source for section in written(story).sections for each in section.sentences for source in each.sources]
    assert not any(REMARKS.search(source) for source in cited)
    kept = [
        source
        for section in written(story, Kind.REVIEW).sections for each in section.sentences for source in each.sources
    ]  # fmt: skip
    assert any(map(REMARKS.search, kept)) == bool(REMARKS.search(json.dumps(story.said["criteria"])))


def test_first_three_records_and_how_many_more_are_printed_when_a_criterion_has_many(app: Flask) -> None:
    story = signed(app)
    required = next(each for each in written(story).sections if each.title == "Required criteria")
    visits = [f"Encounter/f000-visit-{number:02}" for number in (1, 2, 3)]
    assert required.sentences[0].sources == ("criterion visits-within-benchmark", *visits, "and 15 more")
    summary = next(each for each in written(story, Kind.REVIEW).sections if each.title == "Required criteria")
    assert len(summary.sentences[0].sources) == 1 + 18 + 1


@pytest.mark.parametrize(
    "reason", ["prefetch 'encounters' is not whole: it is one page of more", "Encounter is not whole: entry 1 is none"]
)
def test_technical_reasons_stand_in_the_summary_only_when_the_record_was_cut(app: Flask, reason: str) -> None:
    said = signed(app).said
    gap = {"fact": "visits", "asked": "encounters", "state": "cut", "reason": reason}
    unknown = said["criteria"][0] | {"result": "unknown", "missing": [f"the therapy visits in full: {reason}"]}
    said = said | {"gaps": [gap], "criteria": [unknown], "count": said["count"] | {"doubts": [reason]}}
    letter = letter_of(said, "1", Kind.NECESSITY)
    assert not any("prefetch" in text or "not whole" in text for text in sentences(letter))
    assert section_of(letter, "What could not be read") == ["Part of the record was not delivered."]
    assert "The count is not sure: part of the record was not delivered." in sentences(letter)
    missing = f"{unknown['statement']}: the therapy visits in full: part of the record was not delivered"
    assert f"[to be completed by the clinician: {missing}]" in section_of(letter, "To be completed")
    assert any(reason in text for text in sentences(letter_of(said, "1", Kind.REVIEW)))


@pytest.mark.parametrize("required", [False, True])
def test_mental_health_is_left_out_with_a_word_to_the_clinician_when_the_policy_does_not_require_it(
    app: Flask, required: bool
) -> None:
    said = signed(app, "f004").said
    severity = {"result": "met", "says": "PHQ-9 12 on 2025-05-01; below 20 is asked for", "required": required}
    told = [each | severity if each["id"] == "depression-severity" else each for each in said["criteria"]]
    assert any(each["says"] == severity["says"] for each in told)
    said = said | {"criteria": told, "notes": [{"source": "Observation/1", "reason": "PHQ-9 without a date"}]}
    letter = letter_of(said, "1", Kind.NECESSITY)
    assert any("PHQ-9 12" in text for text in sentences(letter)) == required
    assert any("mental-health finding was left out" in text for text in sentences(letter)) != required
    assert "PHQ-9 without a date." not in sentences(letter)
    assert any("PHQ-9 12" in text for text in sentences(letter_of(said, "1", Kind.REVIEW)))


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
