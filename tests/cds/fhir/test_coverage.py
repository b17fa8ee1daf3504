from __future__ import annotations

from datetime import date

import pytest

from cds.fhir.coverage import CANCELLED, choose_coverage, read_coverages, standing_of, unresolved_payers
from cds.fhir.record import start_reading
from cds.model import Coverage, Standing
from tests.cds.build import ACT, PATIENT, Json, concept, coverage, entries, period, terms

DAY = date(2025, 3, 10)
PAYER = {
    "resourceType": "Organization",
    "id": "org",
    "name": "Hip Plan",
    "identifier": [{"system": "https://therapy-cds.example/payers", "value": "hip-benchmark-plan"}],
}


def read(*resources: Json, organizations: tuple[Json, ...] = ()) -> tuple[tuple[Coverage, int | None], ...]:
    reading, _ = start_reading(terms(), PATIENT, ())
    return read_coverages(reading, entries(*resources), entries(*organizations))


def one(*resources: Json, organizations: tuple[Json, ...] = ()) -> Coverage:
    ((found, _),) = read(*resources, organizations=organizations)
    return found


def test_the_payer_is_known_when_it_is_given_by_identifier() -> None:
    found = one(coverage())
    assert found.payers == ("hip-benchmark-plan",)
    assert found.line_of_business == "commercial"


@pytest.mark.parametrize("reference", ["Organization/org", "https://ehr.example.org/fhir/Organization/org"])
def test_the_payer_is_known_when_it_is_referenced_and_was_read(reference: str) -> None:
    found = one(coverage(payor=[{"reference": reference}]), organizations=(PAYER,))
    assert (found.payers, found.payer_name) == (("hip-benchmark-plan",), "Hip Plan")


def test_the_payer_is_known_when_it_is_contained() -> None:
    contained = [{"resourceType": "Patient", "id": "x", "name": [{"family": "Hale"}]}, PAYER]
    found = one(coverage(payor=[{"reference": "#org"}], contained=contained))
    assert found.payers == ("hip-benchmark-plan",)


def test_no_payer_is_guessed_when_its_organisation_was_not_read() -> None:
    found = one(coverage(payor=[{"reference": "Organization/org", "display": "Hip Plan"}]))
    assert (found.payers, found.payer_name) == ((), "Hip Plan")


def test_the_organisation_is_asked_for_when_no_identifier_names_the_payer() -> None:
    reading, _ = start_reading(terms(), PATIENT, ())
    wanted = [
        coverage(id="1", payor=[{"reference": "Organization/org"}]),
        coverage(id="2", payor=[{"reference": "#org"}, {"reference": "Patient/p"}]),
        coverage(id="3"),
        coverage(id="4", payor=[{"reference": "Organization/org"}]),
    ]
    assert unresolved_payers(reading, entries(*wanted)) == ("Organization/org",)


def test_the_patient_pays_when_the_payor_is_the_patient() -> None:
    assert one(coverage(payor=[{"reference": "Patient/p"}])).payers == ()


def test_plan_line_and_injury_are_read_when_the_coverage_tells_them() -> None:
    site = "https://therapy-cds.example/StructureDefinition/"
    plan = {"type": concept("http://terminology.hl7.org/CodeSystem/coverage-class", "plan"), "value": "gold"}
    extensions = [
        {"url": site + "jurisdiction", "valueCode": "US-CA"},
        {"url": site + "date-of-injury", "valueDate": "2014-12-29"},
        {"url": "urn:other", "valueQuantity": {"value": 1}},
    ]
    classes = [{"type": {"coding": [{"code": "group"}]}, "value": "g"}, plan]
    found = one(coverage(type=concept(ACT, "WCBPOL"), extension=extensions) | {"class": classes})
    assert (found.plan, found.line_of_business, found.jurisdiction) == ("gold", "workers-compensation", "US-CA")
    assert found.injury == date(2014, 12, 29)


def test_the_injury_is_not_rounded_when_its_date_is_partial() -> None:
    injury = {"url": "urn:x/date-of-injury", "valueDate": "2014-12"}
    assert one(coverage(extension=[injury])).injury is None


def test_no_line_of_business_is_guessed_when_the_type_is_not_known() -> None:
    assert one(coverage(type={"text": "PPO, probably"})).line_of_business is None


@pytest.mark.parametrize("status", ["cancelled", "draft", "entered-in-error"])
def test_a_coverage_is_left_out_when_it_is_not_active(status: str) -> None:
    assert read(coverage(status=status)) == ()


def test_a_coverage_is_left_out_when_it_is_another_patients() -> None:
    assert read(coverage(beneficiary={"reference": "Patient/other"})) == ()


# --------------------------------------------------------------------------------------------------- choosing


def choose(*resources: Json) -> tuple[str | None, str]:
    chosen, why = choose_coverage(read(*resources), DAY)
    return (chosen.reference if chosen else None), why


def test_the_only_coverage_is_chosen_when_it_is_in_force() -> None:
    assert choose(coverage(period=period("2025-01-01", "2025-12-31")))[0] == "Coverage/c"
    assert choose(coverage())[0] == "Coverage/c"


@pytest.mark.parametrize(
    ("start", "end", "valid"),
    [
        ("2025-03-10", "2025-03-10", True),
        ("2025-03-11", None, False),
        ("2024-01-01", "2025-03-09", False),
        ("2025-03", "2025-03", True),
        ("2025-01-01", None, True),
    ],
)
def test_a_coverage_counts_when_the_day_is_within_its_period(start: str, end: str | None, valid: bool) -> None:
    chosen, why = choose(coverage(period=period(start, end)))
    assert (chosen is not None) is valid
    assert ("in force on 2025-03-10" in why) is not valid


def test_none_is_chosen_when_there_is_none() -> None:
    chosen, why = choose()
    assert chosen is None
    assert "no active coverage" in why


def test_the_primary_is_chosen_when_the_order_is_told() -> None:
    second = coverage("other-plan", id="b", order=2)
    assert choose(second, coverage(order=1))[0] == "Coverage/c"
    assert choose(coverage(order=1), second)[0] == "Coverage/c"


def test_the_next_one_is_chosen_when_the_primary_has_run_out() -> None:
    old = coverage(order=1, period=period("2024-01-01", "2024-12-31"))
    assert choose(old, coverage("other-plan", id="b", order=2))[0] == "Coverage/b"


def test_none_is_chosen_when_several_are_active_and_none_is_primary() -> None:
    chosen, why = choose(coverage(), coverage("other-plan", id="b"))
    assert chosen is None
    assert "several coverages" in why


def test_one_is_chosen_when_two_say_the_same() -> None:
    assert choose(coverage(), coverage(id="b"))[0] is not None


# --------------------------------------------------------------------------------------------------- standing

OLD = coverage(id="old", period=period("2023-01-01", "2023-12-31"))
OLDER = coverage(id="older", period=period("2022-01-01", "2022-12-31"))
OTHER = coverage("another-plan", id="other")


@pytest.mark.parametrize(
    ("sent", "standing", "lapsed"),
    [
        ([coverage()], Standing.IN_FORCE, None),
        ([coverage(), OLD], Standing.IN_FORCE, None),
        ([coverage(), OTHER], Standing.SEVERAL, None),
        ([coverage(), OTHER, OLD], Standing.SEVERAL, None),
        ([], Standing.NONE, None),
        ([OLD], Standing.LAPSED, "Coverage/old"),
        ([OLDER, OLD], Standing.LAPSED, "Coverage/old"),
        ([OLD, OLDER], Standing.LAPSED, "Coverage/old"),
        ([coverage(status="cancelled")], Standing.LAPSED, "Coverage/c"),
        ([coverage(status="entered-in-error")], Standing.NONE, None),
        ([coverage(status="cancelled", beneficiary={"reference": "Patient/other"})], Standing.NONE, None),
    ],
)
def test_it_is_told_how_the_coverage_stands_when_a_day_is_asked_for(
    sent: list[Json], standing: Standing, lapsed: str | None
) -> None:
    reading, _ = start_reading(terms(), PATIENT, ())
    cancelled = read_coverages(reading, entries(*sent), (), CANCELLED)
    found, ended = standing_of(read(*sent), cancelled, DAY)
    assert (found, ended.reference if ended else None) == (standing, lapsed)
