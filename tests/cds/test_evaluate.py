from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cds.as_json import assessment_json, visits_json
from cds.errors import InputError, MalformedRequest, UnreadableFile, UnusableOrder
from cds.evaluate import evaluate_bundle
from cds.model import Assessment, EvidenceState, Span, VisitCount
from tests.cds.build import (
    ICD10,
    LEFT_HIP,
    PATIENT,
    SNOMED,
    Json,
    assess,
    bundle,
    care_plan,
    concept,
    condition,
    coverage,
    encounter,
    example,
    patient,
    period,
    policies,
    service_request,
    terms,
    visits,
    weekly,
)

TODAY = date(2025, 3, 20)
ORDER = service_request(quantityQuantity=visits(2))


def write(folder: Path, data: Any) -> Path:
    path = folder / "bundle.json"
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return path


def evaluated(folder: Path, data: Any, as_of: date | None = None, policy: str | None = None) -> tuple[Assessment, ...]:
    return evaluate_bundle(write(folder, data), policies(), terms(), TODAY, as_of, policy)


def whole(*resources: Json) -> Json:
    return bundle(patient(), coverage(), *resources)


def test_every_draft_order_is_assessed_when_a_bundle_holds_several(tmp_path: Path) -> None:
    found = evaluated(tmp_path, whole(ORDER, ORDER | {"id": "second"}, ORDER | {"id": "done", "status": "completed"}))
    assert [a.order.reference for a in found] == ["ServiceRequest/order", "ServiceRequest/second"]


def test_nothing_is_assessed_when_no_draft_is_therapy(tmp_path: Path) -> None:
    assert evaluated(tmp_path, whole(service_request(code={"text": "Colonoscopy"}))) == ()


def test_the_day_is_the_first_proposed_one_when_the_order_names_it(tmp_path: Path) -> None:
    def day(order: Json, as_of: date | None = None) -> str:
        (found,) = evaluated(tmp_path, whole(order), as_of)
        return str(found.as_of)

    assert day(ORDER | {"occurrenceTiming": {"event": ["2025-03-14", "2025-03-12"]}}) == "2025-03-12"
    assert day(ORDER | {"occurrencePeriod": period("2025-03-13", "2025-05-08")}) == "2025-03-13"
    assert day(ORDER) == "2025-03-10"
    assert day(ORDER | {"authoredOn": "2025-03"}) == str(TODAY)
    assert day({key: value for key, value in ORDER.items() if key != "authoredOn"}) == str(TODAY)
    assert day(ORDER, date(2025, 3, 1)) == "2025-03-01"


def test_references_by_entry_url_are_followed_when_resources_have_no_ids(tmp_path: Path) -> None:
    def entry(name: str, resource: Json) -> Json:
        return {"fullUrl": f"urn:uuid:{name}", "resource": {k: v for k, v in resource.items() if k != "id"}}

    me = {"subject": {"reference": "urn:uuid:me"}}
    order = service_request(
        quantityQuantity=visits(2),
        reasonCode=None,
        occurrenceTiming={"event": ["2025-03-10", "2025-03-12"]},
        reasonReference=[{"reference": "urn:uuid:pain"}],
        supportingInfo=[{"reference": "urn:uuid:plan"}],
        **me,
    )
    plan = care_plan(weekly(1, boundsPeriod=period("2025-03-13", "2025-04-10"))) | me
    other = care_plan(weekly(5, boundsPeriod=period("2025-03-13", "2025-04-10"))) | me
    entries = [
        entry("me", patient()),
        entry("cover", coverage(beneficiary=me["subject"])),
        entry("pain", condition(LEFT_HIP) | me),
        entry("visit", encounter("2025-03-03", reason=None, reasonReference=[{"reference": "urn:uuid:pain"}]) | me),
        entry("plan", plan),
        entry("other", other),
        entry("order", order),
    ]
    (found,) = evaluated(tmp_path, {"resourceType": "Bundle", "type": "collection", "entry": entries})
    assert found.policy == "hip-pain-extended-therapy"
    assert found.visits is not None
    assert (found.visits.completed.exact, found.visits.projected) == (1, Span(7, 7))


def test_a_file_is_read_when_it_begins_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert evaluated(tmp_path, b"\xef\xbb\xbf" + json.dumps(whole(ORDER)).encode())


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "no FHIR Bundle"),
        (b"{", "no FHIR Bundle"),
        (b"[]", "no FHIR Bundle"),
        (b"\xff\xfe{}", "not UTF-8"),
        (
            b'{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "id": "caf\xe9"}}]}',
            "not UTF-8",
        ),
        ({"resourceType": "Bundle"}, "holds 0 Patients"),
        (patient(), "holds no draft order"),
        (bundle(patient(), patient("other"), ORDER), "holds 2 Patients"),
        (bundle(patient(), coverage()), "holds no draft order"),
        (whole(ORDER | {"status": "active"}), "holds no draft order"),
        ({"resourceType": "Bundle", "entry": [{"fullUrl": "urn:uuid:1"}]}, "broken: entry 0 holds no resource"),
    ],
    ids=range(11),
)
def test_it_says_what_is_wrong_when_a_file_cannot_be_used(tmp_path: Path, data: Any, what: str) -> None:
    with pytest.raises(UnreadableFile, match=what) as caught:
        evaluated(tmp_path, data)
    assert caught.value.where.endswith("bundle.json")
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_it_says_what_is_wrong_when_the_file_is_not_there_or_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UnreadableFile, match="cannot be read"):
            evaluate_bundle(path, policies(), terms(), TODAY, None, None)


def test_an_order_without_code_is_never_passed_over_when_another_can_be_weighed(tmp_path: Path) -> None:
    with pytest.raises(UnusableOrder, match="ServiceRequest/bad"):
        evaluated(tmp_path, whole(ORDER, service_request(id="bad", code=None)))


def test_it_is_malformed_when_an_order_is_for_somebody_else(tmp_path: Path) -> None:
    with pytest.raises(MalformedRequest, match="another patient"):
        evaluated(tmp_path, whole(ORDER | {"subject": {"reference": "Patient/other"}}))
    assert issubclass(MalformedRequest, InputError)


# ---------------------------------------------------------------------------------------------------- as JSON


def test_the_contracts_keys_are_printed_when_an_assessment_becomes_json() -> None:
    told = assessment_json(assess(*example("f000")))
    assert told["order"] == "ServiceRequest/f000-order"
    assert (told["policy"], told["policyVersion"], told["outcome"]) == (
        "hip-pain-extended-therapy",
        "2025-01-01",
        "criteria-not-met",
    )
    visits_told = {
        key: told["visits"][key]
        for key in ("completed", "requested", "scheduled", "total", "limit", "projected", "complete")
    }
    assert visits_told == {
        "completed": 18,
        "requested": 2,
        "scheduled": 0,
        "total": 20,
        "limit": 14,
        "projected": [28, 36],
        "complete": True,
    }
    first = told["criteria"][0]
    assert {"id", "required", "result", "says", "evidence", "missing", "cite"} <= first.keys()
    assert (first["id"], first["required"], first["result"]) == ("visits-within-benchmark", True, "not-met")
    assert first["says"] == "20 of 14 visits: 18 completed and 2 requested"
    assert "Encounter/f000-visit-18" in first["evidence"]
    assert told["wouldChange"]
    assert json.loads(json.dumps(told)) == told


def test_what_cannot_be_known_is_null_and_never_none_when_encounters_are_refused() -> None:
    told = assessment_json(assess(*example("f000"), failing={"encounters": EvidenceState.REFUSED}))["visits"]
    assert (told["completed"], told["total"], told["projected"], told["complete"]) == (None, None, None, False)
    assert told["atLeast"] == 18


def test_numbers_are_null_when_the_order_does_not_say_how_many() -> None:
    count = VisitCount(Span(3, 3), None, 0, None, None, complete=True)
    told = visits_json(count)
    assert (told["completed"], told["requested"], told["total"], told["complete"]) == (3, None, None, False)


def test_every_number_but_the_order_s_own_is_null_when_no_policy_counts() -> None:
    told = visits_json(None, Span(8, 8))
    assert (told["completed"], told["requested"], told["total"], told["projected"]) == (None, 8, None, None)
    assert told["complete"] is False


def test_the_range_is_told_as_unknown_when_the_order_asks_for_one() -> None:
    told = visits_json(VisitCount(Span(3, 3), Span(2, 4), 0, Span(5, 7), Span(9, 9), complete=True))
    assert (told["requested"], told["total"], told["projected"]) == (None, None, [9, 9])
    assert told["complete"] is False


def test_no_policy_is_told_when_the_diagnosis_fits_none(tmp_path: Path) -> None:
    (found,) = evaluated(tmp_path, whole(ORDER | {"reasonCode": [concept(ICD10, "J06.9")]}))
    told = assessment_json(found)
    assert (told["outcome"], told["policy"], told["criteria"]) == ("no-policy", None, [])
    assert told["visits"]["complete"] is False
    assert "No policy applies" in told["says"]
    assert PATIENT not in told
    assert SNOMED not in told["says"]
