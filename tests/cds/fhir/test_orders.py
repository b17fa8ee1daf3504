from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds.errors import MalformedRequest, UnusableOrder
from cds.fhir.orders import BILLING_OPTIONS, first_proposed, read_order, read_orders, with_reasons
from cds.model import Code, Concept, Condition, Discipline, Site, Span
from tests.cds.build import (
    CPT,
    ICD10,
    LEFT_HIP,
    OCCUPATIONAL,
    PATIENT,
    SNOMED,
    THERAPY,
    Json,
    concept,
    order_of,
    period,
    service_request,
    terms,
    visits,
    weekly,
)


def codes(resource: Json) -> list[str]:
    return [line.label for line in order_of(resource).lines]


# -------------------------------------------------------------------------------------------------- lines


def test_billing_codes_are_lines_when_they_stand_in_code_detail_or_billing_options() -> None:
    option = {"url": BILLING_OPTIONS, "valueCodeableConcept": concept(CPT, "97112")}
    coding = {"url": BILLING_OPTIONS, "valueCoding": {"system": CPT, "code": "97530"}}
    order = service_request(
        code={"coding": [{"system": SNOMED, "code": THERAPY}, {"system": CPT, "code": "97110"}], "extension": [option]},
        orderDetail=[concept(CPT, "97140"), concept(CPT, "97110"), {"text": "as tolerated", "extension": [coding]}],
    )
    assert codes(order) == ["97110", "97140", "97112", "97530"]


def test_there_are_no_lines_when_the_order_names_no_billing_code() -> None:
    assert codes(service_request()) == []
    assert codes(service_request(orderDetail={"text": "as tolerated"}, code={"text": "Physical therapy"})) == []


# -------------------------------------------------------------------------------------------------- requested


@pytest.mark.parametrize(
    "quantity",
    [
        visits(8),
        {"value": 8},
        {"value": 8, "unit": "Visits"},
        {"value": 8, "code": "1"},
        {"value": 8, "unit": "sessions"},
        {"value": 8, "unit": "PT visits", "code": "1"},
        {"value": 8, "unit": "visit(s)"},
        {"value": "8", "unit": "visit"},
        {"value": 8.0, "unit": "treatments"},
    ],
)
def test_the_quantity_is_the_number_of_visits_when_it_counts_visits(quantity: Json) -> None:
    assert order_of(service_request(quantityQuantity=quantity)).requested == Span(8, 8)


@pytest.mark.parametrize(
    "quantity",
    [
        {"value": 8, "unit": "units"},
        {"value": 8, "unit": "units", "code": "1"},
        {"value": 120, "unit": "min", "code": "min"},
        {"value": 8, "code": "min"},
        {"value": 8, "unit": "h"},
        {"value": 8, "unit": "days", "code": "d"},
    ],
)
def test_the_number_of_visits_is_not_known_when_the_quantity_is_in_units_or_time(quantity: Json) -> None:
    order = order_of(
        service_request(
            quantityQuantity=quantity, occurrenceTiming=weekly(boundsPeriod=period("2025-03-10", "2025-04-07"))
        )
    )
    assert order.requested is None
    assert "not in visits" in order.requested_why


@pytest.mark.parametrize(
    "quantity",
    [
        {"value": 8, "comparator": "<", "unit": "visit"},
        {"value": 2.5, "unit": "visit"},
        {"value": -1, "unit": "visit"},
        {"unit": "visit"},
    ],
)
def test_the_number_of_visits_is_not_known_when_the_quantity_is_no_whole_number(quantity: Json) -> None:
    order = order_of(service_request(quantityQuantity=quantity))
    assert order.requested is None
    assert "whole number" in order.requested_why


@pytest.mark.parametrize(
    ("wanted", "span"),
    [
        ({"low": {"value": 4}, "high": {"value": 8}}, Span(4, 8)),
        ({"low": {"value": 4, "unit": "visit"}}, Span(4, None)),
        ({"low": {"value": 4, "unit": "units"}, "high": {"value": 8, "unit": "units"}}, None),
        ({"low": {"value": 8}, "high": {"value": 4}}, None),
        ({"low": {"value": 1.5}, "high": {"value": 4}}, None),
        ({"high": {"value": 4}}, None),
    ],
)
def test_a_range_is_read_when_it_is_one_of_whole_visits(wanted: Json, span: Span | None) -> None:
    order = order_of(service_request(quantityRange=wanted))
    assert order.requested == span
    assert bool(order.requested_why) is (span is None)


FOUR_WEEKS: Json = {"boundsPeriod": period("2025-03-10", "2025-04-07")}


@pytest.mark.parametrize(
    ("timing", "span"),
    [
        ({"repeat": {"count": 8}}, Span(8, 8)),
        ({"repeat": {"count": 8, "countMax": 12}}, Span(8, 12)),
        ({"repeat": {"count": 8, "frequency": 2, "period": 1, "periodUnit": "wk"}}, Span(8, 8)),
        (weekly(2, **FOUR_WEEKS), Span(8, 8)),
        (weekly(2, boundsPeriod=period("2025-03-10", "2025-04-06")), Span(8, 8)),
        (weekly(1, 2, **FOUR_WEEKS), Span(4, 8)),
        (weekly(2, boundsDuration={"value": 4, "code": "wk"}), Span(8, 8)),
        (weekly(2, boundsDuration={"value": 4, "unit": "weeks"}), Span(8, 8)),
        (weekly(1, 2, boundsDuration={"value": 2, "unit": "months", "code": "mo"}), Span(8, 18)),
        (weekly(2, boundsRange={"low": {"value": 4, "code": "wk"}, "high": {"value": 6, "code": "wk"}}), Span(8, 12)),
        ({"repeat": {"frequency": 1, "period": 1, "periodMax": 2, "periodUnit": "wk", **FOUR_WEEKS}}, Span(2, 4)),
        ({"event": ["2025-03-10", "2025-03-12"]}, Span(2, 2)),
        ({"event": ["2025-03-10T09:00:00Z", "2025-03-10T14:00:00Z", "2025-03-12"]}, Span(2, 2)),
        ({"event": ["2025-03", "2025-03-12"]}, Span(2, 2)),
        (weekly(2), None),
        (weekly(2, boundsPeriod={"start": "2025-03-10"}), None),
        (weekly(2, boundsPeriod=period("2025-04-07", "2025-03-10")), None),
        (weekly(2, boundsDuration={"value": 4, "unit": "fortnights"}), None),
        (weekly(2, boundsDuration={"value": -4, "code": "wk"}), None),
        (weekly(2, boundsDuration={"value": 4, "comparator": "<", "code": "wk"}), None),
        ({"repeat": {"frequency": 2, "period": 0, "periodUnit": "wk", **FOUR_WEEKS}}, None),
        ({"repeat": {"frequency": 2, "period": 1, "periodUnit": "week", **FOUR_WEEKS}}, None),
        ({"repeat": FOUR_WEEKS}, None),
        ({"code": {"text": "BID"}}, None),
    ],
)
def test_the_timing_tells_the_visits_when_there_is_no_quantity(timing: Json, span: Span | None) -> None:
    order = order_of(service_request(occurrenceTiming=timing))
    assert order.requested == span
    assert bool(order.requested_why) is (span is None)


def test_the_quantity_counts_when_a_timing_stands_beside_it() -> None:
    order = order_of(service_request(quantityQuantity=visits(6), occurrenceTiming=weekly(2, **FOUR_WEEKS)))
    assert order.requested == Span(6, 6)
    assert order.timing is not None
    assert order.timing.visits == Span(8, 8)


def test_nothing_is_known_when_the_order_names_neither_number_nor_frequency() -> None:
    order = order_of(service_request(occurrenceDateTime="2025-03-10"))
    assert order.requested is None
    assert "neither" in order.requested_why


@pytest.mark.parametrize(
    "broken",
    [
        {"quantityQuantity": {"value": "eight", "unit": "visit"}},
        {"quantityQuantity": "8 visits"},
        {"quantityRange": {"low": {"value": "a few"}}},
        {"occurrenceTiming": "twice a week"},
    ],
)
def test_the_number_is_not_taken_from_elsewhere_when_the_field_that_tells_it_cannot_be_read(broken: Json) -> None:
    order = order_of(service_request(**{"occurrenceTiming": weekly(2, **FOUR_WEEKS), **broken}))
    assert order.requested is None
    assert "cannot be read" in order.requested_why
    assert order.notes


# -------------------------------------------------------------------------------------------- days, identity


@pytest.mark.parametrize(
    ("more", "day"),
    [
        ({"occurrenceDateTime": "2025-03-14"}, date(2025, 3, 14)),
        ({"occurrencePeriod": period("2025-03-13", "2025-05-08")}, date(2025, 3, 13)),
        ({"occurrenceTiming": {"event": ["2025-03-20", "2025-03-12"]}}, date(2025, 3, 12)),
        ({"occurrenceTiming": weekly(2, **FOUR_WEEKS)}, date(2025, 3, 10)),
        ({"occurrenceDateTime": "2025-03"}, None),
        ({"occurrencePeriod": period("2025", "2026")}, None),
        ({"occurrenceDateTime": "next week"}, None),
        ({}, None),
    ],
)
def test_the_first_proposed_day_is_told_when_the_order_names_it_to_the_day(more: Json, day: date | None) -> None:
    assert first_proposed(order_of(service_request(**more))) == day


def test_a_date_is_noted_when_it_cannot_be_read() -> None:
    assert any("occurrence" in note for note in order_of(service_request(occurrenceDateTime="next week")).notes)


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/p"},
        {"reference": "https://ehr.example.org/fhir/Patient/p"},
        {"reference": "Patient/p/_history/3"},
        {"reference": "urn:uuid:b1"},
        {"identifier": {"system": "urn:mrn", "value": "7"}},
    ],
)
def test_the_order_is_the_patients_when_the_subject_says_so_in_any_form(subject: Json) -> None:
    assert order_of(service_request(subject=subject), aliases={"urn:uuid:b1": "Patient/p"}).patient == PATIENT


@pytest.mark.parametrize(
    "subject", [None, {}, {"display": "Nora Hale"}, {"reference": "Patient/q"}, {"reference": "Group/p"}]
)
def test_the_request_is_malformed_when_the_subject_is_missing_or_another(subject: Json | None) -> None:
    with pytest.raises(MalformedRequest, match="subject") as caught:
        order_of(service_request(subject=subject))
    assert caught.value.remedy
    assert "Nora" not in str(caught.value)


@pytest.mark.parametrize("code", [None, {}, {"coding": []}, {"coding": [{}]}, {"coding": [{"system": CPT}]}])
def test_the_order_is_unusable_when_it_has_no_code(code: Json | None) -> None:
    with pytest.raises(UnusableOrder, match="no code"):
        read_order(service_request(code=code), terms(), PATIENT, "draftOrders.entry[0]", {})


def test_the_others_are_read_when_one_order_is_unusable() -> None:
    drafts = [("a", service_request(code=None)), ("b", service_request(id="good"))]
    orders, problems = read_orders(drafts, terms(), PATIENT)
    assert [order.reference for order in orders] == ["ServiceRequest/good"]
    assert len(problems) == 1
    assert problems[0].startswith("A draft order has no code at a.code")


@pytest.mark.parametrize(
    "resource",
    [
        service_request(doNotPerform=True),
        service_request(status="entered-in-error"),
        service_request(status="revoked"),
        service_request(code=concept(SNOMED, "73761001", "Colonoscopy")),
        {"resourceType": "MedicationRequest", "id": "m"},
        {},
    ],
)
def test_an_order_is_none_of_ours_when_it_forbids_or_is_no_therapy(resource: Json) -> None:
    assert read_orders([("x", resource)], terms(), PATIENT) == ((), ())


def test_an_order_is_therapy_when_only_its_words_say_so() -> None:
    assert order_of(service_request(code={"text": "Physiotherapy, left hip"})).discipline is Discipline.PHYSICAL_THERAPY


@pytest.mark.parametrize(
    ("more", "discipline"),
    [
        ({}, Discipline.PHYSICAL_THERAPY),
        ({"code": concept(SNOMED, OCCUPATIONAL)}, Discipline.OCCUPATIONAL_THERAPY),
        ({"code": concept(CPT, "97166")}, Discipline.OCCUPATIONAL_THERAPY),
        ({"code": concept(CPT, "97110")}, None),
        ({"code": concept(CPT, "97110"), "performerType": concept(SNOMED, "36682004")}, Discipline.PHYSICAL_THERAPY),
        ({"code": concept(CPT, "97110"), "category": [concept(SNOMED, OCCUPATIONAL)]}, Discipline.OCCUPATIONAL_THERAPY),
    ],
)
def test_the_discipline_is_told_when_code_performer_or_category_tell_it(
    more: Json, discipline: Discipline | None
) -> None:
    assert order_of(service_request(**more)).discipline is discipline


# -------------------------------------------------------------------------------------------- sites, references


def test_the_site_comes_from_the_reason_when_it_is_coded() -> None:
    assert order_of(service_request()).sites == (Site("hip", "left"),)


def test_the_side_comes_from_the_body_site_when_the_reason_names_none() -> None:
    order = order_of(service_request(reasonCode=[concept(ICD10, "M25.559")], bodySite=[concept(SNOMED, "287679003")]))
    assert order.sites == (Site("hip", "left"),)


def test_the_site_comes_from_words_when_nothing_is_coded() -> None:
    assert order_of(service_request(reasonCode=None, code={"text": "Physical therapy, right knee"})).sites == (
        Site("knee", "right"),
    )


def test_reasons_and_sites_are_filled_in_when_the_order_names_its_condition_by_reference() -> None:
    order = order_of(
        service_request(
            reasonCode=None, code={"text": "Physical therapy"}, reasonReference=[{"reference": "Condition/1"}]
        )
    )
    pain = Concept((Code("icd-10-cm", LEFT_HIP),))
    named = Condition(pain, active=True, onset=None, recorded=None, source="Condition/1", sites=(Site("hip", "left"),))
    other = Condition(Concept(text="flu"), active=True, onset=None, recorded=None, source="Condition/2")
    whole = with_reasons(order, [other, named])
    assert whole.reasons == (pain,)
    assert whole.sites == (Site("hip", "left"),)


def test_plans_and_goals_are_told_when_the_order_refers_to_them_by_any_url() -> None:
    refs: list[Any] = [
        {"reference": "urn:uuid:1"},
        {"reference": "https://ehr.example.org/fhir/Goal/g"},
        {"reference": "Observation/o"},
    ]
    order = order_of(service_request(supportingInfo=refs), aliases={"urn:uuid:1": "CarePlan/c"})
    assert (order.plans, order.goals) == (("CarePlan/c",), ("Goal/g",))
    assert set(order.supporting) == {"CarePlan/c", "Goal/g", "Observation/o"}


def test_the_order_is_kept_as_it_was_sent_when_it_has_members_nobody_reads() -> None:
    sent = service_request(extension=[{"url": "urn:x", "valueString": "y"}], quantityQuantity={"value": "8"})
    assert order_of(sent).resource == sent
