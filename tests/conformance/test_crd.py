"""What Da Vinci CRD 2.2.1 says of a server's answers to each hook; requirements.csv names these tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from hooks.app import create_app
from hooks.cli import main
from hooks.coverage_information import URL
from hooks.settings import Settings
from tests.conformance.shape import wrong_in
from tests.conformance.test_cds_hooks import bare
from tests.hooks.calls import Json, draft, request, resources
from tests.hooks.hook_calls import active, appointment, body, bundle, on, record, told, visit
from tests.hooks.invariants import broken

NAME, DAY = "Example Health Plan", "2025-03-10"
KNEE: Json = {
    "id": "knee",
    "reasonCode": [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "M25.562"}]}],
    "bodySite": None,
}
LAB: Json = {
    "resourceType": "ServiceRequest",
    "id": "lab",
    "status": "draft",
    "intent": "order",
    "code": {"coding": [{"system": "http://loinc.org", "code": "24323-8"}]},
    "subject": {"reference": "Patient/f000"},
}


@pytest.fixture(scope="module")
def payer() -> FlaskClient:
    """A client of a payer's service, on loopback."""
    return create_app(Settings(role="payer", payer_name=NAME)).test_client()


def dispatched(*orders: Json) -> Json:
    """An order-dispatch call of the first of some orders on file."""
    context = {"dispatchedOrders": [f"ServiceRequest/{orders[0]['id']}"], "performer": "Organization/clinic"}
    return body("order-dispatch", "f000", context, record("f000", *orders))


def booked(*appointments: Json) -> Json:
    """An appointment-book call for an order on file."""
    link = {"basedOn": [{"reference": "ServiceRequest/f000-order"}]}
    proposed = [each if "serviceType" not in each else each | link for each in appointments]
    return body("appointment-book", "f000", {"appointments": bundle(*proposed)}, record("f000", active("f000")))


def selected() -> Json:
    context = {"selections": ["ServiceRequest/f000-order"], "draftOrders": bundle(draft())}
    return body("order-select", "f000", context, record("f000"))


def met(hook: str) -> Json:
    return body(hook, "f000", {"encounterId": "now"}, record("f000", visit("f000", DAY), active("f000")))


PRIMARY: dict[str, Callable[[], Json]] = {
    "order-sign": lambda: request(draft(id="one"), draft(id="two")),
    "order-dispatch": lambda: dispatched(active("f000")),
    "appointment-book": lambda: booked(appointment("f000", 1, DAY), appointment("f000", 2, "2025-03-12")),
}
SECONDARY: dict[str, Callable[[], Json]] = {
    "order-select": selected,
    "encounter-start": lambda: met("encounter-start"),
    "encounter-discharge": lambda: met("encounter-discharge"),
}


def answer(client: FlaskClient, sent: Json) -> Json:
    with on(DAY):
        return told(client, sent)


# ---------------------------------------------------------------------------------------- coverage information


@pytest.mark.parametrize("hook", PRIMARY)
def test_each_resource_gets_its_coverage_information_when_a_primary_hook_is_called(
    payer: FlaskClient, hook: str
) -> None:
    sent = PRIMARY[hook]()
    found = answer(payer, sent)
    assert wrong_in("answer", found) == []
    held = [entry["resource"] for part in sent["context"].values() if isinstance(part, dict) for entry in part["entry"]]
    assert len(found["systemActions"]) == (len(held) or 1)
    for action in found["systemActions"]:
        assert action["type"] == "update"
        (extension,) = [each for each in action["resource"]["extension"] if each["url"] == URL]
        assert broken(extension, "2.2") == []


@pytest.mark.parametrize("hook", SECONDARY)
def test_no_coverage_information_is_given_when_a_secondary_hook_is_called(payer: FlaskClient, hook: str) -> None:
    found = answer(payer, SECONDARY[hook]())
    assert found["extension"]["example.therapy-cds.assessments"]
    assert "systemActions" not in found


@pytest.mark.parametrize("hook", [*PRIMARY, *SECONDARY])
def test_no_card_carries_coverage_information_when_a_hook_is_called(payer: FlaskClient, hook: str) -> None:
    cards = answer(payer, (PRIMARY | SECONDARY)[hook]())["cards"]
    assert cards
    assert URL not in str(cards)
    assert not [card for card in cards if "coverage" in card["source"]["topic"]["code"]]


@pytest.mark.parametrize("record_holds", ["everything", "patient and coverage"])
def test_coverage_information_is_given_when_only_required_elements_are_sent(
    payer: FlaskClient, record_holds: str
) -> None:
    kept = ("Patient", "Coverage", "Organization")
    held = [r for r in resources() if record_holds == "everything" or r["resourceType"] in kept]
    (action,) = answer(payer, request(bare("f000"), record=held))["systemActions"]
    (extension,) = action["resource"]["extension"]
    assert broken(extension, "2.2") == []


def test_only_the_dispatched_order_is_weighed_when_others_are_on_file(payer: FlaskClient) -> None:
    found = answer(payer, dispatched(active("f000", id="mine"), active("f000", **KNEE)))
    assert [each["order"] for each in found["extension"]["example.therapy-cds.assessments"]] == ["ServiceRequest/mine"]
    assert [action["resource"]["id"] for action in found["systemActions"]] == ["mine"]


# --------------------------------------------------------------------------------- which of several (dev-24)


def lines(found: Json) -> dict[str, set[str]]:
    """The first line of each card's detail, by the resources that the card is about."""
    named: dict[str, set[str]] = {}
    for card in found["cards"]:
        about = ", ".join(each["reference"] for each in card["extension"]["davinci-crd.associated-resource"])
        named.setdefault(about, set()).add(card["detail"].partition("\n")[0])
    return named


HIP = "Order: Physical therapy, left hip; lines 97110, 97112, 20561; 2 visits; from 2025-03-10"


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ((draft(), LAB), {"ServiceRequest/f000-order": HIP}),
        (
            (draft(id="one"), draft(id="two")),
            {"ServiceRequest/one": f"{HIP} (1 of 2 alike)", "ServiceRequest/two": f"{HIP} (2 of 2 alike)"},
        ),
    ],
    ids=["a mixed basket", "two alike"],
)
def test_the_detail_names_the_order_when_the_call_holds_several(
    client: FlaskClient, orders: tuple[Json, ...], expected: dict[str, str]
) -> None:
    assert lines(answer(client, request(*orders))) == {about: {line} for about, line in expected.items()}


def test_orders_are_told_apart_when_they_differ_in_one_thing(client: FlaskClient) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"quantityQuantity": {"value": 3, "unit": "visit"}},
        {"orderDetail": None},
        {"reasonCode": KNEE["reasonCode"], "bodySite": None},
        {"occurrenceTiming": None, "occurrenceDateTime": "2025-03-11"},
    ]
    named = lines(answer(client, request(*(draft(id=f"o{n}", **each) for n, each in enumerate(changes)))))
    assert len(named) == len(changes)
    assert all(len(each) == 1 for each in named.values())
    assert len({line for each in named.values() for line in each}) == len(changes)
    assert not [line for each in named.values() for line in each if "alike" in line]


def test_the_detail_names_no_order_when_there_is_only_one(client: FlaskClient) -> None:
    assert "Order:" not in str(answer(client, request())["cards"])
    assert "Order:" not in str(answer(client, dispatched(active("f000")))["cards"])


def test_the_detail_names_the_order_when_only_some_of_the_appointments_are_for_it(client: FlaskClient) -> None:
    heart = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/service-type", "code": "165"}]}
    other = appointment("f000", 9, "2025-03-14", serviceType=[heart])
    both = [appointment("f000", 1, DAY), appointment("f000", 2, "2025-03-12")]
    assert "Order:" not in str(answer(client, booked(*both))["cards"])
    sent = body("appointment-book", "f000", {"appointments": bundle(*both, other)}, record("f000", active("f000")))
    (card,) = answer(client, sent)["cards"]
    assert card["detail"].startswith(
        "Order: Physical therapy, left hip; lines 97110, 97112, 20561; 2 visits; from 2025-03-10\n"
    )


def test_the_command_names_the_order_as_the_hook_does_when_a_bundle_holds_several(
    client: FlaskClient, tmp_path: Path
) -> None:
    orders = (draft(id="one"), draft(id="two"))
    whole = {"resourceType": "Bundle", "type": "collection", "entry": bundle(*record("f000"), *orders)["entry"]}
    file = tmp_path / "several.json"
    file.write_text(json.dumps(whole), encoding="utf-8")
    done = CliRunner().invoke(main, ["evaluate", str(file), "--json"])
    assert lines(json.loads(done.output)) == lines(answer(client, request(*orders)))
