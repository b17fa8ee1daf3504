"""Pre-authorizations as they are read: who gave them, for what, and which are none."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from cds.fhir.authorizations import read_authorizations
from cds.fhir.reading import Reading
from cds.model import Authorization, Resource
from tests.cds.build import PATIENT, Json, about, concept, entries, period, terms

PAS = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
PDEX = "http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/"
REVIEW = "https://codesystem.x12.org/005010/306"
ADJUDICATION = "http://terminology.hl7.org/CodeSystem/adjudication"
CPT = "http://www.ama-assn.org/go/cpt"


def authorization(**changes: Any) -> Json:
    """A ClaimResponse; None leaves a member out."""
    answer: Json = {
        "resourceType": "ClaimResponse", "id": "x", "status": "active", "use": "preauthorization",
        "patient": about(), "preAuthRef": "A-1", "preAuthPeriod": period("2025-06-05", "2025-09-03"),
        "outcome": "complete",
    }  # fmt: skip
    return {name: value for name, value in (answer | changes).items() if value is not None}


def reviewed(code: str, base: str = PAS) -> Json:
    """The extension of an adjudication with a payer's decision."""
    inner = {"url": f"{base}extension-reviewActionCode", "valueCodeableConcept": concept(REVIEW, code)}
    return {"url": f"{base}extension-reviewAction", "extension": [{"url": "number", "valueString": "A-1"}, inner]}


def item(review: str | None = None, service: str | None = None, **changes: Any) -> Json:
    """A line of a ClaimResponse with its decision and its billing code."""
    category = concept(ADJUDICATION, "submitted")
    adjudication: Json = {"category": category, **({"extension": [reviewed(review)]} if review else {})}
    line: Json = {"itemSequence": 1, "adjudication": [adjudication]}
    return line | ({"productOrService": concept(CPT, service)} if service else {}) | changes


def read(*resources: Json) -> tuple[Authorization, ...]:
    by_type: dict[str, list[Resource]] = defaultdict(list)
    for resource in entries(*resources):
        by_type[resource.type].append(resource)
    return read_authorizations(Reading(terms(), PATIENT), by_type)


@pytest.mark.parametrize("code", ["A1", "A2", "A6", "a1"])
def test_an_authorization_counts_when_the_payer_certified_it(code: str) -> None:
    assert [each.number for each in read(authorization(item=[item(code)]))] == ["A-1"]


@pytest.mark.parametrize(
    "said",
    [
        *({"item": [item(code)]} for code in ("A3", "A4", "C", "CT", "NA")),
        {"addItem": [item("A3")]},
        {"item": [item("A3"), item("A4")]},
        {"item": [{"itemSequence": 1, "adjudication": [{"extension": [reviewed("A3", PDEX)]}]}]},
        {"item": [{"itemSequence": 1, "adjudication": [{"reason": concept(REVIEW, "A3")}]}]},
        {"item": [{"itemSequence": 1, "adjudication": [{"category": concept(ADJUDICATION, "denialreason")}]}]},
        {"item": [{"itemSequence": 1, "extension": [reviewed("A4")], "adjudication": []}]},
        {"extension": [reviewed("A3")]},
        {"decision": concept("http://hl7.org/fhir/claim-decision", "denied")},
        {"decision": concept("http://hl7.org/fhir/claim-decision", "pending")},
        *({"type": concept("http://terminology.hl7.org/CodeSystem/claim-type", kind)}
          for kind in ("pharmacy", "vision", "oral")),
    ],
)  # fmt: skip
def test_nothing_is_authorized_when_the_payer_refused_or_has_to_decide_or_it_is_no_medical_care(said: Json) -> None:
    assert read(authorization(**said)) == ()


@pytest.mark.parametrize("kind", ["professional", "institutional"])
def test_an_authorization_counts_when_it_is_for_medical_care(kind: str) -> None:
    said = concept("http://terminology.hl7.org/CodeSystem/claim-type", kind)
    assert len(read(authorization(type=said))) == 1


def test_the_services_are_those_that_were_granted_when_lines_are_decided_apart() -> None:
    (found,) = read(authorization(item=[item("A1", "97110"), item("A3", "97140")]))
    assert [code.code for each in found.services for code in each.codes] == ["97110"]
    assert [code.code for each in found.refused for code in each.codes] == ["97140"]
    assert not found.partial


def test_the_service_is_the_one_authorized_when_another_was_asked_for() -> None:
    detail = {"url": "productOrServiceCode", "valueCodeableConcept": concept(CPT, "97112")}
    changed = [{"url": f"{PAS}extension-itemAuthorizedDetail", "extension": [detail]}]
    (found,) = read(authorization(item=[item("A6", "97110", extension=changed)]))
    assert [code.code for each in found.services for code in each.codes] == ["97112"]


def test_it_is_partial_when_a_line_was_refused_and_nobody_says_which() -> None:
    (found,) = read(authorization(item=[item("A1"), item("A3")]))
    assert found.partial


@pytest.mark.parametrize(
    ("insurer", "identifiers", "references"),
    [
        (None, (), ()),
        ({"reference": "https://ehr.example.org/fhir/Organization/1"}, ("naic-1",), ("Organization/1",)),
        ({"reference": "Organization/2"}, (), ("Organization/2",)),
        ({"identifier": {"value": "naic-9"}}, ("naic-9",), ()),
        ({"reference": "#payer"}, (), ()),
    ],
)
def test_the_insurer_is_known_when_it_is_named(
    insurer: Json | None, identifiers: tuple[str, ...], references: tuple[str, ...]
) -> None:
    organization = {"resourceType": "Organization", "id": "1", "identifier": [{"value": "naic-1"}]}
    (found,) = read(authorization(insurer=insurer), organization)
    assert (found.insurers, found.insurer_references) == (identifiers, references)
