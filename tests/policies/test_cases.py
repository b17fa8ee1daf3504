"""Every case of every policy that ships, one test each."""

from __future__ import annotations

from datetime import date

import pytest

from cds.authoring.cases import PolicyCase, read_cases
from cds.authoring.library import read_library
from cds.authoring.run import run_case
from cds.rules.load import packaged_policies
from cds.terminology import packaged

LIBRARY = read_library([packaged_policies()], packaged())
CASES = [case for authored in LIBRARY for case in read_cases(authored, LIBRARY)]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.owner}: {case.name}" for case in CASES])
def test_case_comes_out_as_expected_when_it_is_run(case: PolicyCase) -> None:
    ran = run_case(case, tuple(each.policy for each in LIBRARY), packaged(), date(2026, 1, 15))
    assert ran.ok, "\n".join(map(str, (case.where(), *ran.differences)))
