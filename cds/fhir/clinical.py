"""Conditions, procedures, goals, plans, treatments, images, documents, tasks: one reader each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from cds.fhir import shapes
from cds.fhir.dates import parse_period
from cds.fhir.elements import CodeableConcept
from cds.fhir.reading import NO_DATE, Reading
from cds.fhir.timings import duration_days, read_timing
from cds.fhir.visits import is_therapy
from cds.model import (
    ClaimLine,
    Concept,
    Condition,
    Days,
    Document,
    Done,
    Episode,
    Fact,
    Goal,
    Image,
    OpenTask,
    Plan,
    Resource,
    Site,
    Span,
    Timing,
    Treatment,
    day_of,
)

_ACTIVE = frozenset(("active", "recurrence", "relapse"))
_INACTIVE = frozenset(("inactive", "remission", "resolved"))
_DISMISSED = frozenset(("refuted", "entered-in-error"))
_GOAL_OPEN = frozenset(("proposed", "planned", "accepted", "active", "on-hold"))
_GOAL_DEAD = frozenset(("cancelled", "entered-in-error", "rejected"))
_SURGICAL = frozenset(("387713003", "surgical-procedure"))
_ALLOWED = frozenset(("eligible", "allowed"))
_DEDUCTIBLE = frozenset(("deductible",))
_PAID = frozenset(("benefit", "paidtoprovider", "paidtopatient"))
_TASK_OVER = frozenset(("completed", "cancelled", "rejected", "failed", "entered-in-error"))


def _codes(concept: Concept) -> set[str]:
    return {code.code for code in concept.codes}


def read_conditions(reading: Reading, resources: Iterable[Resource]) -> tuple[Condition, ...]:
    """Diagnoses and problems; refuted ones and errors are left out."""
    found: list[Condition] = []
    for resource, shape in reading.each(resources, shapes.Condition, Fact.CONDITIONS):
        if _codes(reading.concept(shape.verificationStatus)) & _DISMISSED:
            continue
        source = resource.reference
        onset = reading.when(source, shape.onsetDateTime, shape.onsetPeriod)
        if onset is None and shape.onsetString:
            reading.note(source, "its onset is told in words only")
        concept = reading.concept(shape.code)
        found.append(
            Condition(
                concept=concept,
                active=_active(reading, shape),
                onset=onset,
                recorded=reading.days(source, shape.recordedDate),
                source=source,
                sites=reading.sites([shape.code] if shape.code else [], shape.bodySite),
            )
        )
    return tuple(found)


def _active(reading: Reading, shape: shapes.Condition) -> bool | None:
    told = reading.concept(shape.clinicalStatus)
    status = _codes(told) or {told.text.strip().lower()}
    if status & _ACTIVE:
        return True
    over = shape.abatementDateTime or shape.abatementString or shape.abatementPeriod or shape.abatementBoolean
    return False if over or status & _INACTIVE else None


def read_procedures(reading: Reading, resources: Iterable[Resource]) -> tuple[Done, ...]:
    """Completed procedures of every kind. Their problems were noted when visits were read."""
    silent = reading.silent()
    found: list[Done] = []
    for resource, shape in silent.each(resources, shapes.Procedure, Fact.PROCEDURES):
        if shape.status not in ("completed", ""):
            continue
        source = resource.reference
        when = shape.performedDateTime or shape.occurrenceDateTime
        days = silent.when(source, when, shape.performedPeriod) or NO_DATE
        concept = silent.concept(shape.code)
        sites = silent.sites(shape.reasonCode, shape.bodySite) or silent.terms.sites(concept)
        named = shape.category is not None and bool(_codes(silent.concept(shape.category)) & _SURGICAL)
        surgical = named or silent.terms.is_surgery(concept)
        found.append(Done(concept, days, source, sites, silent.ref(shape.encounter) or None, surgical))
    return tuple(found)


def read_goals(reading: Reading, resources: Iterable[Resource]) -> tuple[Goal, ...]:
    """Treatment goals that are, or were, pursued."""
    found: list[Goal] = []
    for resource, shape in reading.each(resources, shapes.Goal, Fact.GOALS):
        if shape.lifecycleStatus in _GOAL_DEAD:
            continue
        achievement = reading.concept(shape.achievementStatus) if shape.achievementStatus else None
        done = shape.lifecycleStatus == "completed" or bool(achievement and "achieved" in _codes(achievement))
        details = (
            t.detailQuantity or t.detailRange or t.detailString or t.detailCodeableConcept or t.measure
            for t in shape.target
        )
        found.append(
            Goal(
                text=reading.concept(shape.description).label,
                open=shape.lifecycleStatus in _GOAL_OPEN and not done,
                achievement=achievement,
                day=reading.days(resource.reference, shape.statusDate),
                source=resource.reference,
                measurable=any(details),
            )
        )
    return tuple(found)


def read_plans(reading: Reading, resources: Iterable[Resource]) -> tuple[Plan, ...]:
    """Plans of care with the timing of their therapy activities."""
    found: list[Plan] = []
    for resource, shape in reading.each(resources, shapes.CarePlan, Fact.PLANS):
        if shape.status in ("entered-in-error", "revoked"):
            continue
        details = [activity.detail for activity in shape.activity if activity.detail]
        source = resource.reference
        timings = [timing for detail in details if (timing := _planned(reading, source, detail))]
        exercise = {code for detail in details for code in _codes(reading.concept(detail.code))}
        active = shape.status in ("active", "draft", "on-hold", "unknown", "")
        period = reading.period(source, shape.period)
        goals = tuple(sorted(reading.refs(shape.goal)))
        found.append(Plan(tuple(timings), period, source, active, goals, frozenset(exercise)))
    return tuple(found)


def _planned(reading: Reading, source: str, detail: shapes.CarePlanDetail) -> Timing | None:
    if detail.status in ("cancelled", "stopped", "entered-in-error", "completed"):
        return None
    concept = reading.concept(detail.code) if detail.code else Concept(text=detail.description)
    if not is_therapy(concept, reading):
        return None
    timing = read_timing(reading, source, detail.scheduledTiming)
    if detail.quantity is not None and detail.quantity.value is not None:
        visits = int(detail.quantity.value)
        bounds = reading.period(source, detail.scheduledPeriod) or (timing.bounds if timing else None)
        return Timing(Span(visits, visits), bounds, timing.says if timing else "")
    return timing


def read_treatments(reading: Reading, by_type: Mapping[str, Sequence[Resource]]) -> tuple[Treatment, ...]:
    """Medicines that were ordered or taken: what and when, never how much."""
    found: list[Treatment] = []
    for kind in ("MedicationRequest", "MedicationStatement"):
        for resource, shape in reading.each(by_type.get(kind, ()), shapes.Medication, Fact.TREATMENTS):
            if shape.status in ("entered-in-error", "cancelled", "draft", "not-taken"):
                continue
            source = resource.reference
            bounds = [
                days
                for dose in shape.dosageInstruction
                if dose.timing
                and dose.timing.repeat
                and (days := reading.period(source, dose.timing.repeat.boundsPeriod))
            ]
            days = reading.when(source, shape.effectiveDateTime, shape.effectivePeriod) or next(iter(bounds), None)
            days = days or _supplied(reading, source, shape)
            days = days or reading.days(source, shape.authoredOn or shape.dateAsserted) or NO_DATE
            found.append(Treatment(reading.concept(shape.medicationCodeableConcept), days, source, shape.status))
    return tuple(found)


def _supplied(reading: Reading, source: str, shape: shapes.Medication) -> Days | None:
    """The days for which a medicine was supplied, from the day of the prescription."""
    written = reading.days(source, shape.authoredOn)
    supply = shape.dispenseRequest.expectedSupplyDuration if shape.dispenseRequest else None
    length = duration_days(supply)
    if written is None or written.exact is None or length is None:
        return None
    return parse_period(written, day_of(written.exact + timedelta(days=round(length))))


def read_images(reading: Reading, by_type: Mapping[str, Sequence[Resource]]) -> tuple[Image, ...]:
    """Imaging studies and reports that exist (not those only ordered)."""
    found: list[Image] = []
    for resource, study in reading.each(by_type.get("ImagingStudy", ()), shapes.ImagingStudy, Fact.IMAGING):
        if study.status in ("entered-in-error", "cancelled"):
            continue
        modalities = [c.code for c in (*study.modality, *(s.modality for s in study.series if s.modality)) if c.code]
        body = [CodeableConcept(coding=(s.bodySite,)) for s in study.series if s.bodySite]
        concept = reading.merged(*study.procedureCode, CodeableConcept(text=study.description))
        days = reading.days(resource.reference, study.started, Fact.IMAGING) or NO_DATE
        sites = reading.sites(study.procedureCode, body) or reading.terms.sites(concept)
        found.append(Image(concept, next(iter(modalities), None), days, resource.reference, sites))
    for resource, report in reading.each(by_type.get("DiagnosticReport", ()), shapes.DiagnosticReport, Fact.IMAGING):
        if report.status in ("entered-in-error", "cancelled", "registered"):
            continue
        concept = reading.concept(report.code)
        when = reading.when(resource.reference, report.effectiveDateTime, report.effectivePeriod, Fact.IMAGING)
        days = when or reading.days(resource.reference, report.issued, Fact.IMAGING) or NO_DATE
        found.append(Image(concept, None, days, resource.reference, reading.terms.sites(concept)))
    return tuple(found)


def read_documents(reading: Reading, resources: Iterable[Resource]) -> tuple[Document, ...]:
    """Documents that exist, with such text as they hold inline."""
    return tuple(
        Document(
            reading.merged(shape.type, *shape.category),
            reading.days(resource.reference, shape.date) or NO_DATE,
            resource.reference,
            " ".join(filter(None, (shape.description, *(c.attachment.text for c in shape.content if c.attachment)))),
        )
        for resource, shape in reading.each(resources, shapes.DocumentReference, Fact.DOCUMENTS)
        if shape.status not in ("entered-in-error", "superseded")
    )


def read_tasks(reading: Reading, resources: Iterable[Resource]) -> tuple[OpenTask, ...]:
    """Tasks that are still to be done, with what they ask for."""
    found: list[OpenTask] = []
    for resource, shape in reading.each(resources, shapes.Task, Fact.TASKS):
        if shape.status in _TASK_OVER:
            continue
        asked = [text for item in shape.input for text in (item.valueCanonical, item.valueString) if text]
        text = " ".join((shape.description, *asked))
        day = reading.days(resource.reference, shape.authoredOn)
        found.append(OpenTask(reading.concept(shape.code), text, resource.reference, day))
    return tuple(found)


def read_episodes(
    reading: Reading, resources: Iterable[Resource], condition_sites: Mapping[str, tuple[Site, ...]]
) -> tuple[Episode, ...]:
    """Episodes of therapy that the record itself states; their sites are those of their diagnoses."""
    found: list[Episode] = []
    for resource, shape in reading.each(resources, shapes.EpisodeOfCare, Fact.VISITS):
        concept = reading.merged(*shape.type)
        start = reading.days(resource.reference, shape.period.start) if shape.period else None
        if (
            shape.status in ("entered-in-error", "cancelled", "planned")
            or start is None
            or not is_therapy(concept, reading)
        ):
            continue
        end = reading.days(resource.reference, shape.period.end) if shape.period else None
        if shape.status == "finished" and end is None:
            continue  # it is over, but nobody says since when
        reasons = reading.refs(diagnosis.condition for diagnosis in shape.diagnosis if diagnosis.condition)
        named = tuple(dict.fromkeys(site for ref in sorted(reasons) for site in condition_sites.get(ref, ())))
        discipline = reading.terms.discipline(concept)
        found.append(Episode(resource.reference, start, end, named or reading.terms.sites(concept), discipline))
    return tuple(found)


def read_claim_lines(reading: Reading, by_type: Mapping[str, Sequence[Resource]]) -> tuple[ClaimLine, ...]:
    """Lines of claims with units and allowed amounts; drafts and pre-authorizations are marked as proposed."""
    silent = reading.silent()
    found: list[ClaimLine] = []
    for kind in ("Claim", "ExplanationOfBenefit"):
        for resource, claim in silent.each(by_type.get(kind, ()), shapes.Claim, Fact.AMOUNTS):
            if claim.status not in ("active", "draft"):
                continue
            proposed = claim.status == "draft" or claim.use in ("preauthorization", "predetermination")
            found += [_claim_line(silent, resource.reference, claim, item, proposed=proposed) for item in claim.item]
    return tuple(found)


def _claim_line(
    reading: Reading, source: str, claim: shapes.Claim, item: shapes.ClaimItem, *, proposed: bool
) -> ClaimLine:
    concept = reading.concept(item.productOrService)
    allowed = _amounts(reading, item, _ALLOWED)
    deductible, paid = _amounts(reading, item, _DEDUCTIBLE), _amounts(reading, item, _PAID)
    return ClaimLine(
        code=next((code.code for code in concept.codes), ""),
        units=item.quantity.value if item.quantity else None,
        allowed=sum(allowed) if allowed else None,
        day=reading.when(source, item.servicedDate, item.servicedPeriod or claim.billablePeriod) or NO_DATE,
        source=source,
        proposed=proposed,
        discipline=reading.terms.discipline(reading.merged(*item.modifier, item.revenue), "disciplines"),
        deductible=sum(deductible),
        paid=sum(paid) if paid else None,
    )


def _amounts(reading: Reading, item: shapes.ClaimItem, categories: frozenset[str]) -> list[float]:
    """Amounts of the adjudications of some categories (hl7.org/fhir/R4/valueset-adjudication.html)."""
    return [
        a.amount.value
        for a in item.adjudication
        if a.amount and a.amount.value is not None and _codes(reading.concept(a.category)) & categories
    ]


def read_people(reading: Reading, by_type: Mapping[str, Sequence[Resource]]) -> dict[str, Concept]:
    """What the practitioners on file are (qualifications, roles, specialties), by reference."""
    people: dict[str, Concept] = {}
    for kind in ("Practitioner", "PractitionerRole"):
        for resource, shape in reading.each(by_type.get(kind, ()), shapes.Practitioner, Fact.REQUESTER):
            held = [qualification.code for qualification in shape.qualification]
            people[resource.reference] = reading.merged(*held, *shape.code, *shape.specialty)
    return people
