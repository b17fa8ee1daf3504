"""How long something took, over very many times: percentiles from counts, never from a list of all times."""

from __future__ import annotations

from collections import Counter
from math import ceil, floor, log10


class Latencies:
    """Times in milliseconds, each kept to three digits: a percentile is right to half a percent, in little memory."""

    def __init__(self) -> None:
        """Nothing timed yet."""
        self._counts: Counter[float] = Counter()
        self.count = 0

    def add(self, milliseconds: float) -> None:
        """Count one time."""
        self._counts[_three_digits(milliseconds)] += 1
        self.count += 1

    def percentile(self, share: float) -> float | None:
        """The time within which this share (0.95) of all were through, by nearest rank; None where there is none."""
        wanted = ceil(share * self.count)
        for time in sorted(self._counts):
            wanted -= self._counts[time]
            if wanted <= 0:
                return time
        return None


def _three_digits(value: float) -> float:
    """A time to three digits, and to a tenth of a millisecond at most.

    >>> _three_digits(1234.5), _three_digits(12.34), _three_digits(0.04)
    (1230.0, 12.3, 0.0)
    """
    if value < 1:
        return round(max(value, 0.0), 1)
    return round(value, min(1, 2 - floor(log10(value))))
