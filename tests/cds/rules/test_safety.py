from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds.as_json import assessment_json
from cds.model import Assessment, EvidenceState, Outcome
from hooks.cards import CardMaker
from tests.cds.build import (
    HIP,
    LOINC,
    Json,
    about,
    assess,
    basics,
    concept,
    observation,
    patient,
    service_request,
    weigh,
)

ITEM_9 = concept(LOINC, "44260-8")
DAY = "2025-03-05"
SEVERAL = {"valueCodeableConcept": concept(LOINC, "LA6569-3", "Several days")}


def item(value: float | None = None, day: str = DAY, **more: Any) -> Json:
    return observation(day, ITEM_9, value, **more)


def answered(*answers: Json, link: str = "/44260-8", status: str = "completed", **more: Any) -> Json:
    """A PHQ-9 response whose item 9 has these answers."""
    asked = {"linkId": link, "answer": list(answers)} | more
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "qr",
        "status": status,
        "subject": about(),
        "authored": DAY,
        "item": [{"linkId": "g", "item": [asked]}],
    }


def coding(code: str, **more: Any) -> Json:
    return {"valueCoding": {"system": LOINC, "code": code} | more}


def cards(*assessments: Assessment) -> list[Json]:
    maker = CardMaker("https://cds.example.org", (), date(2025, 3, 10), lambda: "u")
    found: list[Json] = maker.response(assessments)["cards"]
    return found


def is_asked(*resources: Json, **how: Any) -> bool:
    return bool(weigh(*resources, **how).safety)


@pytest.mark.parametrize("value", [1, 3, 0.5])
def test_safety_is_asked_about_when_item_9_has_a_value_above_none(value: float) -> None:
    (found,) = weigh(item(value)).safety
    assert found.evidence == (f"Observation/o-{DAY}-44260-8",)
    assert DAY in found.says


@pytest.mark.parametrize(
    "value",
    [
        SEVERAL,
        {"valueInteger": 2},
        {"valueBoolean": True},
        {"valueString": "1"},
        {"valueString": "Nearly every day"},
        {"valueCodeableConcept": {"text": "more than half the days"}},
        {"valueCodeableConcept": {"coding": [{"system": "urn:x", "code": "Several-days"}]}},
    ],
)
def test_safety_is_asked_about_when_the_answer_comes_in_another_type(value: Json) -> None:
    assert is_asked(item(**value))


@pytest.mark.parametrize(
    "value",
    [
        {"valueQuantity": {"value": 0}},
        {"valueCodeableConcept": concept(LOINC, "LA6568-5")},
        {"valueString": "Not at all"},
        {"valueBoolean": False},
        {"valueString": "refused"},
        {"valueQuantity": {"value": 2}, "dataAbsentReason": {"text": "error"}},
        {"valueQuantity": {"value": 2}, "status": "entered-in-error"},
        {},
    ],
)
def test_nothing_is_asked_when_item_9_is_none_or_cannot_be_read(value: Json) -> None:
    assert not is_asked(item(**value))


@pytest.mark.parametrize(
    ("code", "value"), [("54652-3", concept(LOINC, "LA33-6")), ("54653-1", concept(LOINC, "LA10998-5"))]
)
def test_safety_is_asked_about_when_a_nursing_home_asked_the_same(code: str, value: Json) -> None:
    assert is_asked(observation(DAY, concept(LOINC, code), valueCodeableConcept=value))
    none = concept(LOINC, "LA32-8" if code == "54652-3" else "LA10997-7")
    assert not is_asked(observation(DAY, concept(LOINC, code), valueCodeableConcept=none))


def test_safety_is_asked_about_when_item_9_is_a_component_of_the_panel() -> None:
    parts = [
        {"code": concept(LOINC, "44261-6"), "valueInteger": 12},
        {"code": ITEM_9, **SEVERAL},
    ]
    assert is_asked(observation(DAY, concept(LOINC, "44249-1"), component=parts))


@pytest.mark.parametrize(
    "answer",
    [
        coding("LA6569-3"),
        {"valueInteger": 1},
        {"valueDecimal": 3},
        coding("x", extension=[{"url": "http://hl7.org/fhir/StructureDefinition/ordinalValue", "valueDecimal": 2}]),
    ],
)
@pytest.mark.parametrize("link", ["/44260-8", "44260-8", "/44249-1/44260-8"])
def test_safety_is_asked_about_when_a_response_answers_item_9(answer: Json, link: str) -> None:
    assert is_asked(answered(answer, link=link))


def test_safety_is_asked_about_when_only_the_words_or_the_definition_tell_the_item() -> None:
    words = "Thoughts that you would be better off dead, or of hurting yourself"
    assert is_asked(answered({"valueInteger": 1}, link="q9", text=words))
    assert is_asked(answered({"valueInteger": 1}, link="q9", definition="http://loinc.org/44260-8"))
    assert not is_asked(answered({"valueInteger": 1}, link="q8"))


def test_safety_is_asked_about_when_the_form_is_not_finished_but_not_when_it_was_an_error() -> None:
    assert is_asked(answered({"valueInteger": 1}, status="in-progress"))
    assert not is_asked(answered({"valueInteger": 1}, status="entered-in-error"))
    assert not is_asked(answered(coding("LA6568-5")))


@pytest.mark.parametrize(
    ("day", "asked"),
    [("2024-12-10", True), ("2024-12-09", False), ("2025-03-10", True), ("2025-03-11", False), ("2024-12", True)],
)
def test_safety_is_asked_about_when_the_answer_is_of_the_last_90_days(day: str, asked: bool) -> None:
    assert is_asked(item(2, day)) is asked


def test_the_latest_answer_counts_when_an_earlier_one_was_positive() -> None:
    assert not is_asked(item(2, "2025-02-01"), item(0, "2025-03-01"))
    assert is_asked(item(0, "2025-02-01"), item(2, "2025-03-01"))
    assert is_asked(item(0, "2025-03-01", id="a"), item(2, "2025-03-01", id="b"))
    assert is_asked(item(2, "2025-02", id="a"), item(0, "2025-02-20", id="b"))


def test_the_outcome_is_the_same_when_item_9_is_positive() -> None:
    assert weigh(item(2)).outcome == weigh().outcome
    assert weigh(item(2)).criteria == weigh().criteria


def test_safety_is_asked_about_when_no_policy_applies() -> None:
    assessment = assess(patient(), item(2), service_request())
    assert assessment.outcome is Outcome.NO_POLICY
    first, second = cards(assessment)
    assert (first["indicator"], second["indicator"]) == ("critical", "info")


def test_safety_is_asked_about_when_the_policy_needs_no_measures_and_a_search_failed() -> None:
    found = assess(*basics(), item(2), service_request(), failing={"measures": EvidenceState.FAILED})
    assert found.safety


def test_the_card_is_critical_first_and_short_when_item_9_is_positive() -> None:
    told = item(None, valueString="1", note=[{"text": "secret words"}])
    first, *others = cards(weigh(told, policy=HIP))
    assert first["indicator"] == "critical"
    assert first["summary"] == f"Ask about safety now: PHQ-9 item 9 is positive ({DAY})"
    assert "988" in first["detail"]
    assert "secret" not in str(first)
    assert first["source"]["label"] == "Therapy order check"
    assert len(others) == 2
    assert not any("988" in str(card) for card in others)


def test_the_card_is_shown_once_and_first_when_two_orders_are_signed() -> None:
    plain, positive = weigh(), weigh(item(2))
    found = cards(plain, positive, positive)
    assert ["988" in str(card) for card in found] == [True] + [False] * (len(found) - 1)


def test_it_stands_under_safety_when_the_assessment_is_printed_as_json() -> None:
    (printed,) = assessment_json(weigh(item(2)))["safety"]
    assert (printed["id"], printed["required"]) == ("phq-9-safety-item", False)
    assert assessment_json(weigh())["safety"] == []


def test_other_items_say_nothing_when_they_are_high() -> None:
    others = [observation(DAY, concept(LOINC, code), 3) for code in ("44250-9", "44255-8", "44253-3")]
    assessment = weigh(*others)
    assert not assessment.safety
