"""Whether an authorization is for an order: by its insurer, and by its services."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from cds.model import Authorization, Code, Concept, Coverage, Days, Discipline, Line
from cds.rules.authorized import authorizations_for
from tests.cds.build import order_of, service_request, terms

ORDER = replace(
    order_of(service_request()),
    lines=(Line(Code("cpt", "97110")), Line(Code("cpt", "97140"))),
    discipline=Discipline.PHYSICAL_THERAPY,
)
COVERAGE = Coverage("Coverage/c", ("plan",), payer_references=("Organization/1",))
PLAIN = Authorization("ClaimResponse/a", "A-1", Days(date(2025, 3, 1), date(2025, 5, 30)))


def service(code: str, system: str = "cpt", text: str = "") -> Concept:
    return Concept((Code(system, code),) if code else (), text)


def verdict(coverage: Coverage | None = COVERAGE, **changes: Any) -> str:
    sure, unsure = authorizations_for(ORDER, coverage, [replace(PLAIN, **changes)], terms())
    return "for it" if sure else "unsure" if unsure else "left out"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "for it"),
        ({"insurers": ("plan",)}, "for it"),
        ({"insurers": ("other",)}, "left out"),
        ({"insurer_references": ("Organization/1",)}, "for it"),
        ({"insurer_references": ("Organization/2",)}, "left out"),
        ({"insurers": ("other",), "insurer_references": ("Organization/1",)}, "for it"),
        ({"coverage": replace(COVERAGE, payers=()), "insurers": ("other",)}, "for it"),
        ({"coverage": replace(COVERAGE, payer_references=()), "insurer_references": ("Organization/2",)}, "for it"),
        ({"coverage": None, "insurers": ("other",)}, "for it"),
    ],
)
def test_an_authorization_is_left_out_when_another_insurer_gave_it(changes: dict[str, Any], expected: str) -> None:
    assert verdict(**changes) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"services": (service("97110"),)}, "for it"),
        ({"services": (service("97112"),)}, "for it"),
        ({"services": (service("91251008", "snomed"),)}, "for it"),
        ({"services": (service("", text="Physical therapy"),)}, "for it"),
        ({"services": (service("27130"), service("97110"))}, "for it"),
        ({"services": (service("27130"),)}, "unsure"),
        ({"services": (service("97166"),)}, "unsure"),
        ({"services": (service("84478008", "snomed"),)}, "unsure"),
        ({"services": (service("97110"),), "refused": (service("97140"),)}, "unsure"),
        ({"services": (service("97110"),), "refused": (service("27130"),)}, "for it"),
        ({"services": (), "refused": (service("97112"),)}, "unsure"),
        ({"partial": True}, "unsure"),
    ],
)
def test_it_cannot_be_told_when_the_services_are_not_those_of_the_order(changes: dict[str, Any], expected: str) -> None:
    assert verdict(**changes) == expected
