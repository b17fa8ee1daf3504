"""Which assessment is shown: that of the link, for its own patient and EHR only."""

from __future__ import annotations

import pytest

from tests.hooks.smart.conftest import Place, assessment_of
from tests.hooks.smart.looking import Maker, refused


def test_it_is_refused_when_the_link_is_of_another_patient(place: Place) -> None:
    place.ehr.launch["appContext"] = assessment_of(place.sign(name="f001"))
    refused(place.launch(), 403, "not on record for this patient at this EHR")


def test_it_is_refused_when_the_link_is_of_another_ehr(place: Place) -> None:
    place.ehr.launch["appContext"] = assessment_of(place.sign("http://127.0.0.1:9/fhir"))
    refused(place.launch(), 403, "not on record for this patient at this EHR")


def test_it_is_the_same_ehr_when_its_entry_names_the_other_address(place_of: Maker) -> None:
    other = "http://127.0.0.1:9/fhir"
    place = place_of(fhir_servers=[other])
    place.ehr.launch["appContext"] = assessment_of(place.sign(other))
    assert "20 of 14" in place.launch().text
    del place.ehr.launch["appContext"]
    assert "20 of 14" in place.launch().text


@pytest.mark.parametrize("known_as", ["nobody", "card", "entry"])
def test_it_is_refused_when_the_link_names_no_assessment(place: Place, known_as: str) -> None:
    answer = place.sign()
    entry = place.deployment.ledger.find(assessment_of(answer))
    assert entry is not None
    names = {"nobody": "4b3a9e0e", "card": answer["cards"][0]["uuid"], "entry": entry.id}
    place.ehr.launch["appContext"] = names[known_as]
    refused(place.launch(), 403, "not on record")
