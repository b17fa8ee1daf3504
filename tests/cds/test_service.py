from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import pytest

from cds.ehr.gather import BundleSource
from cds.errors import MissingData
from cds.model import Evidence, EvidenceState, Fact, Query
from cds.service import Asked, Ports, assess_orders
from tests.cds.build import (
    HIP,
    ICD10,
    LEFT_HIP,
    PATIENT,
    TODAY,
    Failing,
    Json,
    assess,
    changed,
    concept,
    condition,
    coverage,
    encounter,
    entries,
    example,
    order_of,
    patient,
    policies,
    policy_of,
    service_request,
    terms,
    visits,
    weigh,
)

ORDER = service_request(quantityQuantity=visits(2))
ORGANIZATION = {
    "resourceType": "Organization",
    "id": "org",
    "name": "Hip Plan",
    "identifier": [{"system": "https://therapy-cds.example/payers", "value": "hip-benchmark-plan"}],
}


class Counting(BundleSource):
    """A source that remembers what it was asked for."""

    def __init__(self, *resources: Json) -> None:
        super().__init__(entries(*resources))
        self.asked: list[str] = []
        self.was_read: list[str] = []

    def gather(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        self.asked += queries
        return super().gather(queries)

    def held(self, queries: Mapping[str, Query]) -> tuple[Evidence, ...]:
        return super().gather(queries)  # looks at what was sent, and asks nobody

    def read(self, references: Sequence[str]) -> tuple[Evidence, ...]:
        self.was_read += references
        return super().read(references)


def asked(*orders: Json) -> Asked:
    return Asked(PATIENT, tuple(map(order_of, orders)), TODAY)


def test_nothing_is_asked_when_there_is_no_order() -> None:
    source = Counting()
    assert assess_orders(asked(), Ports(terms(), policies(), source)) == ()
    assert source.asked == []


def test_each_search_is_made_once_when_there_are_several_orders() -> None:
    source = Counting(patient(), coverage())
    found = assess_orders(asked(ORDER, ORDER | {"id": "second"}), Ports(terms(), policies(), source))
    assert len(found) == 2
    assert len(source.asked) == len(set(source.asked))


def test_only_what_the_policy_needs_is_asked_when_one_was_selected() -> None:
    source = Counting(patient(), coverage())
    assess_orders(asked(ORDER), Ports(terms(), (policy_of(),), source))
    assert set(source.asked) == {"patient", "coverage"}


def test_the_payers_organisation_is_read_when_the_coverage_only_refers_to_it() -> None:
    source = Counting(patient(), coverage(payor=[{"reference": "Organization/org"}]), ORGANIZATION)
    (found,) = assess_orders(asked(ORDER), Ports(terms(), policies(), source))
    assert source.was_read == ["Organization/org"]
    assert found.policy == HIP


def test_conditions_are_asked_first_when_the_order_names_its_diagnosis_by_reference() -> None:
    order = ORDER | {"reasonCode": [], "reasonReference": [{"reference": f"Condition/co-{LEFT_HIP}"}]}
    assert assess(patient(), coverage(), condition(LEFT_HIP), order).policy == HIP


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ([], "no active coverage of the patient is on file"),
        ([coverage(period={"end": "2024-12-31"})], "no coverage of the patient is in force on 2025-03-10"),
        ([coverage(), coverage("other", id="b")], "several coverages are active"),
        ([coverage("other")], "no policy of"),
        ([coverage(payor=[{"display": "Hip Plan"}])], "named without an identifier"),
    ],
)
def test_no_policy_applies_and_no_payer_is_guessed_when_coverage_does_not_tell(held: list[Json], why: str) -> None:
    found = assess(patient(), *held, ORDER)
    assert found.outcome.value == "no-policy"
    assert why in found.says


@pytest.mark.parametrize("state", [EvidenceState.REFUSED, EvidenceState.FAILED, EvidenceState.LATE])
def test_it_is_told_as_technical_when_the_coverage_could_not_be_read(state: EvidenceState) -> None:
    found = assess(patient(), coverage(), ORDER, failing={"coverage": state})
    assert found.outcome.value == "no-policy"
    assert found.technical


def test_data_is_missing_when_what_is_indispensable_was_neither_sent_nor_can_be_fetched() -> None:
    source = Failing(entries(patient(), coverage()), {"coverage": EvidenceState.NOT_ASKED})
    with pytest.raises(MissingData, match="coverage"):
        assess_orders(asked(ORDER), Ports(terms(), policies(), source))
    source = Failing(entries(patient(), coverage()), {"encounters": EvidenceState.NOT_ASKED})
    with pytest.raises(MissingData, match="encounters"):
        assess_orders(asked(ORDER), Ports(terms(), policies(), source))


def test_each_order_has_its_own_day_and_policy_when_they_differ() -> None:
    knee = ORDER | {"id": "knee", "reasonCode": [concept(ICD10, "M25.562")], "occurrenceDateTime": "2025-04-01"}
    hip, other = assess_orders(asked(ORDER, knee), Ports(terms(), policies(), Counting(patient(), coverage())))
    assert (hip.policy, str(hip.as_of)) == (HIP, "2025-03-10")
    assert (other.policy, str(other.as_of)) == (None, "2025-04-01")


def test_a_resource_of_another_patient_is_dropped_and_noted_when_a_server_sends_it() -> None:
    stray = encounter("2025-03-04", subject={"reference": "Patient/other"})
    found = weigh(encounter("2025-03-03"), stray)
    assert found.visits is not None
    assert found.visits.completed.exact == 1
    assert any("another patient" in note.reason for note in found.notes)


def test_the_policy_named_is_used_when_somebody_chooses_it_for_a_coverage_of_another() -> None:
    assert assess(patient(), coverage("other"), ORDER, policy=HIP).policy == HIP
    assert assess(patient(), ORDER, policy=HIP).policy == HIP
    unknown = assess(patient(), ORDER, policy="nowhere")
    assert unknown.outcome.value == "no-policy"


def test_a_policy_is_not_used_when_the_service_date_lies_before_it() -> None:
    early = changed(example("f001"), "f001-order", lambda o: o | {"occurrenceTiming": {"event": ["2024-12-31"]}})
    assert assess(*early).outcome.value == "no-policy"
    assert assess(*example("f001"), as_of=date(2024, 12, 31)).outcome.value == "no-policy"


def test_facts_that_only_advise_stay_unknown_when_their_search_failed() -> None:
    found = assess(*example("f000"), failing={"imagingStudies": EvidenceState.REFUSED})
    assert {c.id: c.result.value for c in found.criteria}["recent-imaging"] == "unknown"
    assert any(gap.fact is Fact.IMAGING for gap in found.gaps)
