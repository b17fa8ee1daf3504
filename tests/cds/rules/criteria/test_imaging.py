from __future__ import annotations

from typing import Any

import pytest

from cds.model import EvidenceState
from tests.cds.build import SNOMED, Json, about, found, procedure, result

FILMS: dict[str, Any] = {"params": {"set": "hip-radiographs", "months": "months"}, "figures": {"months": 12}}
TWO: dict[str, Any] = {
    "params": {"set": "hip-radiographs", "months": "months", "count": "count"},
    "figures": {"months": 12, "count": 2},
}


def film(day: str, modality: str = "DX", site: str | None = "287679003", **more: Any) -> Json:
    series: Json = {
        "uid": "1",
        "modality": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": modality},
    }
    if site:
        series["bodySite"] = {"system": SNOMED, "code": site}
    return {
        "resourceType": "ImagingStudy",
        "id": f"i-{day}",
        "status": "available",
        "subject": about(),
        "started": day,
        "series": [series],
        "description": "XR hip left 2 views" if modality == "DX" else "MRI hip",
    } | more


@pytest.mark.parametrize(
    ("day", "outcome"),
    [
        ("2024-03-10", "met"),
        ("2024-03-09", "not-met"),
        ("2025-03-10", "met"),
        ("2025-03-11", "not-met"),
        ("2024-03", "unknown"),
        ("2025-02", "met"),
    ],
)
def test_a_film_is_recent_when_it_is_of_the_last_twelve_months(day: str, outcome: str) -> None:
    assert result("imaging-on-file", film(day), **FILMS) == outcome


def test_a_film_counts_when_a_procedure_or_a_report_tells_of_it() -> None:
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r",
        "status": "final",
        "subject": about(),
        "code": {"text": "Hip X-ray, left"},
        "effectiveDateTime": "2025-01-20",
    }
    assert result("imaging-on-file", report, **FILMS) == "met"
    assert result("imaging-on-file", procedure("2025-01-20", "73502"), **FILMS) == "met"


def test_nothing_counts_when_the_study_is_of_another_kind() -> None:
    assert result("imaging-on-file", film("2025-01-20", "MR"), **FILMS) == "not-met"
    assert result("imaging-on-file", **FILMS) == "not-met"


@pytest.mark.parametrize("key", ["imagingStudies", "diagnosticReports", "procedures"])
def test_absence_is_unknown_when_a_search_for_imaging_failed_even_if_it_only_advises(key: str) -> None:
    assert result("imaging-on-file", failing={key: EvidenceState.REFUSED}, **FILMS) == "unknown"


@pytest.mark.parametrize(
    ("days", "outcome"),
    [
        (["2024-06-01", "2025-01-20"], "met"),
        (["2025-01-20"], "not-met"),
        (["2023-01-01", "2025-01-20"], "met"),
        (["2023-01-01", "2023-06-01"], "not-met"),
    ],
)
def test_two_studies_are_wanted_when_the_policy_counts_them(days: list[str], outcome: str) -> None:
    assert result("imaging-on-file", *map(film, days), **TWO) == outcome


def test_all_studies_are_evidence_when_it_is_met() -> None:
    assert found("imaging-on-file", film("2025-01-20"), **FILMS).evidence == ("ImagingStudy/i-2025-01-20",)
