"""Faults times resources: what each costs and says; none hides a failure, invents a `met` or leaks a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import pytest

from hooks.sandbox.faults import FAULTS, TOKEN
from hooks.sandbox.processes import Program
from tests.faults.conftest import DEADLINE
from tests.faults.signing import Signed, sign

TOLERANCE = 0.1
MET, NOT_MET, UNKNOWN, NO_POLICY = "criteria-met", "criteria-not-met", "insufficient-information", "no-policy"
# Beside loopback traffic and JSON of some kilobytes there is the machine that the tests share with others.
TRIES = 3


class Row(NamedTuple):
    """One fault of one resource type, for one patient, and what it comes to.

    `says` is on the cards; empty where nothing is lost, and the answer has to be the one without the fault.
    """

    fault: str
    kind: str
    patient: str
    outcome: str
    says: str = ""
    access: bool = True
    status: int = 200

    @property
    def label(self) -> str:
        return f"{self.fault}-{self.kind}-{self.patient}{'' if self.access else '-no-access'}"


def rows(kind: str, patient: str, outcome: str, *broken: tuple[str, str]) -> list[Row]:
    return [Row(fault, kind, patient, outcome, says) for fault, says in broken]


REFUSED, STATUS = "refused it (403)", "the FHIR server answered "
LATE, UNREADABLE = "did not answer in time", "not a FHIR resource in JSON"
ELSEWHERE, OTHERS = "redirects are not followed", "answered for another patient"
FOREIGN, LOOP = "the next page lies on another server", "go round in a circle"
OUTCOME, NULL = "the server reported error exception", "is null: the EHR says nothing of"
# What the table of a visit limit needs: without it the count is a lower bound.
LOST = (
    ("delay", LATE), ("slow-drip", LATE), ("cut-body", "could not be reached"), ("html", UNREADABLE),
    ("empty-body", UNREADABLE), ("refuse", REFUSED), ("not-found", f"{STATUS}404"), ("gone", f"{STATUS}410"),
    ("too-many", f"{STATUS}429"), ("server-error", f"{STATUS}500"), ("unavailable", f"{STATUS}503"),
    ("redirect", ELSEWHERE), ("other-patient", OTHERS), ("operation-outcome-entries", OUTCOME),
)  # fmt: skip
CUT = (("looping-next", LOOP), ("foreign-next", FOREIGN), ("broken-entries", "is not whole"))
HARMLESS = (("count-ignored", ""), ("zone-less-times", ""), ("duplicate-entries", ""))
NOT_SENT = "the EHR did not send it and gave no access to its FHIR server"
TABLE = [
    *rows("Encounter", "f001", UNKNOWN, *LOST, *CUT),
    *rows("Encounter", "f001", MET, *HARMLESS, ("page-by-one", ""), ("r5-shapes", "")),
    *rows("Encounter", "f000", NOT_MET, *LOST, *CUT),
    *rows("Procedure", "f001", UNKNOWN, *LOST, *CUT),
    *rows("Procedure", "f001", MET, *HARMLESS, ("r5-shapes", "")),
    *rows("Coverage", "f001", NO_POLICY, *LOST, ("r5-shapes", "names no payer"), ("broken-entries", "names no payer")),
    *rows("Coverage", "f001", MET, *HARMLESS, ("page-by-one", "")),
    *rows("Observation", "f003", UNKNOWN, *LOST, *CUT),
    *rows("Observation", "f003", MET, *HARMLESS, ("r5-shapes", ""), ("page-by-one", "")),
    *rows("Condition", "f003", UNKNOWN, *LOST, *CUT),
    *rows("Condition", "f003", MET, *HARMLESS, ("r5-shapes", "")),
    *rows("ImagingStudy", "f003", UNKNOWN, ("refuse", REFUSED), ("other-patient", OTHERS), ("delay", LATE)),
    *rows("DocumentReference", "f003", UNKNOWN, ("refuse", REFUSED), ("other-patient", OTHERS), ("html", UNREADABLE)),
    *rows("*", "f001", NO_POLICY, *LOST),
    *rows("*", "f001", UNKNOWN, ("expire-token", "refused it (401)"), *CUT[:2]),
    *rows("*", "f001", MET, *HARMLESS),
    # Prefetch: what is wrong there is asked for, and told where nobody may be asked.
    *(
        Row(fault, kind, "f001", MET)
        for fault in ("drop-prefetch-keys", "null-prefetch", "prefetch-operation-outcome", "paged-prefetch")
        for kind in ("Encounter", "Procedure", "Coverage", "*")
    ),
    *(
        Row(fault, kind, "f001", UNKNOWN, says, access=False)
        for fault, says in (
            ("null-prefetch", NULL),
            ("prefetch-operation-outcome", "is an error of the EHR"),
            ("paged-prefetch", "one page of more"),
        )
        for kind in ("Encounter", "Procedure")
    ),
    Row("drop-prefetch-keys", "Procedure", "f001", UNKNOWN, NOT_SENT, access=False),
    Row("drop-prefetch-keys", "DocumentReference", "f003", UNKNOWN, NOT_SENT, access=False),
    Row("drop-prefetch-keys", "Encounter", "f001", "", "encounters", access=False, status=412),
    Row("drop-prefetch-keys", "Coverage", "f001", "", "coverage", access=False, status=412),
    Row("null-prefetch", "Coverage", "f001", NO_POLICY, NULL, access=False),
    Row("prefetch-operation-outcome", "Coverage", "f001", NO_POLICY, "is an error of the EHR", access=False),
]
Sign = Callable[[Row], Signed]


@pytest.fixture(scope="module")
def sign_row(hurried_url: str, fhir_server: str) -> Sign:
    def run(row: Row) -> Signed:
        return sign(hurried_url, fhir_server, row.patient, row.fault, row.kind, access=row.access)

    return run


@pytest.fixture(scope="module")
def without_fault(sign_row: Sign) -> Sign:
    """What the same order comes to with an EHR that behaves."""

    @lru_cache(maxsize=64)
    def run(kind: str, patient: str) -> Signed:
        return sign_row(Row("", kind, patient, ""))

    return lambda row: run(row.kind, row.patient)


@pytest.fixture(scope="module")
def signed(sign_row: Sign) -> Iterator[dict[Row, Future[Signed]]]:
    """All rows, a few side by side: most of their time is spent waiting."""
    with ThreadPoolExecutor(6) as pool:
        yield {row: pool.submit(sign_row, row) for row in TABLE}


@pytest.mark.parametrize("row", TABLE, ids=[row.label for row in TABLE])
def test_the_answer_is_honest_and_in_time_when_an_ehr_has_a_fault(
    row: Row, signed: dict[Row, Future[Signed]], sign_row: Sign, without_fault: Sign
) -> None:
    result, usual = signed[row].result(), without_fault(row)
    assert (result.status, result.outcome) == (row.status, row.outcome), result.body
    everything = str(result.body)
    for leak in ("Traceback", 'File "', ".py", TOKEN):
        assert leak not in everything
    assert list(result.elsewhere) == []
    assert result.met <= usual.met, "a fault may not make anything met"
    if row.status != 200:
        assert result.body["resourceType"] == "OperationOutcome"
        assert row.says in everything
    elif row.says:
        assert row.says in result.text
    else:
        assert result.assessment == usual.assessment
    for _ in range(TRIES):
        if result.seconds <= DEADLINE + TOLERANCE:
            break
        result = sign_row(row)
    assert result.seconds <= DEADLINE + TOLERANCE


def test_the_server_gets_the_token_and_nobody_else_when_an_ehr_names_another_server(
    signed: dict[Row, Future[Signed]],
) -> None:
    asked = [signed[row].result() for row in TABLE if row.fault in ("foreign-next", "redirect")]
    assert all(seen.authorization == f"Bearer {TOKEN}" for result in asked for seen in result.asked)
    assert all(result.asked and not result.elsewhere for result in asked)


def test_the_log_holds_no_token_and_no_patient_when_every_row_has_run(
    signed: dict[Row, Future[Signed]], hurried: Program
) -> None:
    for future in signed.values():
        future.result()
    log = hurried.log.read_text(encoding="utf-8")
    for secret in (TOKEN, "Traceback", "Patient/f00", "patient=f00"):
        assert secret not in log


def test_every_fault_has_its_row_when_it_is_named() -> None:
    assert {row.fault for row in TABLE} == FAULTS.keys()
    assert len({(row.fault, row.kind) for row in TABLE}) >= 40
