"""Forms: made from Questionnaires, read with care, scored by the catalogue, and FHIR that validates."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds.errors import InputError
from cds.terminology import packaged
from hooks.smart.story.forms import DAY, PART, SCORE, Filled, form_of, read_form, resources_of
from tests.cds.build import record_of

Json = dict[str, Any]
TODAY = date(2025, 3, 10)
CHOICES = ("LA6568-5", "LA6569-3", "LA6570-1", "LA6571-9")


def fill(name: str, day: str = "2025-03-01", **answers: str) -> Filled:
    filled, problems = read_form(form_of(packaged(), name), {DAY: day, **answers}, TODAY)
    assert problems == {}
    assert filled is not None
    return filled


def phq(*points: int) -> Filled:
    return fill("phq-9", **{f"item-{at}": CHOICES[value] for at, value in enumerate(points, start=1)})


def made(filled: Filled, **more: str) -> list[Json]:
    return resources_of(filled, packaged(), "f000", **more)


def test_form_asks_what_the_questionnaire_asks_when_it_is_the_phq_9() -> None:
    form = form_of(packaged(), "phq-9")
    assert len(form.fields) == 9  # the total is computed, not asked
    assert form.fields[0].label == "1. Little interest or pleasure in doing things"
    assert [value for value, _ in form.fields[0].choices] == list(CHOICES)
    assert form.fields[0].heading.startswith("Over the last 2 weeks")
    assert "No permission required" in form.copyright


def test_number_has_its_limits_when_the_questionnaire_gives_them() -> None:
    (pain,) = form_of(packaged(), "nprs").fields
    assert (pain.low, pain.high, pain.whole, pain.required) == (0, 10, True, True)


@pytest.mark.parametrize(
    ("points", "score", "band"),
    [((0,) * 9, 0, "minimal"), ((3,) * 9, 27, "severe"), ((1, 2, 0, 3, 1, 0, 2, 1, 0), 10, "moderate")],
)
def test_score_is_the_sum_when_all_items_are_answered(points: tuple[int, ...], score: int, band: str) -> None:
    response, observation = made(phq(*points))
    assert observation["valueQuantity"]["value"] == score
    assert observation["interpretation"] == [{"text": band}]
    assert response["item"][-1]["answer"] == [{"valueDecimal": score}]
    assert observation["derivedFrom"] == [{"reference": f"QuestionnaireResponse/{response['id']}"}]


@pytest.mark.parametrize(
    "filled",
    [phq(1, 1, 1, 1, 1, 1, 1, 1, 1), fill("nprs", **{"item-1": "6"}), fill("ihot-12", **{SCORE: "60.5"}),
     fill("hagos", **{PART: "sport", SCORE: "60"})],
    ids=["phq-9", "nprs", "ihot-12", "hagos"],
)  # fmt: skip
def test_resources_are_valid_fhir_when_a_form_was_filled_in(filled: Filled) -> None:
    for resource in made(filled, author="Practitioner/1", base_url="https://cds.example.org"):
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        assert resource["subject"] == {"reference": "Patient/f000"}
        assert "2025-03-01" in (resource.get("authored"), resource.get("effectiveDateTime"))


def test_response_names_the_form_of_this_deployment_when_it_has_an_address() -> None:
    response, observation = made(phq(*(0,) * 9), author="Practitioner/1", base_url="https://cds.example.org/")
    assert response["questionnaire"] == "https://cds.example.org/fhir/Questionnaire/phq-9|1.0.0"
    assert response["author"] == {"reference": "Practitioner/1"}
    assert observation["performer"] == [{"reference": "Practitioner/1"}]
    (without, _) = made(phq(*(0,) * 9))
    assert without["questionnaire"] == "https://therapy-cds.example/Questionnaire/phq-9|1.0.0"
    assert "author" not in without


def test_subscale_goes_on_file_under_its_own_code_when_a_score_is_entered() -> None:
    (observation,) = made(fill("hagos", **{PART: "sport", SCORE: "60"}))
    (coding,) = observation["code"]["coding"]
    assert (coding["system"], coding["code"]) == (
        "https://therapy-cds.example/CodeSystem/outcome-measures",
        "hagos-sport",
    )


@pytest.mark.parametrize("name", sorted(packaged().instruments))
def test_every_form_leads_to_a_score_that_is_read_again_when_it_is_entered(name: str) -> None:
    terms = packaged()
    try:
        form = form_of(terms, name)
    except InputError:
        return
    answers = {field.name: field.choices[0][0] if field.choices else f"{field.low or 0:g}" for field in form.fields}
    filled, problems = read_form(form, {DAY: "2025-03-01", **answers}, TODAY)
    assert problems == {}
    assert filled is not None
    measures = record_of(*made(filled), name="f000").measures  # the reader of the service itself
    assert [(each.instrument, each.subscale) for each in measures] == [(name, filled.answers.get(PART) or None)]
    assert measures[0].score == made(filled)[-1]["valueQuantity"]["value"]


@pytest.mark.parametrize(
    ("name", "sent", "wrong"),
    [
        ("nprs", {"item-1": "11"}, {"item-1": "The number lies outside 0 to 10"}),
        ("nprs", {"item-1": "-1"}, {"item-1": "The number lies outside 0 to 10"}),
        ("nprs", {"item-1": "4.5"}, {"item-1": "Write a whole number"}),
        ("nprs", {"item-1": "much"}, {"item-1": "Write a whole number"}),
        ("nprs", {"item-1": ""}, {"item-1": "Give a number"}),
        ("nprs", {}, {"item-1": "Give a number"}),
        ("ihot-12", {SCORE: "nan"}, {SCORE: "Write a number"}),
        ("hagos", {PART: "none", SCORE: "5"}, {PART: "Choose one of the answers"}),
        ("hagos", {SCORE: "5"}, {PART: "Choose one of the answers"}),
        ("nprs", {"item-1": "4", DAY: "2025-03-11"}, {DAY: "The day lies in the future"}),
        ("nprs", {"item-1": "4", DAY: "yesterday"}, {DAY: "Write the day as year, month and day, like 2025-03-10"}),
    ],
)
def test_answer_is_asked_for_again_when_it_is_wrong(name: str, sent: dict[str, str], wrong: dict[str, str]) -> None:
    filled, problems = read_form(form_of(packaged(), name), {DAY: "2025-03-01"} | sent, TODAY)
    assert (filled, problems) == (None, wrong)


def test_every_missing_answer_is_told_when_a_form_is_half_filled_in() -> None:
    _, problems = read_form(form_of(packaged(), "phq-9"), {DAY: "2025-03-01", "item-1": CHOICES[0]}, TODAY)
    assert set(problems) == {f"item-{at}" for at in range(2, 10)}


@pytest.mark.parametrize("name", ["hip-flexion", "muscle-strength", "nothing"])
def test_form_is_refused_when_there_is_none(name: str) -> None:
    with pytest.raises(InputError):
        form_of(packaged(), name)
