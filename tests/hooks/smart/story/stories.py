"""Stories of orders that the real application has answered and put on record."""

from __future__ import annotations

from typing import Any

from flask import Flask

from cds.story import Bases, Story, story_of
from hooks.app import Deployment
from tests.hooks.calls import answered, request
from tests.hooks.calls import resources as example

Json = dict[str, Any]


def recorded(app: Flask, name: str = "f000", order: Json | None = None, **changes: Any) -> tuple[Json, str, str]:
    """The body of a signed order's entry, when it was recorded, and its first assessment's id."""
    answer = answered(app.test_client(), request(*([order] if order else []), name=name, **changes))
    found = answer["extension"]["example.therapy-cds.assessments"][0]["id"]
    entry = deployment_of(app).ledger.find(found)
    assert entry is not None
    assert entry.body is not None
    return entry.body, entry.recorded, found


def signed(app: Flask, name: str = "f000", **changes: Any) -> Story:
    """The story of an example patient's order, signed just now."""
    place = deployment_of(app)
    body, moment, found = recorded(app, name, **changes)
    return story_of(body, moment, found, place.ledger.content, bases_of(app))


def with_more(app: Flask, *resources: Json, name: str = "f000", order: Json | None = None) -> Story:
    """The story of an order whose record holds some resources more."""
    return signed(app, name, order=order, record=[*example(name), *resources])


def bases_of(app: Flask) -> Bases:
    place = deployment_of(app)
    return Bases(place.basis, place.terms, place.policies)


def deployment_of(app: Flask) -> Deployment:
    found: Deployment = app.extensions["therapy-cds"]
    return found


def score(instrument: str, day: str, value: float, number: int = 1, patient: str = "f000") -> Json:
    """An outcome measure under the project's own code."""
    code = {"system": "https://therapy-cds.example/CodeSystem/outcome-measures", "code": instrument}
    return {
        "resourceType": "Observation",
        "id": f"{instrument}-{number}",
        "status": "final",
        "category": [{"coding": [{"code": "survey"}]}],
        "code": {"coding": [code]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": day,
        "valueQuantity": {"value": value},
    }
