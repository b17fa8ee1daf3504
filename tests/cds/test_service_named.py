"""What an order names is read of a real server, and by nothing but its own reference."""

from __future__ import annotations

from typing import Any

import pytest

from hooks.app import create_app
from hooks.configuration import CONFIGURATION_KEY
from hooks.settings import Settings
from tests.cds.ehr.misbehaving import Handler, misbehaving
from tests.hooks.calls import Json, answered, assessment, draft, request, resources
from tests.hooks.hook_calls import on
from tests.hooks.invariants import values

WORK = "Coverage/work"


def asked(answers: tuple[int, Json], order: Json, name: str = "f003") -> tuple[Json, list[str]]:
    """The answer about an order of which every read is answered so, and the paths that the server was asked for."""
    status, body = answers

    def answering(handler: Handler) -> None:
        handler.reply(body, status)

    with misbehaving(answering) as server, on("2025-06-05"):
        client = create_app(Settings(fhir_servers=(server.base,))).test_client()
        extension = {CONFIGURATION_KEY: {"coverage-info": True}}
        sent = request(order, name=name, record=record(name), fhirServer=server.base, extension=extension)
        return answered(client, sent), [seen.path for seen in server.seen]


def record(name: str) -> list[Json]:
    """An example's record; the plan of f004 is the one whose policy asks who orders."""
    held = resources(name)
    for resource in held:
        if resource["id"] == "f004-coverage":
            resource["class"][0]["value"] = "pain-program-plan-strict"
    return held


def work(**changes: Any) -> Json:
    """A coverage of the patient that is not among the active ones that the EHR sent."""
    mine = next(resource for resource in resources("f003") if resource["resourceType"] == "Coverage")
    return mine | {"id": "work"} | changes


def naming(reference: str) -> Json:
    return draft("f003", authoredOn="2025-06-05", insurance=[{"reference": reference}])


@pytest.mark.parametrize(
    ("answers", "says", "covered"),
    [
        ((200, work(status="cancelled")), f"({WORK}) is not in force on 2025-06-05", ["not-covered"]),
        ((404, {"resourceType": "OperationOutcome", "issue": []}), f"({WORK}) is not on file", None),
        ((500, {"resourceType": "OperationOutcome", "issue": []}), f"({WORK}) could not be read", None),
        ((200, work(beneficiary={"reference": "Patient/other"})), f"({WORK}) could not be read", None),
        ((200, work(id="another")), f"({WORK}) is not on file", None),
    ],
)
def test_the_coverage_that_an_order_names_is_read_when_the_ehr_did_not_send_it(
    answers: tuple[int, Json], says: str, covered: list[str] | None
) -> None:
    answer, paths = asked(answers, naming(WORK))
    assert says in assessment(answer)["says"]
    assert [path for path in paths if "Coverage" in path] == ["/fhir/Coverage/work"]
    told = [values(action["resource"]["extension"][-1], "covered") for action in answer.get("systemActions", [])]
    assert told == ([covered] if covered else [])


def test_the_coverage_that_an_order_names_is_used_when_the_server_has_it_in_force() -> None:
    answer, _ = asked((200, work()), naming(WORK))
    (action,) = answer["systemActions"]
    assert values(action["resource"]["extension"][-1], "coverage") == [{"reference": WORK}]


@pytest.mark.parametrize(
    "reference", ["Coverage/a?b=c", "Coverage?x=y", "Coverage/..", "Coverage/a/../b", "Coverage/ä"]
)
def test_nothing_is_asked_for_when_an_order_names_its_coverage_oddly(reference: str) -> None:
    _, paths = asked((200, work()), naming(reference))
    assert not [path for path in paths if "Coverage" in path]


@pytest.mark.parametrize(
    ("requester", "expected"),
    [
        ("Practitioner/1", ["/fhir/Practitioner/1"]),
        ("PractitionerRole/1", ["/fhir/PractitionerRole/1"]),
        ("Practitioner?x=y", []),
        ("Practitioner/1?x=y", []),
        ("PractitionerX/1", []),
        ("Practitioner", []),
    ],
)
def test_who_orders_is_read_when_the_reference_is_one(requester: str, expected: list[str]) -> None:
    order = draft("f004", requester={"reference": requester})
    answer, paths = asked((200, {"resourceType": requester.split("/")[0], "id": "1"}), order, "f004")
    assert answer["cards"]
    assert [path for path in paths if "Practitioner" in path] == expected
