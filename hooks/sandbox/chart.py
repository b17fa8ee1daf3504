"""The chart in brief: what an EHR shows of a patient beside the order form. Pure: FHIR JSON in, words out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from hooks.sandbox.orders import CPT, codings_of, frequency_of, words_of

Json = dict[str, Any]
ATTENDED = frozenset({"finished", "in-progress", "arrived"})
THERAPY_CPT = "97"


@dataclass(frozen=True)
class Item:
    """One line of the chart: what, when, and a word about it."""

    text: str
    when: str = ""
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """The chart in brief.

    Attributes:
        unread: the kinds of resource that could not be read; an empty list means nothing then.
    """

    patient_id: str
    name: str
    about: str
    coverages: tuple[Item, ...]
    problems: tuple[Item, ...]
    surgeries: tuple[Item, ...]
    visits: tuple[str, ...]
    measures: tuple[Item, ...]
    goals: tuple[Item, ...]
    plans: tuple[Item, ...] = ()
    unread: tuple[str, ...] = ()


def chart_of(patient: Json, record: Sequence[Json], on: date, unread: Sequence[str] = ()) -> Chart:
    """Put a chart together from a patient's resources, as it stands on a date."""
    return Chart(
        patient_id=str(patient.get("id", "")),
        name=name_of(patient),
        about=about(patient, on),
        coverages=tuple(coverages(record)),
        problems=tuple(_newest(_problem(item) for item in _of(record, "Condition"))),
        surgeries=tuple(_newest(_surgery(item) for item in _of(record, "Procedure") if not _is_therapy(item))),
        visits=tuple(sorted({_day(item.get("period")) for item in _of(record, "Encounter") if _attended(item)})),
        measures=tuple(_newest(_measure(item) for item in _of(record, "Observation"))),
        goals=tuple(_goal(item) for item in _of(record, "Goal")),
        plans=tuple(plan for item in _of(record, "CarePlan") for plan in _plans(item)),
        unread=tuple(unread),
    )


def _of(record: Iterable[Json], kind: str) -> list[Json]:
    return [item for item in record if item.get("resourceType") == kind and item.get("status") != "entered-in-error"]


def _newest(items: Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda item: item.when, reverse=True)


def name_of(patient: Json) -> str:
    """Say a patient's name as a chart heads it.

    >>> name_of({"name": [{"family": "Rivera", "given": ["Ana", "M"]}]})
    'Rivera, Ana M'
    """
    name = next((item for item in patient.get("name") or [] if isinstance(item, dict)), {})
    given = " ".join(name.get("given") or [])
    parts = [part for part in (name.get("family", ""), given) if part]
    return name.get("text") or ", ".join(parts) or "No name"


def about(patient: Json, on: date) -> str:
    """Say sex, age and birth date; a partial birth date gives an age without false precision.

    >>> about({"gender": "female", "birthDate": "1988-05-01"}, date(2025, 3, 10))
    'female, 36 years, born 1988-05-01'
    >>> about({"gender": "female", "birthDate": "1988"}, date(2025, 3, 10))
    'female, 36 or 37 years, born 1988'
    """
    born = str(patient.get("birthDate") or "")
    parts = [str(patient.get("gender") or "")]
    if born[:4].isdigit():
        years = on.year - int(born[:4])
        if len(born) == 10:
            parts.append(f"{years - (born[5:] > on.isoformat()[5:])} years")
        else:
            parts.append(f"{years - 1} or {years} years")
        parts.append(f"born {born}")
    return ", ".join(part for part in parts if part)


def coverages(record: Sequence[Json]) -> list[Item]:
    """List who pays, with the kind of coverage."""
    organisations = {f"Organization/{item.get('id')}": item for item in _of(record, "Organization")}
    return [
        Item(
            text=payer_of(coverage, organisations) or "payer not named",
            when=_span(coverage.get("period")),
            note=words_of(coverage.get("type")),
        )
        for coverage in _of(record, "Coverage")
    ]


def payer_of(coverage: Json, organisations: dict[str, Json]) -> str:
    """Name the payer of a coverage: contained, referred to, or only displayed."""
    contained = {f"#{item.get('id')}": item for item in coverage.get("contained") or []}
    names = []
    for payor in coverage.get("payor") or []:
        reference = str(payor.get("reference") or "")
        found = contained.get(reference) or organisations.get("/".join(reference.split("/")[-2:])) or {}
        identifier = payor.get("identifier") or {}
        names.append(found.get("name") or payor.get("display") or identifier.get("value") or "")
    return ", ".join(name for name in names if name)


def _problem(item: Json) -> Item:
    status = next(iter(codings_of(item.get("clinicalStatus"))), {}).get("code", "")
    return Item(words_of(item.get("code")), _when(item, "onset"), str(status))


def _surgery(item: Json) -> Item:
    return Item(words_of(item.get("code")), _when(item, "performed"), str(item.get("status") or ""))


def _when(item: Json, name: str) -> str:
    period = item.get(f"{name}Period") or {}
    when = item.get(f"{name}DateTime") or period.get("start") or item.get(f"{name}String")
    return str(when or "")[:10]


def _is_therapy(item: Json) -> bool:
    codes = [coding for coding in codings_of(item.get("code")) if coding.get("system") == CPT]
    return any(str(coding.get("code")).startswith(THERAPY_CPT) for coding in codes)


def _attended(item: Json) -> bool:
    return item.get("status") in ATTENDED and bool(_day(item.get("period")))


def _day(period: object) -> str:
    return str(period.get("start") or "")[:10] if isinstance(period, dict) else ""


def _span(period: object) -> str:
    if not isinstance(period, dict):
        return ""
    start, end = (str(period.get(key) or "")[:10] for key in ("start", "end"))
    return f"{start} to {end}" if start and end else f"since {start}" if start else ""


def _measure(item: Json) -> Item:
    return Item(words_of(item.get("code")), _when(item, "effective"), value_of(item))


def value_of(item: Json) -> str:
    """Say an observation's value, or its components' values.

    >>> value_of({"valueQuantity": {"value": 95, "unit": "deg"}})
    '95 deg'
    """
    quantity = item.get("valueQuantity")
    if isinstance(quantity, dict) and quantity.get("value") is not None:
        return f"{quantity['value']} {quantity.get('unit') or quantity.get('code') or ''}".strip()
    for key in ("valueInteger", "valueString", "valueBoolean", "valueDateTime"):
        if item.get(key) is not None:
            return str(item[key])
    if item.get("valueCodeableConcept"):
        return words_of(item["valueCodeableConcept"])
    parts = [f"{words_of(part.get('code'))} {value_of(part)}" for part in item.get("component") or []]
    return "; ".join(parts)


def _goal(item: Json) -> Item:
    target = next((part for part in item.get("target") or [] if isinstance(part, dict)), {})
    status = words_of(item.get("achievementStatus")).partition(" (")[0] or str(item.get("lifecycleStatus") or "")
    return Item(words_of(item.get("description")), str(target.get("dueDate") or "")[:10], status)


def _plans(item: Json) -> list[Item]:
    details = [part.get("detail") or {} for part in item.get("activity") or []]
    timed = [detail for detail in details if detail.get("scheduledTiming")] or [{}]
    title = str(item.get("title") or item.get("description") or "Plan of care")
    return [
        Item(
            text=title,
            when=_span((timing.get("repeat") or {}).get("boundsPeriod") or item.get("period")),
            note=frequency_of({"occurrenceTiming": timing}),
        )
        for timing in (detail.get("scheduledTiming") or {} for detail in timed)
    ]
