from __future__ import annotations

from typing import Any

import pytest

from cds.model import Fact, Measure, Record
from tests.cds.build import (
    LOINC,
    MEASURES,
    SNOMED,
    Json,
    about,
    concept,
    ihot,
    observation,
    reasons,
    record_of,
    terms,
)

HOOS_PAIN = concept(LOINC, "72097-9")
DAY = "2025-03-05"


def told(record: Record) -> list[tuple[str, str | None, float | None]]:
    return [(m.instrument, m.subscale, m.score) for m in record.measures]


def one(*resources: Json) -> Measure:
    (found,) = record_of(*resources).measures
    return found


def test_a_score_is_found_when_its_own_code_stands_on_the_observation() -> None:
    found = one(ihot(DAY, 41))
    assert (found.instrument, found.score, str(found.day), found.sources[0]) == (
        "ihot-12",
        41,
        DAY,
        f"Observation/o-{DAY}-ihot-12",
    )


def test_a_subscale_is_kept_apart_when_its_code_names_it() -> None:
    found = one(observation(DAY, HOOS_PAIN, 60))
    assert found.instrument == "hoos"
    assert found.subscale == "pain"


@pytest.mark.parametrize(
    "code",
    [
        {"text": "iHOT-12"},
        {"text": "IHOT 12"},
        {"coding": [{"system": "urn:oid:1.2.840.114350", "code": "88", "display": "iHOT-12"}]},
    ],
)
def test_a_score_is_found_when_only_a_local_name_tells_the_instrument(code: Json) -> None:
    assert one(observation(DAY, code, 41, id="o")).instrument == "ihot-12"


def test_scores_are_found_when_they_are_components_of_a_panel() -> None:
    parts = [
        {"code": HOOS_PAIN, "valueQuantity": {"value": 60}},
        {"code": concept(LOINC, "72095-3"), "valueQuantity": {"value": 70}},
    ]
    record = record_of(observation(DAY, concept(LOINC, "72092-0"), component=parts))
    assert sorted(told(record), key=str) == [("hoos", "adl", 70), ("hoos", "pain", 60)]
    assert not record.doubts(Fact.MEASURES)


def test_a_score_is_found_when_the_generic_panel_names_the_instrument_in_a_component() -> None:
    parts = [
        {"code": concept(LOINC, "89195-2"), "valueString": "iHOT-12"},
        {"code": concept(LOINC, "89194-5"), "valueQuantity": {"value": 41}},
    ]
    assert told(record_of(observation(DAY, concept(LOINC, "89196-0"), component=parts))) == [("ihot-12", None, 41)]


def test_a_score_is_found_when_the_generic_panel_names_the_instrument_in_a_member() -> None:
    name = observation(DAY, concept(LOINC, "89195-2"), id="name", valueString="iHOT-12")
    score = observation(DAY, concept(LOINC, "89194-5"), 41, id="score")
    panel = observation(
        DAY,
        concept(LOINC, "89196-0"),
        hasMember=[{"reference": "Observation/name"}, {"reference": "Observation/score"}],
    )
    assert ("ihot-12", None, 41) in told(record_of(panel, name, score))


def test_a_panel_is_noted_when_its_instrument_is_not_in_the_catalogue() -> None:
    parts = [
        {"code": concept(LOINC, "89195-2"), "valueString": "Something new"},
        {"code": concept(LOINC, "89194-5"), "valueQuantity": {"value": 41}},
    ]
    record = record_of(observation(DAY, concept(LOINC, "89196-0"), component=parts))
    assert record.measures == ()
    assert any("not in the catalogue" in reason for reason in reasons(record))


@pytest.mark.parametrize("score", [-1, 101, 1e300])
def test_a_score_is_not_used_and_leaves_a_doubt_when_it_is_out_of_range(score: float) -> None:
    record = record_of(ihot(DAY, score))
    assert record.measures == ()
    assert "outside its range" in record.doubts(Fact.MEASURES)[0]


@pytest.mark.parametrize("score", [0, 100])
def test_a_score_is_used_when_it_is_the_first_or_last_of_its_range(score: float) -> None:
    assert one(ihot(DAY, score)).score == score


def test_a_score_is_noted_without_doubt_when_it_is_said_to_be_absent() -> None:
    record = record_of(ihot(DAY, 41, dataAbsentReason={"text": "declined"}))
    assert record.measures == ()
    assert any("absent" in reason for reason in reasons(record))
    assert not record.doubts(Fact.MEASURES)


@pytest.mark.parametrize(
    "value",
    [
        {"valueQuantity": {"value": 41, "comparator": "<"}},
        {"valueString": "41/100"},
        {"valueString": "nan"},
        {"valueString": "Infinity"},
        {"valueRange": {"low": {"value": 3}}},
        {"valueBoolean": True},
        {},
    ],
)
def test_a_score_leaves_a_doubt_when_it_is_no_number(value: Json) -> None:
    record = record_of(ihot(DAY, None, **value))
    assert record.measures == ()
    assert record.doubts(Fact.MEASURES)


@pytest.mark.parametrize("value", [{"valueString": "41"}, {"valueInteger": 41}, {"valueQuantity": {"value": "41"}}])
def test_a_score_is_read_when_its_number_comes_in_another_type(value: Json) -> None:
    assert one(ihot(DAY, None, **value)).score == 41


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_a_score_is_left_out_when_it_was_an_error(status: str) -> None:
    assert record_of(ihot(DAY, 41, status=status)).measures == ()


@pytest.mark.parametrize(
    ("status", "preliminary"), [("final", False), ("amended", False), ("corrected", False), ("preliminary", True)]
)
def test_a_score_is_preliminary_when_its_status_says_so(status: str, preliminary: bool) -> None:
    assert one(ihot(DAY, 41, status=status)).preliminary is preliminary


def test_a_grade_has_its_rank_and_its_words_when_it_is_an_impairment() -> None:
    code = concept("https://therapy-cds.example/CodeSystem/impairment-measures", "hip-strength")
    found = one(observation(DAY, code, valueString="good plus"))
    assert (found.score, found.text) == (4.33, "good plus")


@pytest.mark.parametrize("site", [concept(SNOMED, "287679003"), {"text": "left hip"}])
def test_the_side_is_known_when_the_body_site_names_it_by_code_or_words(site: Json) -> None:
    assert one(observation(DAY, concept(LOINC, "100293-0"), 95, bodySite=site)).side == "left"


def test_the_day_is_the_local_one_when_an_evening_score_has_an_offset() -> None:
    assert str(one(ihot("2025-03-05T23:30:00-05:00", 41, id="o")).day) == "2025-03-05"


def test_the_day_comes_from_issued_when_no_effective_time_is_given() -> None:
    score = ihot(DAY, 41, issued="2025-03-06T09:00:00Z")
    del score["effectiveDateTime"]
    assert str(one(score).day) == "2025-03-06"


# ------------------------------------------------------------------------------------------------ told twice


def response(**more: Any) -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "qr",
        "status": "completed",
        "subject": about(),
        "authored": DAY,
        "questionnaire": "https://therapy-cds.example/Questionnaire/ihot-12|1.0",
    } | more


@pytest.fixture
def canonical(monkeypatch: pytest.MonkeyPatch) -> str:
    """A questionnaire that the catalogue knows as iHOT-12; it ships without any."""
    url = "https://example.org/Questionnaire/ihot-12"
    monkeypatch.setitem(terms()._questionnaires, url, terms().instruments["ihot-12"])
    return url


def test_a_response_counts_when_its_questionnaire_is_an_instruments(canonical: str) -> None:
    found = one(response(questionnaire=canonical + "|2.0"))
    assert (found.instrument, found.score) == ("ihot-12", None)


@pytest.mark.parametrize("status", ["in-progress", "stopped", "entered-in-error"])
def test_a_response_does_not_count_when_it_is_not_completed(canonical: str, status: str) -> None:
    assert record_of(response(questionnaire=canonical, status=status)).measures == ()


@pytest.mark.parametrize("link", ["derivedFrom", "hasMember"])
def test_a_score_counts_once_when_it_was_derived_from_a_response_of_another_day(canonical: str, link: str) -> None:
    score = ihot("2025-03-06", 41, **{link: [{"reference": "QuestionnaireResponse/qr"}]})
    assert told(record_of(response(questionnaire=canonical), score)) == [("ihot-12", None, 41)]


def test_a_response_gives_way_when_a_score_of_the_same_day_is_on_file(canonical: str) -> None:
    assert told(record_of(response(questionnaire=canonical), ihot(DAY, 41))) == [("ihot-12", None, 41)]


def test_a_score_counts_once_when_two_observations_tell_it() -> None:
    twin = ihot(DAY, 41, id="twin", status="preliminary")
    texted = ihot(DAY, None, id="texted", valueString="41")
    found = one(ihot(DAY, 41), twin, texted)
    assert len(found.sources) == 3
    assert not found.preliminary


def test_both_scores_are_kept_when_they_differ_by_day_value_or_side() -> None:
    rom = concept(LOINC, "100293-0")
    assert len(record_of(ihot(DAY, 41), ihot("2025-03-06", 41), ihot(DAY, 42, id="x")).measures) == 3
    left = observation(DAY, rom, 95, id="l", bodySite=concept(SNOMED, "287679003"))
    right = observation(DAY, rom, 95, id="r", bodySite=concept(SNOMED, "287579007"))
    assert {m.side for m in record_of(left, right).measures} == {"left", "right"}


# ------------------------------------------------------------------------------------------------ statements


def test_an_observation_is_a_statement_when_it_is_no_measure() -> None:
    (found,) = record_of(observation(DAY, {"text": "Sleeps badly"}, valueBoolean=True)).statements
    assert (found.concept.label, found.value) == ("Sleeps badly", True)


def test_statements_come_oldest_first_when_the_bundle_is_in_another_order() -> None:
    late = observation("2025-03-05", {"text": "b"}, 1)
    early = observation("2025-03-01", {"text": "a"}, 2)
    assert [s.concept.label for s in record_of(late, early).statements] == ["a", "b"]


def test_answers_are_statements_when_they_are_nested_in_groups_and_answers() -> None:
    items = [
        {
            "linkId": "g",
            "item": [
                {
                    "linkId": "1",
                    "text": "Sleep?",
                    "answer": [
                        {
                            "valueCoding": {"system": "urn:x", "code": "y", "display": "Yes"},
                            "item": [{"linkId": "1.1", "answer": [{"valueDecimal": 2.5}]}],
                        }
                    ],
                }
            ],
        }
    ]
    statements = record_of(response(item=items)).statements
    assert {(s.concept.codes[0].code, s.value) for s in statements} == {("1", "Yes"), ("1.1", 2.5)}


def test_a_statement_is_left_out_when_its_value_is_said_to_be_absent() -> None:
    assert record_of(observation(DAY, {"text": "Sleep"}, dataAbsentReason={"text": "unknown"})).statements == ()


def test_a_measure_is_found_when_one_of_several_codes_is_known() -> None:
    code = {"coding": [{"system": "urn:local", "code": "1"}, {"system": MEASURES, "code": "ihot-12"}]}
    assert one(observation(DAY, code, 41, id="o")).instrument == "ihot-12"
