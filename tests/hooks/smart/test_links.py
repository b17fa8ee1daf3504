"""Links to the app on cards: one for each order, on a card without other links, where the EHR can open it."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.hooks.calls import URL, draft, request
from tests.hooks.smart.conftest import Place, assessment_of

Json = dict[str, Any]


def links_of(answer: Json) -> list[Json]:
    return [link for card in answer["cards"] for link in card.get("links", ())]


@pytest.mark.parametrize("name", ["f000", "f001", "f002"])
def test_a_card_without_offers_leads_to_the_assessment_when_the_ehr_can_open_it(place: Place, name: str) -> None:
    answer = place.sign(name=name)
    card = next(card for card in answer["cards"] if "suggestions" not in card)
    (link,) = card["links"]
    assert link == {
        "label": "Details",
        "url": f"{place.url}/smart/launch",
        "type": "smart",
        "appContext": assessment_of(answer),
    }
    assert links_of(answer) == [link]


def test_there_is_no_link_when_the_ehr_is_not_in_the_file(place: Place) -> None:
    assert links_of(place.sign("http://127.0.0.1:9/fhir")) == []


def test_there_is_no_link_when_the_call_names_no_fhir_server(place: Place) -> None:
    answer = requests.post(place.url + URL, json=request(), timeout=30).json()
    assert answer["cards"]
    assert links_of(answer) == []


def test_each_order_has_its_own_link_when_several_are_signed(place: Place) -> None:
    orders = (draft(), draft(id="other"))
    body = request(*orders, fhirServer=place.ehr.base)
    answer: Json = requests.post(place.url + URL, json=body, timeout=30).json()
    contexts = [link["appContext"] for link in links_of(answer)]
    assert sorted(contexts) == sorted(assessment_of(answer, index) for index in range(2))
