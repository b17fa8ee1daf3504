"""What CDS Hooks and CRD say of every answer, held against whole answers; requirements.csv names these tests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from flask.testing import FlaskClient
from markdown_it import MarkdownIt

from tests.conformance.shape import empty_in, has_needless_space, strict, wrong_in
from tests.hooks.calls import (
    EXAMPLES,
    Json,
    answered,
    assessment,
    draft,
    is_draft,
    post,
    request,
    resources,
    with_context,
)

CPT = "http://www.ama-assn.org/go/cpt"
LINE = {"coding": [{"system": CPT, "code": "20561"}]}
KEPT = ("Patient", "Coverage", "Organization")
CASES: dict[str, Callable[[], Json]] = {
    **{name: lambda name=name: request(name=name) for name in EXAMPLES},  # type: ignore[misc]
    "two-orders": lambda: request(draft(id="one"), draft(id="two")),
    "one-unusable": lambda: request(draft(id="one", code=None), draft(id="two")),
    "no-reason": lambda: request(draft(reasonCode=[])),
    "no-therapy": lambda: request(draft(doNotPerform=True)),
    "line-alone": lambda: request(draft(code=LINE, orderDetail=None)),
    "nothing-on-record": lambda: request(record=[r for r in resources() if r["resourceType"] in KEPT]),
}
# Which context fields a template may name (CDS Hooks library 1.0.1, each hook's table).
USER = {"userPractitionerId", "userPractitionerRoleId", "userPatientId", "userRelatedPersonId"}
COMMON = {"context.userId", "context.patientId", "context.encounterId"} | USER
TOKENS = {"order-dispatch": {"context.patientId", "context.dispatchedOrders", "context.performer"} | USER}
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"


@pytest.fixture(params=CASES)
def body(request: pytest.FixtureRequest) -> Json:
    """A request of each kind that is answered with 200."""
    return CASES[request.param]()


@pytest.fixture
def services(client: FlaskClient) -> list[Json]:
    """The services of discovery."""
    found: list[Json] = client.get("/cds-services").get_json()["services"]
    assert found
    return found


# ------------------------------------------------------------------------------------------------------- shape


def test_the_list_has_the_shape_of_the_standard_when_services_are_listed(client: FlaskClient) -> None:
    response = client.get("/cds-services")
    assert response.status_code == 200
    assert wrong_in("discovery", response.get_json()) == []
    assert list(empty_in(response.get_json())) == []


def test_the_answer_has_the_shape_of_the_standard_when_orders_are_signed(client: FlaskClient, body: Json) -> None:
    answer = answered(client, body)
    assert wrong_in("answer", answer) == []
    assert list(empty_in(answer)) == []


def test_every_kind_of_action_is_offered_when_all_kinds_of_orders_are_signed(client: FlaskClient) -> None:
    answers = [answered(client, make()) for make in CASES.values()]
    offers = [offer for answer in answers for card in answer["cards"] for offer in card.get("suggestions", [])]
    assert {action["type"] for offer in offers for action in offer["actions"]} == {"create", "update", "delete"}


def good() -> Json:
    """An answer that uses every member that the schema knows."""
    coding = {"system": "https://example.org/topics", "code": "limits", "display": "Limits"}
    action = {"type": "delete", "description": "Remove it", "resourceId": "ServiceRequest/1"}
    order = {"resourceType": "ServiceRequest", "id": "1"}
    uuid = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
    card = {
        "uuid": uuid,
        "summary": "x" * 139,
        "indicator": "info",
        "source": {"label": "Plan", "url": "https://example.org", "topic": coding},
        "overrideReasons": [coding],
        "suggestions": [{"label": "Do", "uuid": uuid, "isRecommended": True, "actions": [action]}, {"label": "Or",
                         "uuid": uuid, "isRecommended": False}],
        "selectionBehavior": "at-most-one",
        "links": [{"label": "More", "url": "https://example.org/a", "type": "absolute"}],
        "extension": {"org.example.more": 1},
    }  # fmt: skip
    return {"cards": [card], "systemActions": [{"type": "update", "description": "Mark it", "resource": order}]}


LONG = "x" * 140
SPOILT: tuple[tuple[str, Any], ...] = (
    ("cards", None), ("cards", {}), ("other", 1),
    ("cards.0.uuid", None), ("cards.0.uuid", "1"), ("cards.0.summary", None), ("cards.0.summary", LONG),
    ("cards.0.indicator", None), ("cards.0.indicator", "hard-stop"), ("cards.0.source", None),
    ("cards.0.source.label", None), ("cards.0.source.url", "example.org"), ("cards.0.source.icon", "icon.png"),
    ("cards.0.source.topic", None), ("cards.0.source.topic.system", None), ("cards.0.source.topic.code", None),
    ("cards.0.overrideReasons.0.display", None), ("cards.0.overrideReasons.0.code", None),
    ("cards.0.selectionBehavior", None), ("cards.0.selectionBehavior", "all"), ("cards.0.suggestions", None),
    ("cards.0.suggestions.0.label", None), ("cards.0.suggestions.0.uuid", None),
    ("cards.0.suggestions.1.isRecommended", True), ("cards.0.suggestions.0.actionSelectionBehavior", "any"),
    ("cards.0.suggestions.0.actions.0.type", "replace"), ("cards.0.suggestions.0.actions.0.description", None),
    ("cards.0.suggestions.0.actions.0.resourceId", None), ("cards.0.suggestions.0.actions.0.resourceId", "1"),
    ("cards.0.suggestions.0.actions.0.resource", {"resourceType": "ServiceRequest"}),
    ("cards.0.suggestions.0.actions.0.type", "create"), ("systemActions.0.resource.id", None),
    ("systemActions.0.resource", None), ("systemActions.0.description", None), ("systemActions.0.type", None),
    ("cards.0.links.0.label", None), ("cards.0.links.0.url", None), ("cards.0.links.0.type", None),
    ("cards.0.links.0.type", "relative"), ("cards.0.links.0.appContext", "x"), ("cards.0.links.0.autolaunchable", 1),
    ("cards.0.extension", []), ("cards.0.extension", {"mine": 1}),
)  # fmt: skip


@pytest.mark.parametrize(("path", "value"), SPOILT, ids=lambda value: str(value)[:50])
def test_the_shape_is_told_to_be_wrong_when_an_answer_breaks_one_rule(path: str, value: Any) -> None:
    assert wrong_in("answer", good()) == []
    spoilt: Any = deepcopy(good())
    target = spoilt
    *parents, last = path.split(".")
    for part in parents:
        target = target[int(part) if part.isdigit() else part]
    if value is None:
        del target[last]
    else:
        target[last] = value
    assert wrong_in("answer", spoilt) != []


@pytest.mark.parametrize("member", ["hook", "id", "title", "description", "prefetch"])
def test_the_shape_is_told_to_be_wrong_when_a_service_lacks_something(services: list[Json], member: str) -> None:
    assert wrong_in("discovery", {"services": services}) == []
    assert wrong_in("discovery", {"services": [services[0] | {member: 5}]}) != []


# -------------------------------------------------------------------------------------------------------- JSON


def test_bodies_are_strict_json_without_needless_space_when_anything_is_answered(client: FlaskClient) -> None:
    answers = [client.get("/cds-services"), post(client, b"no"), *(post(client, make()) for make in CASES.values())]
    for response in answers:
        assert response.content_type == "application/json"
        assert isinstance(strict(response.get_data()), dict)
        assert not has_needless_space(response.get_data())


@pytest.mark.parametrize("raw", [b'{"a":1,}', b'{"a":1}//', b'{"a":NaN}', b'{"a":1,"a":2}', b'{"a":"\xe9"}', b""])
def test_a_body_is_refused_when_it_is_not_strict_json(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict(raw)


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_it_is_found_when_a_value_is_empty(value: object) -> None:
    assert list(empty_in({"cards": [{"links": value}]})) == ["$.cards.0.links"]
    assert list(empty_in({"cards": []})) == []


# --------------------------------------------------------------------------------------------------- discovery


def test_each_service_is_called_below_the_base_when_it_is_listed(client: FlaskClient, services: list[Json]) -> None:
    assert len({service["id"] for service in services}) == len(services)
    for service in services:
        response = post(client, {}, f"/cds-services/{service['id']}")
        assert response.status_code == 400, "it is there, and refuses an empty request"


def test_tokens_are_those_of_the_hook_when_templates_are_listed(services: list[Json]) -> None:
    for service in services:
        for template in service["prefetch"].values():
            assert set(re.findall(r"\{\{(.*?)\}\}", template)) <= TOKENS.get(service["hook"], COMMON), template
            assert "{{" not in re.sub(r"\{\{.*?\}\}", "", template)
            assert "%" not in template, "no template depends on another"


def unusual(template: str) -> list[str]:
    """What a template asks for beyond the subset that CDS Hooks 2.0.1 recommends (Prefetch query restrictions).

    >>> unusual("Patient/{{context.patientId}}"), unusual("Goal?patient=1&code:in=x&date=ge2020&_count=5")
    ([], [])
    >>> unusual("Goal/1/$everything"), unusual("Goal?_include=x&code:not=y&date=sa2020&a.b=c")
    (['Goal/1/$everything'], ['_include', 'code:not', 'date=sa2020', 'a.b'])
    """
    path, _, query = template.partition("?")
    if not re.fullmatch(r"[A-Z][A-Za-z]+" if query else r"[A-Z][A-Za-z]+/(\{\{[\w.]+\}\}|[\w.-]+)", path):
        return [path]
    found = []
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        plain = re.fullmatch(r"[a-z][A-Za-z-]*(:in)?|_(count|sort|id)", name)
        dated = re.match(r"(?!eq|lt|gt|ge|le)[a-z]{2}\d{4}", value)
        found += [name] if not plain else [pair] if dated else []
    return found


def test_the_recommended_queries_are_enough_when_templates_are_listed(services: list[Json]) -> None:
    for service in services:
        for template in service["prefetch"].values():
            assert unusual(template) == [], template


# ------------------------------------------------------------------------------------------- what is ignored


def said(client: FlaskClient, body: Json) -> Json:
    """What an order comes out as, without the name under which it is on record: that is another each time."""
    return {key: value for key, value in assessment(answered(client, body)).items() if key != "id"}


def test_the_same_is_said_when_a_request_has_members_that_nobody_knows(client: FlaskClient) -> None:
    plain = request()
    odd = with_context(json.loads(json.dumps(plain)), **{"example-context": {"a": [1]}}) | {"example-root": {"b": 2}}
    odd["extension"] = {"org.example.mine": {"c": 3}}
    for entry in odd["context"]["draftOrders"]["entry"]:
        entry["example-entry"] = 4
        entry["resource"]["extension"] = [{"url": "https://example.org/unknown", "valueString": "x"}]
    odd["prefetch"]["exampleKey"] = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    assert said(client, odd) == said(client, plain)


@pytest.mark.parametrize("version", ["3.1.1", "6.1.0", "7.0.0"])
def test_the_same_is_said_when_the_record_declares_another_us_core(client: FlaskClient, version: str) -> None:
    record = [resource for resource in resources() if not is_draft(resource)]
    declared = [r | {"meta": {"profile": [f"{US_CORE}{r['resourceType'].lower()}|{version}"]}} for r in record]
    assert said(client, request(record=declared)) == said(client, request())


def test_the_order_is_weighed_when_optional_elements_are_left_out(client: FlaskClient) -> None:
    found = assessment(answered(client, request(bare("f001"), name="f001")))
    whole = assessment(answered(client, request(name="f001")))
    assert found["visits"]["total"] == whole["visits"]["total"]


def bare(name: str) -> Json:
    """A draft order with the elements only that CRD's profile demands, and what it asks for."""
    kept = ("resourceType", "id", "status", "intent", "code", "subject", "authoredOn", "requester", "reasonCode",
            "quantityQuantity")  # fmt: skip
    return {key: value for key, value in draft(name).items() if key in kept}


# ------------------------------------------------------------------------------------------------------- cards


def test_no_detail_holds_a_link_when_orders_are_signed(client: FlaskClient, body: Json) -> None:
    for card in answered(client, body)["cards"]:
        detail = card.get("detail", "")
        assert "<a " not in MarkdownIt("gfm-like", {"linkify": False}).render(detail)
        assert not re.search(r"://|\bwww\.", detail), "clients make links of addresses"


def test_a_card_has_a_detail_when_it_offers_nothing(client: FlaskClient, body: Json) -> None:
    for card in answered(client, body)["cards"]:
        assert "detail" in card or "suggestions" in card, card["summary"]
