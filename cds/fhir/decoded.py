"""Each resource is decoded once: for its type and id, for every reader, and for what the ledger keeps of it. Pure.

The decoded resource lies with the `Resource` that it is of. A resource that does not fit its shape is not decoded
here: readers take it field by field (`cds.fhir.elements.read_shape`), each with its own complaints.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from cds.fhir import shapes
from cds.fhir.elements import Shape, read_shape
from cds.model import Resource

T = TypeVar("T", bound=Shape)
SHAPES: Mapping[str, type[Shape]] = {
    "Appointment": shapes.Appointment,
    "CarePlan": shapes.CarePlan,
    "Claim": shapes.Claim,
    "ClaimResponse": shapes.ClaimResponse,
    "Condition": shapes.Condition,
    "Coverage": shapes.Coverage,
    "DiagnosticReport": shapes.DiagnosticReport,
    "DocumentReference": shapes.DocumentReference,
    "Encounter": shapes.Encounter,
    "EpisodeOfCare": shapes.EpisodeOfCare,
    "ExplanationOfBenefit": shapes.Claim,
    "Goal": shapes.Goal,
    "ImagingStudy": shapes.ImagingStudy,
    "MedicationRequest": shapes.Medication,
    "MedicationStatement": shapes.Medication,
    "Observation": shapes.Observation,
    "Organization": shapes.OrganizationShape,
    "Patient": shapes.Patient,
    "Practitioner": shapes.Practitioner,
    "PractitionerRole": shapes.Practitioner,
    "Procedure": shapes.Procedure,
    "QuestionnaireResponse": shapes.QuestionnaireResponse,
    "Task": shapes.Task,
}
# Types of which the shape itself has the type's name: it is a part of what is kept.
_TYPED = frozenset(kind for kind, shape in SHAPES.items() if hasattr(shape, "resourceType"))
# Beside what is no JSON: letters that are no UTF-8, and lists nested without end.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Meta(Shape):
    versionId: str = ""


@lru_cache(maxsize=64)
def _decoder(kind: str) -> msgspec.json.Decoder[Any] | None:
    """Reads the shape of a resource type together with the resource's version and type; None where nothing reads it."""
    if (shape := SHAPES.get(kind)) is None:
        return None
    typed = () if kind in _TYPED else (("resourceType", str, ""),)
    versioned = msgspec.defstruct(
        f"Kept{shape.__name__}", [("meta", _Meta | None, None), *typed], bases=(shape,),
        kw_only=True, omit_defaults=True, gc=False,
    )  # fmt: skip
    return msgspec.json.Decoder(versioned)


def resource_like(kind: str, payload: memoryview, url: str) -> Resource | None:
    """The resource of an entry if it is of this type, has an id, and fits its shape; else None.

    In a searchset nearly every entry is like the one before it: so its JSON is gone through once, and not first for
    its type and again for its content.
    """
    if (decoder := _decoder(kind)) is None:
        return None
    try:
        read = decoder.decode(payload)
    except UNREADABLE:
        return None
    if read.resourceType != kind or not read.id:
        return None
    return _keep(Resource(kind, read.id, payload, url), read)


def whole(resource: Resource) -> Any:  # noqa: ANN401 - an instance of the type's shape
    """The resource in the shape of its type, decoded at most once; None where it does not fit, or nothing reads it."""
    if resource.decoded is None and (decoder := _decoder(resource.type)) is not None:
        try:
            _keep(resource, decoder.decode(resource.payload))
        except UNREADABLE:
            return None
    return resource.decoded


def read_resource(resource: Resource, shape: type[T]) -> tuple[T | None, tuple[str, ...]]:
    """The resource in a shape, and what of it could not be read: as `read_shape`, but decoded only once."""
    read = resource.decoded or whole(resource)
    return (read, ()) if isinstance(read, shape) else read_shape(resource.payload, shape)


def _keep(resource: Resource, read: Any) -> Resource:  # noqa: ANN401 - an instance of the type's shape
    if resource.type not in _TYPED:
        read.resourceType = ""  # the Resource says it; what the ledger keeps does not repeat it
    object.__setattr__(resource, "decoded", read)
    return resource
