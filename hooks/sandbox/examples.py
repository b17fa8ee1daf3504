"""Example patients: collection Bundles, each with a record and the draft orders that wait to be signed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from hooks.sandbox.errors import InputError

Json = dict[str, Any]
REQUEST_TYPES = frozenset(
    {
        "CommunicationRequest",
        "DeviceRequest",
        "MedicationRequest",
        "NutritionOrder",
        "ServiceRequest",
        "VisionPrescription",
    }
)


@dataclass(frozen=True)
class Example:
    """One example patient.

    Attributes:
        name: the file's name without its ending: `f000`.
        patient_id: the id of the Patient in the Bundle.
        record: what belongs on a FHIR server, draft orders left out.
        drafts: the draft orders, which live in an EHR's order form until they are signed.
    """

    name: str
    patient_id: str
    record: tuple[Json, ...]
    drafts: tuple[Json, ...]

    @property
    def patient(self) -> Json:
        """The Patient resource."""
        return next(item for item in self.record if item["resourceType"] == "Patient")


def is_draft_order(resource: Json) -> bool:
    """Tell whether a resource is an order that nobody has signed yet.

    >>> is_draft_order({"resourceType": "ServiceRequest", "status": "draft"})
    True
    >>> is_draft_order({"resourceType": "ServiceRequest", "status": "active"})
    False
    """
    return resource.get("resourceType") in REQUEST_TYPES and resource.get("status") == "draft"


def read_examples(directory: Path | None = None) -> list[Example]:
    """Read the example Bundles of a directory, or those that come with the project.

    Raises:
        InputError: the directory holds no Bundle that can be read.
    """
    examples = [example_of(name, text) for name, text in _files(directory)]
    if not examples:
        where = directory or "fhir_profiles/examples"
        raise InputError(f"{where}: no .json file there; name a folder of Bundles")
    return examples


def _files(directory: Path | None) -> Iterable[tuple[str, str]]:
    if directory is not None and not directory.is_dir():
        raise InputError(f"{directory}: no such folder; name a folder of FHIR Bundles")
    root = directory or resources.files("fhir_profiles").joinpath("examples")
    entries = root.iterdir() if root.is_dir() else iter(())
    for entry in sorted(entries, key=lambda entry: entry.name):
        if entry.name.endswith(".json"):
            yield entry.name, entry.read_text(encoding="utf-8")


def example_of(name: str, text: str) -> Example:
    """Read one Bundle.

    Raises:
        InputError: the text is no FHIR Bundle with one Patient whose resources have ids.
    """
    found = resources_of(name, text)
    for index, resource in enumerate(found):
        if not resource.get("id") or not resource.get("resourceType"):
            raise InputError(f"{name}: entry[{index}].resource has no resourceType or id; give it both")
    patients = [resource["id"] for resource in found if resource["resourceType"] == "Patient"]
    if len(patients) != 1:
        raise InputError(f"{name}: {len(patients)} Patients in the Bundle; an example holds exactly one")
    return Example(
        name=name.removesuffix(".json"),
        patient_id=patients[0],
        record=tuple(resource for resource in found if not is_draft_order(resource)),
        drafts=tuple(resource for resource in found if is_draft_order(resource)),
    )


def resources_of(name: str, text: str) -> list[Json]:
    """List the resources of a Bundle, or the one resource that the text is.

    Raises:
        InputError: the text is not JSON, or no FHIR resource.
    """
    try:
        body = json.loads(text)
    except ValueError as error:
        raise InputError(f"{name}: not JSON ({error}); give a FHIR Bundle in JSON") from error
    if not isinstance(body, dict) or "resourceType" not in body:
        raise InputError(f"{name}: not a FHIR resource (no resourceType); give a FHIR Bundle in JSON")
    if body["resourceType"] != "Bundle":
        return [body]
    entries = body.get("entry") or []
    found = [entry.get("resource") for entry in entries if isinstance(entry, dict)]
    return [resource for resource in found if isinstance(resource, dict)]


def transaction(example: Example) -> Json:
    """Make the transaction that puts an example's record on a FHIR server, each resource under its own id."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "resource": resource,
                "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
            }
            for resource in example.record
        ],
    }
