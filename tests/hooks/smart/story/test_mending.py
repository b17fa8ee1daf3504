"""What a measure that was filled in changes, which measures are offered, and how they get on file."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from hooks.smart.errors import EhrFailed
from hooks.smart.story.mending import cannot_save, mend, offers_of, save
from tests.hooks.smart.story.stories import score, signed

Json = dict[str, Any]
RESPONSE: Json = {"resourceType": "QuestionnaireResponse", "id": "entered-nprs", "status": "completed"}
OBSERVATION: Json = {
    "resourceType": "Observation",
    "id": "entered-nprs",
    "derivedFrom": [{"reference": "QuestionnaireResponse/entered-nprs"}],
    "subject": {"reference": "Patient/f000"},
}


def test_criterion_turns_first_in_the_list_when_a_measure_settles_it(app: Flask) -> None:
    mended = mend(signed(app), [score("ihot-12", "2024-08-12", 40), score("ihot-12", "2025-03-01", 60, 2)])
    first = mended.turned[0]
    assert (first.statement, first.required) == ("Objective progress is recorded in this episode", True)
    assert (first.before, first.after) == ("not met", "met")
    assert "iHOT-12 40 to 60, improved" in first.says_after
    assert mended.before["says"] == "Criteria not met: 3 of 4 required criteria are not met"
    assert mended.after["says"] == "Criteria not met: 1 of 4 required criteria is not met"


def test_only_words_turn_when_a_result_stays(app: Flask) -> None:
    mended = mend(signed(app), [score("ihot-12", "2024-08-12", 40)])
    lately = next(each for each in mended.turned if "taken lately" in each.statement)
    assert not lately.result_turned
    assert "last seen iHOT-12 40" in lately.says_after


def test_nothing_turns_when_no_criterion_asks_for_it(app: Flask) -> None:
    assert mend(signed(app), [score("ihot-12", "2025-03-11", 40)]).turned == []


def test_measures_that_criteria_ask_for_are_offered_first_when_any_do(app: Flask) -> None:
    offers = offers_of(signed(app))
    assert [offer.name for offer in offers[:2]] == ["HAGOS", "iHOT-12"]
    assert "An outcome measure that suits the hip was taken lately" in offers[0].wanted_by
    assert [offer.id for offer in offers if not offer.wanted_by] == ["nprs", "phq-9"]
    assert [offer.id for offer in offers if offer.whole] == ["nprs", "phq-9"]


def test_weighed_measure_is_offered_first_when_its_criterion_is_not_met(app: Flask) -> None:
    first = offers_of(signed(app, "f004"))[0]
    assert (first.id, first.whole, len(first.wanted_by)) == ("phq-9", True, 1)


@pytest.mark.parametrize(
    ("granted", "why"),
    [
        ("patient/QuestionnaireResponse.c patient/Observation.c", ""),
        ("patient/QuestionnaireResponse.cruds patient/Observation.cu", ""),
        ("patient/QuestionnaireResponse.write patient/Observation.write", ""),
        ("patient/*.write", ""),
        ("user/*.*", ""),
        ("patient/Observation.c patient/QuestionnaireResponse.rs", "patient/QuestionnaireResponse.c"),
        ("patient/*.read", "patient/QuestionnaireResponse.c and patient/Observation.c"),
        ("", "patient/QuestionnaireResponse.c and patient/Observation.c"),
    ],
)
def test_what_cannot_be_saved_is_told_with_the_scope_when_it_was_not_granted(granted: str, why: str) -> None:
    said = cannot_save([RESPONSE, OBSERVATION], granted)
    assert said == (f"It cannot be saved to the record from here: the EHR did not grant {why}." if why else "")


def test_observation_names_the_response_as_the_ehr_does_when_both_are_saved() -> None:
    sent: list[Json] = []

    def post(resource: Json) -> str:
        sent.append(resource)
        return f"{resource['resourceType']}/new-{len(sent)}"

    saved = save([RESPONSE, OBSERVATION], post)
    assert (saved.references, saved.problem) == (["QuestionnaireResponse/new-1", "Observation/new-2"], "")
    assert sent[1]["derivedFrom"] == [{"reference": "QuestionnaireResponse/new-1"}]
    assert sent[1]["subject"] == {"reference": "Patient/f000"}
    assert not [resource for resource in sent if "id" in resource]


def test_what_is_on_file_is_told_when_the_ehr_fails_in_between() -> None:
    def post(resource: Json) -> str:
        if resource["resourceType"] == "Observation":
            raise EhrFailed("The EHR did not save the Observation (422)")
        return "QuestionnaireResponse/1"

    saved = save([RESPONSE, OBSERVATION], post)
    assert saved.references == ["QuestionnaireResponse/1"]
    assert saved.problem == "The EHR did not save the Observation (422)"
