"""The days of a report become moments."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from cds.errors import InputError
from cds.reporting.of_ledger import choice_of

DAY = date(2026, 11, 22)


@pytest.mark.parametrize(("until", "end"), [(DAY, datetime(2026, 11, 23, tzinfo=UTC)), (date.max, None), (None, None)])
def test_the_last_day_is_included_when_it_is_chosen(until: date | None, end: datetime | None) -> None:
    assert choice_of(DAY, until, None).until == end


def test_days_are_refused_when_the_last_is_before_the_first() -> None:
    with pytest.raises(InputError):
        choice_of(DAY, date(2026, 11, 21), None)
