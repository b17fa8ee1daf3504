"""Draft orders of a hook's context (or of a Bundle) become Orders.

A draft order is kept whole and unchanged beside what is read of it: actions send it back.
Requested visits come from `quantity`, else from `occurrenceTiming`; a quantity in units or minutes is not
a number of visits (domain rule: units never turn into visits).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from math import isfinite
from typing import Any

from cds.errors import MalformedRequest, UnusableOrder
from cds.fhir import shapes
from cds.fhir.elements import CodeableConcept, Coding, Period, Quantity, Range, Reference, Shape, TimingShape, fit
from cds.fhir.reading import Reading
from cds.fhir.timings import read_timing
from cds.fhir.visits import is_therapy
from cds.model import Concept, Condition, Discipline, Line, Order, Query, Span
from cds.terminology import Terminology

REQUEST_TYPES = frozenset(
    [
        "ServiceRequest",
        "MedicationRequest",
        "DeviceRequest",
        "NutritionOrder",
        "VisionPrescription",
        "CommunicationRequest",
    ]
)
BILLING_OPTIONS = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-billing-options"
# Fields that say how many visits: with one of them unreadable, the number is not known.
_COUNTING = frozenset(("quantityQuantity", "quantityRange", "quantityRatio", "occurrenceTiming"))
# Orders on file, for hooks whose context names none, or names them by reference only. They are asked about, and are
# no fact of the record: a search that fails leaves nothing in doubt but which order a visit belongs to.
ACTIVE_ORDERS = Query(
    "serviceRequests", "ServiceRequest", "ServiceRequest?patient={patient}&status=active", frozenset(), essential=False
)
_BILLING = ("cpt", "hcpcs")
# More than two years of daily visits is a slip of the pen, not a number to reckon with.
_MOST_VISITS = 999
_DAY_UNITS = frozenset(("d", "day", "days"))
_VISIT_WORDS = re.compile(r"\b(visit|session|treatment)", re.IGNORECASE)
_VISIT_UNITS = frozenset(
    ["visit", "visits", "{visit}", "{visits}", "session", "sessions", "{session}", "1", "treatment", "treatments"]
)


class _ServiceRequest(shapes.Subject):
    intent: str = ""
    doNotPerform: bool = False
    category: tuple[CodeableConcept, ...] = ()
    code: CodeableConcept | None = None
    orderDetail: tuple[CodeableConcept, ...] = ()
    quantityQuantity: Quantity | None = None
    quantityRange: Range | None = None
    occurrenceDateTime: str = ""
    occurrencePeriod: Period | None = None
    occurrenceTiming: TimingShape | None = None
    authoredOn: str = ""
    reasonCode: tuple[CodeableConcept, ...] = ()
    reasonReference: tuple[Reference, ...] = ()
    bodySite: tuple[CodeableConcept, ...] = ()
    performerType: CodeableConcept | None = None
    requester: Reference | None = None
    basedOn: tuple[Reference, ...] = ()
    insurance: tuple[Reference, ...] = ()
    supportingInfo: tuple[Reference, ...] = ()


class _Extension(Shape):
    url: str = ""
    valueCodeableConcept: CodeableConcept | None = None
    valueCoding: Coding | None = None


# What is read of an order and of its billing options, and so what the ledger keeps of them (`cds.fhir.least`).
ORDER_SHAPE: type[shapes.Subject] = _ServiceRequest
OPTION_SHAPE: type[Shape] = _Extension


def read_orders(
    resources: Iterable[tuple[str, Mapping[str, Any]]],
    terms: Terminology,
    patient: str,
    aliases: Mapping[str, str] | None = None,
) -> tuple[tuple[Order, ...], tuple[str, ...]]:
    """The therapy orders among draft resources (`where`, resource), and what is wrong with the others.

    Orders that are no therapy, or that say "do not perform", are none of ours and left out. A therapy order
    cannot be told from a ServiceRequest without a code: that is a problem, not an order. An order without
    a subject, or for somebody else, breaks FHIR: MalformedRequest. `aliases` name the resources that
    references know by their entry's URL.
    """
    orders: list[Order] = []
    problems: list[str] = []
    for where, resource in resources:
        if resource.get("resourceType") != "ServiceRequest":
            continue
        try:
            order = read_order(resource, terms, patient, where, aliases or {})
        except UnusableOrder as problem:
            problems.append(str(problem))
            continue
        if order is not None and order.is_therapy:
            orders.append(order)
    return tuple(orders), tuple(problems)


def read_order(
    resource: Mapping[str, Any], terms: Terminology, patient: str, where: str, aliases: Mapping[str, str]
) -> Order | None:
    """One ServiceRequest as an Order; None where it forbids instead of asking (`doNotPerform`)."""
    reference = f"ServiceRequest/{resource.get('id') or 'without-id'}"
    urls = frozenset(url for url, ref in aliases.items() if ref == f"Patient/{patient}")
    reading = Reading(terms, patient, urls, aliases=aliases)
    request, problems = fit(dict(resource), _ServiceRequest)
    _check(request, where, reading)
    if request.doNotPerform or request.status in ("entered-in-error", "revoked"):
        return None
    concept = reading.concept(request.code)
    if not concept.codes and not concept.text:
        raise UnusableOrder(
            "A draft order has no code", where=f"{where}.code", remedy="Choose what is ordered before signing"
        )
    lines = _lines(resource, request, reading)
    everything = Concept((*concept.codes, *(line.code for line in lines)), concept.text)
    programme = reading.terms.in_set(everything, "pain-programme-services")
    requested, why = _requested(request, reading, programme=programme)
    unread = sorted({problem.split(":")[0] for problem in problems} & _COUNTING)
    if unread:
        requested, why = None, f"the order's {unread[0]} cannot be read"
    timing = read_timing(reading, reference, request.occurrenceTiming)
    return Order(
        reference=reference,
        resource=resource,
        concept=concept,
        lines=lines,
        discipline=_discipline(reading, request, everything),
        is_therapy=is_therapy(everything, reading),
        reasons=tuple(reading.concept(reason) for reason in request.reasonCode if reason.coding or reason.text),
        sites=reading.sites(request.reasonCode, request.bodySite) or terms.sites(concept),
        requested=requested,
        requested_why=why,
        proposed=_proposed(reading, reference, request),
        period=reading.period(reference, request.occurrencePeriod) or (timing.bounds if timing else None),
        timing=timing,
        authored=reading.days(reference, request.authoredOn, what="authoredOn"),
        patient=patient,
        plans=tuple(sorted(_named(reading, request, "CarePlan"))),
        goals=tuple(sorted(_named(reading, request, "Goal"))),
        supporting=tuple(sorted(reading.refs((*request.supportingInfo, *request.reasonReference)))),
        requester=reading.ref(request.requester),
        insurance=_insurance(reading, request),
        notes=(*problems, *(note.reason for note in reading.notes)),
    )


def with_reasons(order: Order, conditions: Iterable[Condition]) -> Order:
    """The order with the diagnoses that it names by reference, once the record has been read."""
    named = [condition for condition in conditions if condition.source in order.supporting]
    reasons = tuple(dict.fromkeys((*order.reasons, *(condition.concept for condition in named))))
    sites = order.sites or tuple(dict.fromkeys(site for condition in named for site in condition.sites))
    return replace(order, reasons=reasons, sites=sites)


def _check(request: _ServiceRequest, where: str, reading: Reading) -> None:
    subject = request.subject
    if subject is None or not (subject.reference or subject.identifier):
        raise MalformedRequest(
            "A draft order has no subject",
            where=f"{where}.subject",
            remedy="FHIR R4 demands ServiceRequest.subject; name the patient of the hook's context",
        )
    if subject.reference and not subject.reference.startswith("urn:") and not reading.is_patient(subject.reference):
        raise MalformedRequest(
            "A draft order is for another patient than the hook's context",
            where=f"{where}.subject",
            remedy="Send only orders of context.patientId",
        )


def _lines(resource: Mapping[str, Any], request: _ServiceRequest, reading: Reading) -> tuple[Line, ...]:
    """Billing codes of an order: in its code, its details, and CRD's billing options on either."""
    concepts = [reading.concept(request.code), *map(reading.concept, request.orderDetail)]
    raw = [resource.get("code"), *_list(resource.get("orderDetail"))]
    for extension in (e for item in raw if isinstance(item, dict) for e in _list(item.get("extension"))):
        if isinstance(extension, dict) and extension.get("url") == BILLING_OPTIONS:
            option, _ = fit(extension, _Extension)
            coding = (option.valueCoding,) if option.valueCoding else ()
            concepts.append(reading.concept(option.valueCodeableConcept or CodeableConcept(coding=coding)))
    codes = [code for concept in concepts for code in concept.codes if code.system in _BILLING and code.code]
    return tuple(Line(code) for code in {(code.system, code.code): code for code in codes}.values())


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _discipline(reading: Reading, request: _ServiceRequest, everything: Concept) -> Discipline | None:
    performer = reading.concept(request.performerType)
    category = reading.merged(*request.category)
    found = (reading.terms.discipline(concept) for concept in (everything, performer, category))
    return next(filter(None, found), None)


def _requested(request: _ServiceRequest, reading: Reading, *, programme: bool) -> tuple[Span | None, str]:
    """How many visits the order asks for, or None and why it cannot be known. A programme's day is a visit."""
    if request.quantityQuantity is not None:
        quantity = request.quantityQuantity
        if not _in_visits(quantity, programme=programme):
            return None, f"the order's quantity is in '{quantity.unit or quantity.code}', not in visits"
        number = _whole(quantity)
        if number is None:
            return None, "the order's quantity is no plausible whole number of visits"
        return Span(number, number), ""
    if request.quantityRange is not None:
        return _requested_range(request.quantityRange, programme=programme)
    if request.occurrenceTiming and request.occurrenceTiming.event:
        events = request.occurrenceTiming.event
        days = [reading.days("order", event, what="occurrence") for event in events]
        # Two sessions on one day are one visit; of a day that is not known it cannot be told.
        number = len({day.exact for day in days if day}) if all(day and day.exact for day in days) else len(events)
        return Span(number, number), ""
    timing = read_timing(reading, "order", request.occurrenceTiming)
    if timing and timing.visits:
        return timing.visits, ""
    if timing:
        return None, f"the order says how often ({timing.says}) but not for how long or how many visits"
    return None, "the order names neither a number of visits nor a frequency"


def _in_visits(quantity: Quantity, *, programme: bool) -> bool:
    """Whether a quantity counts visits: by its unit's words; by its code, or without any, only if no unit is said."""
    known = _VISIT_UNITS | (_DAY_UNITS if programme else frozenset())
    unit, code = quantity.unit.strip().lower(), quantity.code.strip().lower()
    if unit and unit not in known:
        return bool(_VISIT_WORDS.search(unit))
    return unit in known - {"1"} or code in known or not code


def _whole(quantity: Quantity | None) -> int | None:
    if quantity is None or quantity.value is None or quantity.comparator or not isfinite(quantity.value):
        return None
    return None if not 0 <= quantity.value <= _MOST_VISITS or quantity.value % 1 else int(quantity.value)


def _requested_range(wanted: Range, *, programme: bool) -> tuple[Span | None, str]:
    for quantity in filter(None, (wanted.low, wanted.high)):
        if not _in_visits(quantity, programme=programme):
            return None, f"the order's quantity is in '{quantity.unit or quantity.code}', not in visits"
    low, high = _whole(wanted.low), _whole(wanted.high)
    if low is None or (wanted.high is not None and (high is None or high < low)):
        return None, "the order's quantity is no range of whole visits"
    return Span(low, high), ""


def _proposed(reading: Reading, source: str, request: _ServiceRequest) -> tuple[date, ...]:
    texts = [
        *(request.occurrenceTiming.event if request.occurrenceTiming else ()),
        request.occurrenceDateTime,
    ]
    days = [reading.days(source, text, what="occurrence") for text in texts if text]
    return tuple(sorted({day.exact for day in days if day and day.exact}))


def _insurance(reading: Reading, request: _ServiceRequest) -> tuple[str, ...]:
    """The coverages that an order names, in their order. Authorizations, which FHIR allows there too, are none."""
    named = map(reading.ref, request.insurance)
    return tuple(dict.fromkeys(ref for ref in named if ref.startswith(("Coverage/", "urn:"))))


def _named(reading: Reading, request: _ServiceRequest, kind: str) -> Iterable[str]:
    return [ref for ref in reading.refs((*request.basedOn, *request.supportingInfo)) if ref.startswith(f"{kind}/")]


def first_proposed(order: Order) -> date | None:
    """The first day on which the order proposes service, where it is known to the day."""
    starts = [*order.proposed]
    period = order.period
    if period and period.first and not (period.exact is None and _vague(period.text)):
        starts.append(period.first)
    return min(starts, default=None)


def _vague(text: str) -> bool:
    start = text.split(" to ")[0]
    return 0 < len(start) < len("2025-01-01") and start != "…"
