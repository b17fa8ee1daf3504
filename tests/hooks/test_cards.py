"""The cards of whole answers: few, short, well-formed, safe to show, and never a judgement."""

from __future__ import annotations

import json
import re
import uuid

import pytest
from flask.testing import FlaskClient
from markdown_it import MarkdownIt

from tests.hooks.calls import EXAMPLES, Json, answered, assessment, draft, request, resources

TOPICS = "http://terminology.hl7.org/CodeSystem/cdshooks-card-type"
JUDGEMENT = re.compile(
    r"\b(approv\w*|den(?:y|ie[sd]|ial)\w*|authori[sz]e[sd]?|unauthori\w*|reject\w*|refus\w*)\b", re.I
)
DOSE = re.compile(r"\b\d+(?:[.,]\d+)?\s*(?:mg|mcg|µg|g|ml|IU|units?|tablets?|capsules?)\b", re.I)
HOSTILE = "<script>alert(1)</script> | x **b** [click](javascript:alert(1)) ![i](https://evil.example/i.png)"
DVT = {
    "resourceType": "Condition",
    "id": "dvt",
    "clinicalStatus": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
    },
    "verificationStatus": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "confirmed"}]
    },
    "code": {
        "coding": [
            {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I82.402", "display": "Acute embolism, left leg"}
        ]
    },
    "subject": {"reference": "Patient/f001"},
    "onsetDateTime": "2025-03-01",
}


@pytest.fixture(params=EXAMPLES)
def answer(request: pytest.FixtureRequest, client: FlaskClient) -> Json:
    """The answer for each example patient."""
    return example(client, str(request.param))


def example(client: FlaskClient, name: str) -> Json:
    return answered(client, request(name=name))


def texts(card: Json) -> str:
    said = [card["summary"], card.get("detail", ""), card["source"]["label"]]
    for offer in card.get("suggestions", []):
        said += [offer["label"], *(action["description"] for action in offer["actions"])]
    return "\n".join(said)


def test_there_are_at_most_three_cards_when_one_order_is_signed(answer: Json) -> None:
    assert len(answer["cards"]) <= 3


def test_each_card_has_what_the_standard_asks_when_it_is_sent(answer: Json) -> None:
    for card in answer["cards"]:
        assert 0 < len(card["summary"]) < 140
        assert card["summary"] == card["summary"].strip()
        assert card["indicator"] in ("info", "warning", "critical")
        assert card["source"]["label"]
        assert card["source"]["topic"]["system"] == TOPICS
        assert card["source"]["topic"]["code"]
        assert card["overrideReasons"]
        assert all(reason["display"] and reason["code"] and reason["system"] for reason in card["overrideReasons"])
        assert ("selectionBehavior" in card) == ("suggestions" in card)
        assert card.get("selectionBehavior", "any") in ("any", "at-most-one")
        recommended = [offer for offer in card.get("suggestions", []) if offer.get("isRecommended")]
        assert len(recommended) <= 1 or card["selectionBehavior"] == "any"


def test_no_member_is_empty_when_an_answer_is_sent(answer: Json) -> None:
    def check(value: object, path: str) -> None:
        assert value not in (None, "", {}) or path.endswith(".visits"), path
        assert value != [] or path == ".cards", path
        for key, member in value.items() if isinstance(value, dict) else ():
            check(member, f"{path}.{key}")
        for member in value if isinstance(value, list) else ():
            check(member, path)

    for name, member in answer.items():
        check(member, f".{name}")


def test_no_card_judges_when_it_speaks(answer: Json) -> None:
    for card in answer["cards"]:
        assert JUDGEMENT.findall(texts(card)) == []


def test_no_card_names_a_dose_when_it_speaks(answer: Json) -> None:
    for card in answer["cards"]:
        assert DOSE.findall(texts(card)) == []


def test_the_detail_is_short_markdown_when_it_is_rendered(answer: Json) -> None:
    for card in answer["cards"]:
        detail = card.get("detail", "")
        shown = MarkdownIt("gfm-like", {"linkify": False}).render(detail)
        assert "<table>" in shown or assessment(answer)["outcome"] == "no-policy"
        assert len(detail) < 4000
        assert not re.search(r"\*\*|\|---", re.sub(r"<[^>]*>", "", shown))


def test_uuids_are_fresh_when_the_same_order_is_signed_again(client: FlaskClient) -> None:
    def ids(answer: Json) -> list[str]:
        offers = [offer for card in answer["cards"] for offer in card.get("suggestions", [])]
        return [item["uuid"] for item in (*answer["cards"], *offers)]

    first, second = ids(example(client, "f000")), ids(example(client, "f000"))
    assert len({*first, *second}) == len(first) + len(second) > 6
    assert all(uuid.UUID(item).version == 4 for item in first)


def test_the_same_is_said_when_the_same_order_is_signed_again(client: FlaskClient) -> None:
    first, second = (example(client, "f000")["cards"] for _ in range(2))
    assert [texts(card) for card in first] == [texts(card) for card in second]


# ------------------------------------------------------------------------------------------- the two seeds


def test_the_limit_comes_first_when_too_many_visits_are_asked_for(client: FlaskClient) -> None:
    limits, measure, lines = example(client, "f000")["cards"]
    assert "20 of 14 visits (18 completed and 2 requested)" in limits["summary"]
    assert "28 to 36" in limits["summary"]
    assert (limits["indicator"], limits["source"]["topic"]["code"]) == ("warning", "limits")
    assert "HAGOS or iHOT" in measure["summary"]
    assert "20561" in lines["summary"]
    assert "97110, 97112" in lines["detail"]


def test_the_measure_is_advice_only_when_the_criteria_are_met(client: FlaskClient) -> None:
    answer = example(client, "f001")
    assert assessment(answer)["outcome"] == "criteria-met"
    assert {card["indicator"] for card in answer["cards"]} == {"info"}
    assert "HAGOS" in answer["cards"][0]["summary"]


def test_a_contraindication_comes_first_when_one_is_on_file(client: FlaskClient) -> None:
    answer = answered(client, request(name="f001", record=[*resources("f001"), DVT]))
    card = answer["cards"][0]
    assert (card["indicator"], card["source"]["topic"]["code"]) == ("critical", "contraindication")
    assert "Acute embolism, left leg" in card["summary"]
    assert assessment(answer)["outcome"] == "criteria-not-met"


@pytest.mark.parametrize("status", ["resolved", "inactive"])
def test_no_contraindication_is_told_when_it_is_over(client: FlaskClient, status: str) -> None:
    over = json.loads(json.dumps(DVT).replace('"active"', f'"{status}"'))
    answer = answered(client, request(name="f001", record=[*resources("f001"), over]))
    assert "critical" not in {card["indicator"] for card in answer["cards"]}


def test_nothing_critical_is_said_when_only_a_benchmark_is_passed(client: FlaskClient) -> None:
    assert "critical" not in {card["indicator"] for card in example(client, "f000")["cards"]}


# ------------------------------------------------------------------------------------------- hostile words


def test_words_of_the_record_show_as_written_when_they_are_hostile(client: FlaskClient) -> None:
    named = DVT | {"code": {"coding": DVT["code"]["coding"], "text": HOSTILE}}  # type: ignore[index]
    card = answered(client, request(name="f001", record=[*resources("f001"), named]))["cards"][0]
    assert card["indicator"] == "critical"
    assert not set("<>") & set(card["summary"])
    shown = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(card["detail"])
    assert "&lt;script&gt;alert(1)&lt;/script&gt; | x **b** [click]" in shown
    assert not re.search(r"<(script|a|img|b)\b", shown)
    assert shown.count("<td") == 3 * shown.count("<tr>") - 3


def test_the_summary_stays_short_when_a_name_is_long(client: FlaskClient) -> None:
    named = DVT | {"code": {"coding": DVT["code"]["coding"], "text": "thrombosis " * 60}}  # type: ignore[index]
    card = answered(client, request(name="f001", record=[*resources("f001"), named]))["cards"][0]
    assert len(card["summary"]) < 140


def test_the_patient_is_not_named_when_cards_are_made(client: FlaskClient) -> None:
    record = resources("f000")
    patient = next(resource for resource in record if resource["resourceType"] == "Patient")
    patient["name"] = [{"family": "Zebrafinch", "given": ["Quentin"]}]
    said = json.dumps(answered(client, request(record=record)))
    assert "Zebrafinch" not in said
    assert "Quentin" not in said


def test_the_order_is_named_when_cards_are_of_an_order(client: FlaskClient) -> None:
    for card in answered(client, request(draft(id="x-1")))["cards"]:
        assert card["extension"]["davinci-crd.associated-resource"] == [{"reference": "ServiceRequest/x-1"}]
