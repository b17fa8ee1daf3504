"""Partial dates as intervals of local days, with the zone as it was written.

FHIR R4 `date`, `dateTime` and `instant` (hl7.org/fhir/R4/datatypes.html#dateTime) may be a year, a month,
a day, or a moment. Real servers also send moments without a zone or without seconds; those are read too.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, datetime
from zoneinfo import ZoneInfo

from cds.model import Days

_SHAPE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:[T ](?P<time>\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s*(?P<zone>Z|[+-]\d\d:?\d\d)?)?)?)?"
)
_UTC = frozenset(("Z", "+00:00", "-00:00", "+0000", "-0000"))
_MIDNIGHT = re.compile(r"00:00(?::00(?:\.0+)?)?")


def parse_days(text: str, zone: ZoneInfo | None = None) -> Days:
    """The local day or days that a FHIR date may mean; ValueError where it is no date.

    The local day is the day as written. Only a moment written in UTC (`Z` or `+00:00`) is moved to the
    site's `zone` where one is set; midnight UTC is how systems write a bare date, and stays where it is.

    >>> parse_days("2024-02").last
    datetime.date(2024, 2, 29)
    >>> parse_days("2025-03-05T23:30:00-05:00").exact
    datetime.date(2025, 3, 5)
    """
    match = _SHAPE.fullmatch(text.strip())
    if match is None:
        raise ValueError("it is not written as a FHIR date (YYYY, YYYY-MM, YYYY-MM-DD or a moment)")
    year, month, day, time, offset = match.groups()
    if month is None:
        return Days(date(int(year), 1, 1), date(int(year), 12, 31), text=text)
    if day is None:
        last = monthrange(int(year), int(month))[1]
        return Days(date(int(year), int(month), 1), date(int(year), int(month), last), text=text)
    local = date(int(year), int(month), int(day))
    if zone is not None and offset in _UTC and not _MIDNIGHT.fullmatch(time):
        local = datetime.fromisoformat(f"{local}T{time}+00:00").astimezone(zone).date()
    return Days(local, local, zone=offset, text=local.isoformat())


def parse_period(start: Days | None, end: Days | None) -> Days | None:
    """The days from a period's start to its end; None where it has neither."""
    if start is None and end is None:
        return None
    text = str(start) if start == end else f"{start or '…'} to {end or '…'}"
    return Days(start.first if start else None, end.last if end else None, start.zone if start else None, text)
