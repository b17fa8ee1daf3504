"""The other hooks against a real FHIR server: nothing prefetched, everything read and searched there."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from flask.testing import FlaskClient

from hooks.app import create_app
from hooks.sandbox.examples import Example, transaction
from hooks.sandbox.http import ask
from hooks.settings import Settings
from tests.hooks.calls import Json, draft
from tests.hooks.hook_calls import active, appointment, body, bundle, on, record, summaries, visit
from tests.integration.any_server import renamed

pytestmark = pytest.mark.integration
LIMIT = "Left hip: 20 of 14 visits (18 completed and 2 requested); the plan projects 28 to 36"


@pytest.fixture(scope="module")
def patient(fhir_server: str) -> str:
    """A patient of our own with the record of f000, the order signed and a visit going on."""
    held = tuple(record("f000", active("f000"), visit("f000", "2025-03-10")))
    example = renamed(Example("f000", "f000", held, ()), secrets.token_hex(4))
    answer = ask("POST", fhir_server, transaction(example), "application/fhir+json")
    assert answer.status == 200, answer.body
    return example.patient_id


@pytest.fixture(scope="module")
def client(fhir_server: str) -> FlaskClient:
    return create_app(Settings(fhir_servers=(fhir_server,), deadline_seconds=20)).test_client()


def context_of(hook: str, patient: str) -> Json:
    suffix = patient.removeprefix("f000")
    insurance = [{"reference": f"Coverage/f000-coverage{suffix}"}]
    order: Json = draft("f000") | {"subject": {"reference": f"Patient/{patient}"}, "insurance": insurance}
    booked = [
        appointment(patient, n, day, basedOn=[{"reference": f"ServiceRequest/f000-order{suffix}"}])
        for n, day in enumerate(("2025-03-10", "2025-03-12"))
    ]
    contexts: dict[str, Json] = {
        "order-select": {"selections": ["ServiceRequest/f000-order"], "draftOrders": bundle(order)},
        "order-dispatch": {"dispatchedOrders": [f"ServiceRequest/f000-order{suffix}"], "performer": "Organization/x"},
        "appointment-book": {"appointments": bundle(*booked)},
        "encounter-start": {"encounterId": f"now{suffix}"},
        "encounter-discharge": {"encounterId": f"now{suffix}"},
    }
    return contexts[hook]


@pytest.mark.parametrize(
    ("hook", "first"),
    [
        ("order-select", ("warning", LIMIT)),
        ("order-dispatch", ("warning", LIMIT)),
        (
            "appointment-book",
            (
                "warning",
                "Left hip: 20 of 14 visits (18 attended, 2 being booked); the limit was already reached",
            ),
        ),
        ("encounter-start", ("warning", "Left hip: this is visit 19; the limit is 14")),
        ("encounter-discharge", ("info", "Left hip: this is visit 19; the limit is 14")),
    ],
)
def test_a_hook_is_answered_when_everything_has_to_be_searched(
    client: FlaskClient, fhir_server: str, patient: str, hook: str, first: tuple[str, str]
) -> None:
    sent: dict[str, Any] = body(hook, patient, context_of(hook, patient), fhirServer=fhir_server)
    with on("2025-03-10"):
        assert summaries(client, sent)[0] == first


def test_a_card_says_so_when_the_real_server_does_not_hold_the_encounter(
    client: FlaskClient, fhir_server: str, patient: str
) -> None:
    sent = body("encounter-start", patient, {"encounterId": "nowhere"}, fhirServer=fhir_server)
    ((indicator, summary),) = summaries(client, sent)
    assert indicator == "info"
    assert summary.startswith("This visit could not be checked")
