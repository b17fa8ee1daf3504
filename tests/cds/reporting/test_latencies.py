"""Percentiles from counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.reporting.latencies import Latencies


def timed(*times: float) -> Latencies:
    latencies = Latencies()
    for time in times:
        latencies.add(time)
    return latencies


@pytest.mark.parametrize(
    ("times", "share", "expected"),
    [
        ((), 0.5, None),
        ((7.0,), 0.95, 7.0),
        ((1.0, 2.0, 3.0), 0.5, 2.0),
        ((1.0, 2.0, 3.0, 4.0), 0.5, 2.0),
        (tuple(map(float, range(1, 101))), 0.95, 95.0),
        ((0.02, 0.04), 0.5, 0.0),
        ((12345.0,), 0.5, 12300.0),
        ((-1.0,), 0.5, 0.0),
    ],
)
def test_time_is_told_within_which_a_share_was_through_when_times_are_counted(
    times: tuple[float, ...], share: float, expected: float | None
) -> None:
    assert timed(*times).percentile(share) == expected


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=60), st.sampled_from((0.5, 0.95)))
def test_percentile_is_right_to_half_a_percent_when_times_are_any(times: list[float], share: float) -> None:
    ordered = sorted(times)
    exact = next(time for n, time in enumerate(ordered, 1) if n >= share * len(ordered) - 1e-9)
    found = timed(*times).percentile(share)
    assert found == pytest.approx(exact, rel=0.005, abs=0.05)
