"""Requests of every hook, changed at random: each is answered as the standards have it, or clearly refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import lru_cache
from typing import Any

import jsonschema_rs
import pytest
from fhir.resources.R4B import get_fhir_model_class
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from hooks.app import create_app
from hooks.protocol import schema
from hooks.settings import Settings
from tests.hooks.calls import Json, draft, post, refused, request
from tests.hooks.hook_calls import active, appointment, body, bundle, on, record, visit

DAY = "2025-03-10"
ASKED: Json = {"davinci-crd.configuration": {"coverage-info": True, "max-cards": 10}}
GONE = "(gone)"
MOST = 100
Path = tuple[str | int, ...]


def small(*more: Json, most: int = 4) -> list[Json]:
    """The example's record with few visits, so that a change is not lost among many alike."""
    kept: dict[str, int] = {}
    found = []
    for resource in record("f000"):
        kept[resource["resourceType"]] = kept.get(resource["resourceType"], 0) + 1
        if kept[resource["resourceType"]] <= most:
            found.append(resource)
    return [*found, *more]


def ordered(hook: str) -> Json:
    """A call with two drafts, known by `urn:uuid:` and by their addresses."""
    entries = [
        {"fullUrl": "urn:uuid:6a1f0c52-8d3b-4b5e-9f10-2f1d8f3f0001", "resource": draft()},
        {"fullUrl": "https://ehr.example.org/fhir/ServiceRequest/two", "resource": draft(id="two", orderDetail=None)},
    ]
    orders = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    chosen = {"selections": ["ServiceRequest/f000-order"]} if hook == "order-select" else {}
    return body(hook, "f000", {"draftOrders": orders, **chosen}, small())


def booked() -> Json:
    link = {"basedOn": [{"reference": "ServiceRequest/f000-order"}]}
    proposed = (
        appointment("f000", 1, DAY, **link),
        appointment("f000", 2, "2025-03-12", reasonCode=draft()["reasonCode"]),
    )
    return body("appointment-book", "f000", {"appointments": bundle(*proposed)}, small(active("f000"), most=20))


def dispatched() -> Json:
    context = {"dispatchedOrders": ["ServiceRequest/f000-order"], "performer": "Organization/clinic"}
    return body("order-dispatch", "f000", context, small(active("f000"), most=20))


def met(hook: str) -> Json:
    return body(hook, "f000", {"encounterId": "now"}, small(visit("f000", DAY), active("f000"), most=20))


MADE: dict[str, Callable[[], Json]] = {
    "order-sign": lambda: ordered("order-sign"),
    "order-select": lambda: ordered("order-select"),
    "order-dispatch": dispatched,
    "appointment-book": booked,
    "encounter-start": lambda: met("encounter-start"),
    "encounter-discharge": lambda: met("encounter-discharge"),
}

# ------------------------------------------------------------------------------------------------- changes

DATES = ("", "2025", "2025-03", "2025-02-30", "2025-03-10T24:00:00Z", "2025-03-10T10:00:00", "0001-01-01", "9999-12-31",
         "2025-03-10T10:00:00+14:00", "next week", "20250310")  # fmt: skip
CODES = (
    "",
    "draft",
    "active",
    "entered-in-error",
    "M25.552",
    "m25552",
    "91251008",
    "97110",
    "no-such-code",
    "\uff11",
    "a" * 5000,
)
REFERENCES = ("", "Patient/f000", "Patient/f001", "#contained", "urn:uuid:0", "https://elsewhere.example.org/Patient/f000",
              "ServiceRequest/", "ServiceRequest/../Patient", "Patient/f000/_history/1")  # fmt: skip
NUMBERS = (0, -1, 1, 7, 14.5, 1e300, 10**30, 2**63)
SHAPES: tuple[Any, ...] = (
    None, True, [], {}, [None], [[]], [{}], {"coding": [{}]}, {"coding": {}}, {"reference": 5}, {"value": "x"},
    {"resourceType": "Bundle", "entry": {}}, "\u202e\x00<script>", {"extension": [{"url": 5}]},
)  # fmt: skip


def places(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Every member and item of a JSON value, with its path."""
    if path:
        yield path, value
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from places(member, (*path, key))


def alternatives(value: object) -> st.SearchStrategy[Any]:
    """What could stand there instead: like it but odd, of another type, or nothing."""
    alike: tuple[Any, ...] = NUMBERS
    if isinstance(value, str):
        alike = DATES if value[:2] in ("20", "19") else REFERENCES if "/" in value or ":" in value else CODES
    elif isinstance(value, list):
        alike = ([*value, *value], value[:1], [*value, None], dict(enumerate(map(str, value))))
    elif isinstance(value, dict):
        alike = ([value], {**value, "id": "odd"}, dict.fromkeys(value), json.dumps(value)[:100])
    return st.sampled_from((GONE, *alike)) | st.sampled_from((*SHAPES, *NUMBERS, *DATES))


@lru_cache(maxsize=8)
def base(hook: str) -> tuple[str, tuple[tuple[Path, object], ...], tuple[tuple[Path, object], ...]]:
    """A call as text, the places in it, and those of them that are not in its prefetch."""
    found = MADE[hook]() | {"extension": ASKED}
    everywhere = tuple(places(found))
    return json.dumps(found), everywhere, tuple(each for each in everywhere if each[0][0] != "prefetch")


@st.composite
def changed(draw: st.DrawFn, hook: str) -> Json:
    """A call of the hook with one to four changes; a change may take away the place of the next."""
    text, everywhere, outside = base(hook)
    sent: Json = json.loads(text)
    for _ in range(draw(st.integers(1, 4))):
        path, value = draw(st.sampled_from(draw(st.sampled_from((everywhere, outside)))))
        apply(sent, path, deepcopy(draw(alternatives(value))))
    return sent


def apply(sent: Json, path: Path, value: object) -> None:
    """Put a value in its place, or take away what is there."""
    target: Any = sent
    try:
        for key in path[:-1]:
            target = target[key]
        if value == GONE:
            del target[path[-1]]
        else:
            target[path[-1]] = value
    except (KeyError, IndexError, TypeError):
        return


# ------------------------------------------------------------------------------------------------- answers


@lru_cache(maxsize=2)
def validator(version: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(schema(f"response-{version}"))


def is_valid(resource: Json) -> bool:
    """Whether FHIR R4 allows a resource, by the library that this is held against."""
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except Exception:
        return False
    return True


def known(sent: object) -> Iterator[Json]:
    """Every resource that a call holds, without the Bundles around them."""
    for _, value in places(sent):
        if isinstance(value, dict) and value.get("resourceType", "Bundle") != "Bundle":
            yield value


def wrong_resources(answer: Json, sent: Json) -> list[Json]:
    """Resources of actions that FHIR does not allow, though they came so that it does, or did not come at all."""
    actions = [a for card in answer["cards"] for offer in card.get("suggestions", ()) for a in offer["actions"]]
    made = [a["resource"] for a in (*actions, *answer.get("systemActions", ())) if "resource" in a]
    wrong = [each for each in made if not is_valid(each)]
    spoilt = [each.get("id") for each in known(sent) if not is_valid(each)] if wrong else []
    return [each for each in wrong if each.get("id") not in spoilt]


@pytest.fixture(scope="module")
def clients() -> dict[str, FlaskClient]:
    """A client of a provider's service, and one of a payer's."""
    payer = Settings(role="payer", payer_name="Example Health Plan", payer_contact=("+1 555 010 0100",))
    return {"provider": create_app(Settings()).test_client(), "payer": create_app(payer).test_client()}


@pytest.mark.parametrize("role", ["provider", "payer"])
@pytest.mark.parametrize("hook", MADE)
def test_the_call_is_answered_with_actions_when_nothing_is_changed(
    clients: dict[str, FlaskClient], hook: str, role: str
) -> None:
    sent = json.loads(base(hook)[0])
    with on(DAY):
        response = post(clients[role], sent, f"/cds-services/{hook}-therapy")
    answer = response.get_json()
    assert response.status_code == 200, answer
    assert answer["cards"]
    assert bool(answer.get("systemActions")) == (hook in ("order-sign", "order-dispatch", "appointment-book"))
    assert all(is_valid(each) for each in known(sent))


@pytest.mark.parametrize("hook", MADE)
@settings(max_examples=MOST)
@given(data=st.data(), role=st.sampled_from(("provider", "payer")))
def test_it_is_a_valid_answer_or_a_clear_refusal_when_a_call_is_changed_at_random(
    clients: dict[str, FlaskClient], hook: str, data: st.DataObject, role: str
) -> None:
    sent = data.draw(changed(hook))
    with on(DAY):
        response = post(clients[role], sent, f"/cds-services/{hook}-therapy")
    if response.status_code != 200:
        assert response.status_code in (400, 404, 412, 422), response.get_data(as_text=True)
        refused(response, response.status_code)
        return
    answer = response.get_json()
    for version in ("2.0.1", "3.0"):
        assert [f"{each.instance_path}: {each.message}" for each in validator(version).iter_errors(answer)] == []
    assert wrong_resources(answer, sent) == []


def test_a_spoilt_resource_is_found_when_an_action_holds_one() -> None:
    good, sent = draft(), request()
    action = {"type": "update", "description": "d", "resource": good | {"status": ["draft"]}}
    assert wrong_resources({"cards": [], "systemActions": [action | {"resource": good}]}, sent) == []
    assert wrong_resources({"cards": [], "systemActions": [action]}, sent) == [action["resource"]]
