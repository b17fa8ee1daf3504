"""Requests of the hooks beside order-sign, as EHRs build them from the example patients."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import time_machine
from flask.testing import FlaskClient

from cds.rules.load import load_policies, packaged_policies
from cds.terminology import packaged
from hooks.routes.discovery import prefetch_templates
from tests.hooks.calls import (
    HOOK_INSTANCE,
    Json,
    _fits,
    draft,
    is_draft,
    post,
    resources,
    searchset,
)

PHYSIOTHERAPY = {"system": "http://terminology.hl7.org/CodeSystem/service-type", "code": "65"}
HEART = {"system": "http://terminology.hl7.org/CodeSystem/service-type", "code": "165", "display": "Cardiology"}

# Days for which visits of f001 and of f000 are booked.
TEN = ["2025-09-08", *(f"2025-09-{day}" for day in (10, 12, 15, 17, 19, 22, 24, 26, 29))]
F000 = ["2025-03-10", "2025-03-12"]


def on(day: str) -> time_machine.travel:
    """Noon of a day in UTC: the same day nearly everywhere."""
    return time_machine.travel(datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC))


def active(name: str, **changes: Any) -> Json:
    """The example's order, signed."""
    return draft(name, status="active", **changes)


def record(name: str, *more: Json) -> list[Json]:
    """An example's record without its draft order, and what else is on file."""
    return [resource for resource in resources(name) if not is_draft(resource)] + list(more)


def appointment(name: str, number: int, day: str, **changes: Any) -> Json:
    """A proposed session of physiotherapy; None leaves a member out."""
    proposed: Json = {
        "resourceType": "Appointment",
        "id": f"a{number}",
        "status": "proposed",
        "start": f"{day}T10:00:00-05:00",
        "end": f"{day}T10:45:00-05:00",
        "serviceType": [{"coding": [PHYSIOTHERAPY]}],
        "participant": [{"actor": {"reference": f"Patient/{name}"}, "status": "needs-action"}],
    }
    return {key: value for key, value in (proposed | changes).items() if value is not None}


def visit(name: str, day: str, **changes: Any) -> Json:
    """A therapy encounter of the example as it goes on now."""
    last = [resource for resource in resources(name) if resource["resourceType"] == "Encounter"][-1]
    now = last | {"id": "now", "status": "in-progress", "period": {"start": f"{day}T10:00:00-05:00"}}
    return {key: value for key, value in (now | changes).items() if value is not None}


def bundle(*found: Json) -> Json:
    return {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in found]}


@lru_cache(maxsize=8)
def templates(hook: str) -> dict[str, str]:
    """The prefetch templates of a hook's service in discovery."""
    return prefetch_templates(load_policies([packaged_policies()], packaged()), packaged(), hook)


def prefetched(hook: str, held: Sequence[Json], encounter: str = "") -> Json:
    """Every key that discovery lists for a hook, satisfied from a record."""
    found: Json = {}
    for key, template in templates(hook).items():
        kind = template.split("?")[0].split("/")[0]
        mine = [resource for resource in held if resource["resourceType"] == kind and _fits(resource, template)]
        if "status=active" in template:
            mine = [resource for resource in mine if resource.get("status") == "active"]
        if key == "encounter":
            mine = [resource for resource in mine if resource["id"] == encounter]
        single = "?" not in template
        found[key] = next(iter(mine), None) if single else searchset(*mine)
    return found | {"organizations": searchset(*(r for r in held if r["resourceType"] == "Organization"))}


def body(hook: str, name: str, context: Json, held: Sequence[Json] | None = None, **changes: Any) -> Json:
    """A request of a hook; without `held` it carries no prefetch."""
    whole: Json = {
        "hook": hook,
        "hookInstance": HOOK_INSTANCE,
        "context": {"userId": "Practitioner/example", "patientId": name, **context},
    }
    if held is not None:
        encounter = str(context.get("encounterId", "")).removeprefix("Encounter/")
        whole["prefetch"] = prefetched(hook, held, encounter)
    return {key: value for key, value in (whole | changes).items() if value is not None}


def booking(name: str, days: list[str], *more: Json, order: bool = True, **changes: Any) -> Json:
    """Proposals for some days, based on the example's order, or with its reasons and no order on file."""
    link: Json = {"basedOn": [{"reference": f"ServiceRequest/{name}-order"}]}
    link = link if order else {"reasonCode": draft(name)["reasonCode"]}
    proposed = [appointment(name, number, day, **(link | changes)) for number, day in enumerate(days)]
    held = record(name, *([active(name)] if order else []), *more)
    return body("appointment-book", name, {"appointments": bundle(*proposed)}, held)


def with_yearly_limit() -> list[Json]:
    """The record of f000 under the plan with 30 visits of all disciplines in a calendar year."""
    held = [resource for resource in record("f000") if resource["id"] != "f000-payer"]
    (coverage,) = (resource for resource in held if resource["resourceType"] == "Coverage")
    payer = {"system": "https://therapy-cds.example/payers", "value": "example-visit-limit-plan"}
    coverage["payor"] = [{"identifier": payer}]
    return held


def told(client: FlaskClient, sent: Json, service: str = "") -> Json:
    """The answer of a call that is answered."""
    response = post(client, sent, f"/cds-services/{service or sent['hook']}-therapy")
    assert response.status_code == 200, response.get_data(as_text=True)
    answer: Json = response.get_json()
    return answer


def cards(client: FlaskClient, sent: Json) -> list[Json]:
    found: list[Json] = told(client, sent)["cards"]
    return found


def summaries(client: FlaskClient, sent: Json) -> list[tuple[str, str]]:
    return [(card["indicator"], card["summary"]) for card in cards(client, sent)]


def offers(card: Json) -> list[str]:
    return [offer["label"] for offer in card.get("suggestions", [])]
