"""Requests as other systems shape them, and what each is answered with.

The requests in `requests/` are invented. `record.json` is the prefetch of those that are sent with one; what a request
holds itself goes before it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conformance.shape import wrong_in
from tests.hooks.calls import ORIGIN, Json, assessment, post, refused
from tests.hooks.hook_calls import on

FOLDER = Path(__file__).parent / "requests"
RECORD = "record"
# What each hook's context must hold (CDS Hooks library 1.0.1); order-dispatch 1.0 named its orders otherwise.
WHO = {"userId", "patientId"}
CONTEXT: dict[str, tuple[set[str], ...]] = {
    "order-sign": (WHO | {"draftOrders"},),
    "order-select": (WHO | {"draftOrders", "selections"},),
    "order-dispatch": ({"patientId", "dispatchedOrders", "performer"}, {"patientId", "order", "performer"}),
    "appointment-book": (WHO | {"appointments"},),
    "encounter-start": (WHO | {"encounterId"},),
    "encounter-discharge": (WHO | {"encounterId"},),
}


class Row(NamedTuple):
    """A request, the hook of the service that it is sent to, and what comes back.

    `says` is an outcome where the status is 200 (empty: no order is weighed), else the code of the refusal.
    `actions` are those with coverage information: a provider's service gives it to who asks.
    """

    name: str
    hook: str
    status: int
    says: str = ""
    visits: int | None = None
    record: bool = True
    actions: int = 0
    order: str = "ServiceRequest/therapy"


NOT_MET, NO_POLICY = "criteria-not-met", "no-policy"
PART = "no outcome: a part of the criteria is weighed"
MADE = "ServiceRequest/of-encounter-today"
DAY = "2025-03-03"
TABLE = (
    Row("order-sign-crd-2.2.1", "order-sign", 200, NOT_MET, 7, actions=1),
    Row("order-sign-2.0.1", "order-sign", 200, NOT_MET, 7),
    Row("order-sign-mixed", "order-sign", 200, NOT_MET, 7),
    Row("order-sign-active", "order-sign", 200, NOT_MET, 7),
    # The public sandbox: no Bundle.type, no fullUrl, `selections`, v1 scopes, an order that is hardly begun.
    Row("sandbox", "order-sign", 200, NOT_MET, 7),
    Row("sandbox-no-code", "order-sign", 422, "CDS-105"),
    Row("sandbox-no-reason", "order-sign", 200, NO_POLICY),
    Row("sandbox-medication", "order-sign", 200),
    # The CRD request generator: its own prefetch keys, an empty token, configuration that nobody offered.
    Row("request-generator", "order-sign", 412, "CDS-103", record=False),
    # A library that drops the draft orders.
    Row("healthchain", "order-sign", 400, "CDS-101"),
    Row("order-select", "order-select", 200, PART, 7),
    # One screen of the public sandbox calls services of order-select in the words of order-sign.
    Row("sandbox-order-select", "order-select", 200, NOT_MET, 7),
    Row("order-dispatch-1.1", "order-dispatch", 200, NOT_MET, 7, actions=1),
    Row("order-dispatch-1.0", "order-dispatch", 200, NOT_MET, 7),
    # The visits are those being booked.
    Row("appointment-book", "appointment-book", 200, NOT_MET, 4, actions=1),
    # No order is on file: the one that is made of the encounter asks for nothing beyond it.
    Row("encounter-start", "encounter-start", 200, PART, 4, order=MADE),
    Row("encounter-discharge", "encounter-discharge", 200, PART, 4, order=MADE),
)


def sent(row: Row) -> Json:
    """The body of a row."""
    body = read(row.name)
    return body | {"prefetch": read(RECORD) | body.get("prefetch", {})} if row.record else body


def read(name: str) -> Json:
    """One file of `requests/`."""
    body: Json = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return body


def address(client: FlaskClient, hook: str) -> str:
    """Where the service of a hook is called, as discovery tells it."""
    ids = [service["id"] for service in client.get("/cds-services").get_json()["services"] if service["hook"] == hook]
    return f"/cds-services/{ids[0]}"


def call(client: FlaskClient, row: Row, end: str = "") -> TestResponse:
    """The answer to a row's request."""
    return post(client, sent(row), address(client, row.hook) + end)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
@pytest.mark.parametrize("end", ["", "/"], ids=["plain", "slash"])
def test_it_is_answered_as_the_table_says_when_another_system_calls(client: FlaskClient, row: Row, end: str) -> None:
    with on(DAY):
        response = call(client, row, end)
    if row.status != 200:
        refused(response, row.status, row.says)
        return
    answer = response.get_json()
    assert response.status_code == 200, answer
    assert wrong_in("answer", answer) == []
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    if row.says:
        assert assessment(answer).get("outcome", PART) == row.says
        assert assessment(answer)["order"] == row.order
        assert assessment(answer).get("visits", {}).get("total") == row.visits
        assert len(answer.get("systemActions", [])) == row.actions
    else:
        assert answer == {"cards": []}


@pytest.mark.parametrize("hook", sorted({row.hook for row in TABLE}))
def test_a_browser_may_call_the_service_when_it_asks_first(client: FlaskClient, hook: str) -> None:
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    for url in ("/cds-services", address(client, hook)):
        response = client.options(url, headers={"Origin": ORIGIN, **asking})
        assert response.status_code == 200
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        allowed = response.headers["Access-Control-Allow-Headers"].lower().replace(" ", "").split(",")
        assert {"authorization", "content-type"} <= set(allowed)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_the_request_is_what_its_name_says_when_it_is_read(row: Row) -> None:
    body = sent(row)
    whole = any(needed <= body["context"].keys() for needed in CONTEXT[body["hook"]])
    assert whole == (row.status != 400)
    assert body["hook"] == row.hook or row.name == "sandbox-order-select"
    assert body["prefetch"]
    assert ("fhirServer" in body) >= ("fhirAuthorization" in body)


def test_every_request_has_one_row_when_they_are_listed() -> None:
    names = [row.name for row in TABLE]
    assert sorted([*names, RECORD]) == sorted(path.stem for path in FOLDER.glob("*.json"))
    assert len({read(name)["hookInstance"] for name in names}) == len(names)
