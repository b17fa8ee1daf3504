from __future__ import annotations

from typing import Any

import pytest

from cds.model import Fact
from tests.cds.build import LOINC, Json, about, concept, observation, record_of, terms

DAY = "2025-03-05"
PHQ9 = "http://loinc.org/q/44249-1"
ITEMS = ("44250-9", "44255-8", "44259-0", "44254-1", "44251-7", "44258-2", "44252-5", "44253-3", "44260-8")
CODES = ("LA6568-5", "LA6569-3", "LA6570-1", "LA6571-9")
ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
Told = list[tuple[str, str | None, float | None, str]]


def integer(value: int) -> Json:
    return {"valueInteger": value}


def decimal(value: int) -> Json:
    return {"valueDecimal": float(value)}


def coded(value: int) -> Json:
    return {"valueCoding": {"system": LOINC, "code": CODES[value]}}


def weighed(value: int) -> Json:
    extension = [{"url": ORDINAL, "valueDecimal": value}]
    return {"valueCoding": {"system": "urn:x", "code": f"a{value}", "extension": extension}}


def worded(value: int) -> Json:
    words = ("Not at all", "Several days", "More than half the days", "Nearly every day")
    return {"valueCoding": {"system": "urn:x", "code": str(value), "display": words[value]}}


def response(*items: Json, questionnaire: str = PHQ9, **more: Any) -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "qr",
        "status": "completed",
        "questionnaire": questionnaire,
        "subject": about(),
        "authored": DAY,
        "item": list(items),
    } | more


def items(values: list[int], answer: Any = integer, link: str = "/{}") -> list[Json]:
    return [{"linkId": link.format(c), "answer": [answer(v)]} for c, v in zip(ITEMS, values, strict=False)]


def told(*resources: Json) -> Told:
    return [(m.instrument, m.subscale, m.score, m.text) for m in record_of(*resources).measures]


@pytest.mark.parametrize("answer", [integer, decimal, coded, weighed, worded])
@pytest.mark.parametrize("link", ["/{}", "{}", "/44249-1/{}"])
def test_the_answers_are_added_up_when_all_nine_are_given(answer: Any, link: str) -> None:
    values = [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert told(response(*items(values, answer, link))) == [("phq-9", None, 12, "")]


def test_the_answers_are_added_up_when_they_stand_in_a_group_and_in_another_order() -> None:
    group = {"linkId": "g", "item": items([1] * 9)[::-1]}
    assert told(response(group)) == [("phq-9", None, 9, "")]


def test_there_is_only_a_raw_sum_when_an_answer_is_missing_or_too_high() -> None:
    assert told(response(*items([1] * 8))) == [("phq-9", None, None, "raw sum 8 of 8 answers, not scored")]
    assert told(response(*items([1] * 8 + [7])))[0][2] is None


def test_the_total_is_taken_when_the_response_holds_it() -> None:
    total = {"linkId": "/44261-6", "answer": [decimal(12)]}
    assert told(response(*items([1] * 9), total)) == [("phq-9", None, 12, "")]
    defined = {"linkId": "x", "definition": "http://loinc.org/44261-6", "answer": [integer(12)]}
    assert told(response(defined, questionnaire="urn:other")) == [("phq-9", None, 12, "")]


def test_a_score_leaves_a_doubt_when_the_total_in_the_response_is_out_of_range() -> None:
    record = record_of(response({"linkId": "/44261-6", "answer": [integer(99)]}))
    assert record.measures == ()
    assert record.doubts(Fact.MEASURES)


def test_subscales_are_taken_when_a_response_holds_their_scores() -> None:
    scores = [{"linkId": "/72097-9", "answer": [decimal(60)]}, {"linkId": "/72095-3", "answer": [decimal(70)]}]
    found = told(response(*scores, questionnaire="http://loinc.org/q/72092-0"))
    assert sorted(found, key=str) == [("hoos", "adl", 70, ""), ("hoos", "pain", 60, "")]


def test_there_is_only_a_raw_sum_when_the_scoring_is_not_in_the_catalogue() -> None:
    answers = [{"linkId": str(n), "answer": [integer(n)]} for n in range(4)]
    found = told(response(*answers, questionnaire="http://loinc.org/q/97908-8"))
    assert found == [("odi", None, None, "raw sum 6, not scored")]


def lefs(*values: int) -> list[Json]:
    return [{"linkId": f"q{n}", "answer": [integer(v)]} for n, v in enumerate(values)]


def test_all_answers_are_counted_when_the_form_has_links_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(terms()._questionnaires, "urn:lefs", terms().instruments["lefs"])
    assert told(response(*lefs(*[3] * 20), questionnaire="urn:lefs")) == [("lefs", None, 60, "")]
    for values in ([3] * 19, [3] * 21, [3] * 19 + [5]):
        assert told(response(*lefs(*values), questionnaire="urn:lefs"))[0][2] is None


def test_nothing_is_scored_when_nothing_was_answered() -> None:
    assert told(response()) == [("phq-9", None, None, "")]


def test_a_response_is_one_with_its_observation_when_both_tell_the_score() -> None:
    total = observation(DAY, concept(LOINC, "44261-6"), 9)
    assert told(response(*items([1] * 9)), total) == [("phq-9", None, 9, "")]
    derived = observation("2025-03-07", concept(LOINC, "44261-6"), 10)
    derived["derivedFrom"] = [{"reference": "QuestionnaireResponse/qr"}]
    assert told(response(*items([1] * 9)), derived) == [("phq-9", None, 10, "")]


def test_a_raw_sum_gives_way_when_a_score_of_the_day_is_on_file() -> None:
    total = observation(DAY, concept(LOINC, "44261-6"), 9)
    assert told(response(*items([1] * 4)), total) == [("phq-9", None, 9, "")]


def test_a_pain_rating_is_found_when_it_is_an_item_of_any_form() -> None:
    assert told(response({"linkId": "/72514-3", "answer": [integer(6)]}, questionnaire="urn:x")) == [
        ("nprs", None, 6, "")
    ]
