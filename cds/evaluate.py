"""Assess the draft orders of a collection Bundle with no server at all."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from cds.ehr.gather import BundleSource
from cds.errors import UnreadableFile, UnusableOrder
from cds.fhir.bundles import parse_answer
from cds.fhir.orders import read_orders
from cds.model import Assessment, Resource
from cds.rules.policy import Policy
from cds.service import Asked, Ports, assess_orders
from cds.terminology import Terminology

DRAFT = frozenset(("draft",))


def evaluate_bundle(
    path: Path,
    policies: tuple[Policy, ...],
    terms: Terminology,
    today: date,
    as_of: date | None,
    policy: str | None,
) -> tuple[Assessment, ...]:
    """Assess every draft therapy order in the file; UnreadableFile or UnusableOrder say what is wrong with it."""
    resources = read_bundle(path)
    patients = [resource for resource in resources if resource.type == "Patient"]
    if len(patients) != 1:
        raise UnreadableFile(
            f"The Bundle holds {len(patients)} Patients", where=str(path), remedy="It must hold exactly one"
        )
    drafts = [r for r in resources if r.type == "ServiceRequest" and _json(r).get("status") in DRAFT]
    if not drafts:
        raise UnreadableFile(
            "The Bundle holds no draft order",
            where=str(path),
            remedy="Add a ServiceRequest whose status is 'draft'",
        )
    patient = patients[0].id
    urls = {resource.url: resource.reference for resource in resources if resource.url}
    orders, problems = read_orders([(draft.reference, _json(draft)) for draft in drafts], terms, patient, urls)
    if problems:
        raise UnusableOrder(problems[0], where=str(path))
    record = tuple(r for r in resources if r.type != "ServiceRequest" or r not in drafts)
    asked = Asked(patient, orders, today, as_of, policy)
    return assess_orders(asked, Ports(terms, policies, BundleSource(record)))


def read_bundle(path: Path) -> tuple[Resource, ...]:
    """The entries of a Bundle file."""
    try:
        answer = parse_answer(path.read_bytes().decode("utf-8-sig").encode())
    except OSError as problem:
        raise UnreadableFile(
            f"The file cannot be read ({type(problem).__name__})", where=str(path), remedy="Check the path"
        ) from None
    except UnicodeDecodeError:
        raise UnreadableFile("The file is not UTF-8 text", where=str(path), remedy="Save it as UTF-8") from None
    except ValueError as problem:
        raise UnreadableFile(
            f"This is no FHIR Bundle: {problem}",
            where=str(path),
            remedy="Give a Bundle of type collection in JSON",
        ) from None
    if answer.problems:
        raise UnreadableFile(f"The Bundle is broken: {answer.problems[0]}", where=str(path), remedy="Mend that entry")
    return answer.resources


def _json(resource: Resource) -> dict[str, Any]:
    parsed = json.loads(bytes(resource.payload))
    return parsed if isinstance(parsed, dict) else {}
