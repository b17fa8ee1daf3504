"""What therapy is taken for when neither an order nor the appointment says so."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.hooks.calls import Json
from tests.hooks.hook_calls import (
    F000,
    active,
    appointment,
    body,
    bundle,
    cards,
    on,
    record,
    summaries,
    visit,
    with_yearly_limit,
)


def of(code: str, number: int, status: str | None = "active") -> Json:
    """A diagnosis on the problem list of f000."""
    coding = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}
    told_status = {"clinicalStatus": {"coding": [{"code": status}]}} if status else {}
    subject = {"reference": "Patient/f000"}
    return {
        "resourceType": "Condition", "id": f"c{number}", "code": {"coding": [coding]}, "subject": subject
    } | told_status  # fmt: skip


def unsaid(*more: Json, held: list[Json] | None = None, **changes: Any) -> Json:
    """Proposals that name neither an order nor a reason."""
    proposed = [appointment("f000", number, day, **changes) for number, day in enumerate(F000)]
    return body("appointment-book", "f000", {"appointments": bundle(*proposed)}, [*(held or record("f000")), *more])


ONE_PROBLEM = [
    [],
    [of("M16.12", 1)],  # the same hip
    [of("M25.561", 1)],  # a knee that is not under therapy
    [of("M25.561", 1, "resolved")],
]


@pytest.mark.parametrize("more", ONE_PROBLEM)
def test_the_one_problem_on_record_is_taken_when_nothing_says_what_for(client: FlaskClient, more: list[Json]) -> None:
    with on("2025-03-09"):
        (card,) = cards(client, unsaid(*more))
    assert card["summary"] == "Left hip: 20 of 14 visits (18 attended, 2 being booked); the limit was already reached"
    taken = "No order and no reason is named: this is taken for therapy of the left hip, the only one on record."
    assert taken in card["detail"]


KNEE_VISIT = visit(
    "f000", "2025-02-20", id="knee", status="finished", reasonCode=[{"coding": of("M25.561", 1)["code"]["coding"]}]
)
EXERCISE = {"system": "http://www.ama-assn.org/go/cpt", "code": "97110"}  # of either discipline
SEVERAL = [
    ([KNEE_VISIT, of("M25.561", 1)], {}),
    ([active("f000"), active("f000", id="2", reasonCode=of("M25.561", 1)["code"], bodySite=None)], {}),
    ([], {"serviceType": [{"coding": [EXERCISE]}]}),
]


@pytest.mark.parametrize(("more", "changes"), SEVERAL, ids=["visits for a knee too", "orders for two", "no discipline"])
def test_there_is_silence_when_nothing_says_what_for_and_the_record_is_unclear(
    client: FlaskClient, more: list[Json], changes: Json
) -> None:
    with on("2025-03-09"):
        assert cards(client, unsaid(*more, **changes)) == []


@pytest.mark.parametrize("status", [None, "inactive"])
def test_there_is_silence_when_the_only_problem_is_not_surely_active(client: FlaskClient, status: str | None) -> None:
    held = [resource for resource in record("f000") if resource["resourceType"] != "Condition"]
    with on("2025-03-09"):
        assert cards(client, unsaid(of("M25.552", 1, status), held=held)) == []


def test_a_limit_for_every_body_site_counts_when_nothing_says_what_for(client: FlaskClient) -> None:
    days = [(date(2025, 3, 10) + timedelta(days=n)).isoformat() for n in range(25)]
    proposed = [appointment("f000", n, day) for n, day in enumerate(days)]
    held = [*with_yearly_limit(), KNEE_VISIT, of("M25.561", 1)]
    with on("2025-03-09"):
        found = summaries(client, body("appointment-book", "f000", {"appointments": bundle(*proposed)}, held))
    text = "32 of 30 visits (7 attended, 25 being booked); beyond the plan's limit from 2025-04-02 on"
    assert found == [("warning", text)]
