"""Therapy visits: one is patient + local date + discipline, however many resources tell of it.

Encounters tell best, then completed Procedures without an Encounter, then lines of claims. Units and
minutes are never turned into visits. What would be a visit but has no readable day leaves the count in
doubt (a note on `Fact.VISITS`), and never adds or hides one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from cds.fhir import shapes
from cds.fhir.dates import parse_period
from cds.fhir.elements import Period
from cds.fhir.reading import Reading
from cds.model import Appointment, Concept, Days, Discipline, Fact, Resource, Site, Visit
from cds.terminology import once

THERAPY_SETS = ("therapy-services", "pain-programme-services")
_MISSED = ("cancelled", "noshow")
_PLANNED = ("planned", "arrived", "triaged", "onleave")
# Fields without which it cannot be told whether, and when, there was a visit.
_CRITICAL = ("status", "period", "type", "serviceType", "code", "performedDateTime", "performedPeriod")
_NOT_OUTPATIENT = re.compile(r"inpatient|emergency|observation|acute", re.IGNORECASE)
# The initials that schedules use; upper case only, as a word.
_INITIALS = re.compile(r"\b(PT|OT)\b")
_BY_INITIALS = {"PT": Discipline.PHYSICAL_THERAPY, "OT": Discipline.OCCUPATIONAL_THERAPY}
_SUPERSEDING = ("prior", "replaces")


@dataclass(frozen=True)
class _Event:
    day: date
    discipline: Discipline | None
    sites: tuple[Site, ...]
    source: str
    codes: frozenset[str] = frozenset()
    based_on: frozenset[str] = frozenset()
    episodes: frozenset[str] = frozenset()
    in_progress: bool = False


@dataclass(frozen=True)
class _Treatment:
    """A Procedure that is therapy, before it is known whether an Encounter tells of it too."""

    source: str
    concept: Concept
    discipline: Discipline | None
    days: Days | None
    encounter: str
    sites: tuple[Site, ...]
    based_on: frozenset[str]

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(code.code for code in self.concept.codes)


def is_therapy(concept: Concept, reading: Reading) -> bool:
    """Whether a concept is a therapy service, by code or, as a last resort, by words."""
    return once(concept, "therapy", lambda: any(reading.terms.in_set(concept, name) for name in THERAPY_SETS))


def _has_initials(concept: Concept) -> bool:
    return any(_INITIALS.search(text) for text in (concept.text, *(code.display for code in concept.codes)) if text)


def read_visits(
    reading: Reading,
    by_type: Mapping[str, Sequence[Resource]],
    condition_sites: Mapping[str, tuple[Site, ...]],
) -> tuple[tuple[Visit, ...], tuple[Appointment, ...]]:
    """Attended visits, and the visits that are booked or were missed.

    `condition_sites` are the body sites of the record's Conditions by reference, for Encounters that name
    their reason by reference only.
    """
    treatments = _read_procedures(reading, by_type.get("Procedure", ()))
    encounters = _Encounters(reading, treatments, condition_sites)
    events = encounters.read(by_type.get("Encounter", ()))
    for treatment in treatments:
        if treatment.encounter not in encounters.seen:
            events += _event_of(reading, treatment)
    claims = [*by_type.get("Claim", ()), *by_type.get("ExplanationOfBenefit", ())]
    events += _read_claims(reading, claims)
    appointments = [*encounters.appointments, *_read_appointments(reading, by_type.get("Appointment", ()))]
    return _merge(events), tuple(appointments)


def _merge(events: Iterable[_Event]) -> tuple[Visit, ...]:
    """One visit for each day and discipline; an event of unknown discipline joins the day's known one."""
    by_day: dict[date, list[_Event]] = defaultdict(list)
    for event in events:
        by_day[event.day].append(event)
    visits: list[Visit] = []
    for day in sorted(by_day):
        known = sorted({event.discipline for event in by_day[day] if event.discipline})
        disciplines: list[Discipline | None] = [*known] or [None]
        for discipline in disciplines:
            told = [
                e
                for e in by_day[day]
                if e.discipline == discipline or (not e.discipline and discipline == _first(known))
            ]
            visits.append(
                Visit(
                    day=day,
                    discipline=discipline,
                    sites=tuple(sorted({s for e in told for s in e.sites}, key=lambda s: (s.region, s.side or ""))),
                    sources=tuple(sorted({event.source for event in told})),
                    codes=frozenset().union(*(event.codes for event in told)),
                    based_on=frozenset().union(*(event.based_on for event in told)),
                    episodes=frozenset().union(*(event.episodes for event in told)),
                    in_progress=all(event.in_progress for event in told),
                )
            )
    return tuple(visits)


def _first(known: Sequence[Discipline]) -> Discipline | None:
    return known[0] if known else None


# ----------------------------------------------------------------------------------------------- procedures


def _read_procedures(reading: Reading, resources: Iterable[Resource]) -> list[_Treatment]:
    treatments: list[_Treatment] = []
    for resource, procedure in reading.each(resources, shapes.Procedure, Fact.VISITS, _CRITICAL):
        concept = reading.concept(procedure.code)
        if procedure.status not in ("completed", "") or not is_therapy(concept, reading):
            continue
        when = procedure.performedDateTime or procedure.occurrenceDateTime
        treatments.append(
            _Treatment(
                source=resource.reference,
                concept=concept,
                discipline=reading.terms.discipline(concept),
                days=reading.when(resource.reference, when, procedure.performedPeriod, Fact.VISITS),
                encounter=reading.ref(procedure.encounter),
                sites=reading.sites(procedure.reasonCode, procedure.bodySite),
                based_on=reading.refs(procedure.basedOn),
            )
        )
    return treatments


def _event_of(reading: Reading, treatment: _Treatment) -> list[_Event]:
    """A Procedure as an event of its day; a Procedure over several days, or without one, leaves a doubt."""
    day = treatment.days.exact if treatment.days else None
    if day is None:
        when = treatment.days or "no date"
        reason = f"a therapy procedure whose day is not known ({when})"
        reading.note(treatment.source, reason, Fact.VISITS, treatment.days)
        return []
    sites, source = treatment.sites, treatment.source
    return [_Event(day, treatment.discipline, sites, source, treatment.codes, treatment.based_on)]


# ------------------------------------------------------------------------------------------------ encounters


class _Encounters:
    """Reads Encounters with the Procedures done in them; `seen` are those whose Procedures are accounted for."""

    def __init__(
        self,
        reading: Reading,
        treatments: Sequence[_Treatment],
        condition_sites: Mapping[str, tuple[Site, ...]],
    ) -> None:
        self.reading = reading
        self.condition_sites = condition_sites
        self.done: dict[str, list[_Treatment]] = defaultdict(list)
        for treatment in treatments:
            if treatment.encounter:
                self.done[treatment.encounter].append(treatment)
        self.seen: set[str] = set()
        self.appointments: list[Appointment] = []

    def read(self, resources: Iterable[Resource]) -> list[_Event]:
        """The events that Encounters tell of; booked and missed ones go to `appointments`."""
        events: list[_Event] = []
        for resource, encounter in self.reading.each(resources, shapes.Encounter, Fact.VISITS, _CRITICAL):
            source = resource.reference
            done = self.done.get(source, [])
            what = self.reading.merged(*encounter.type, encounter.serviceType)
            named = self.reading.terms.in_set(what, "therapy-visit-types")
            if not (done or named or is_therapy(what, self.reading) or self._by_therapist(encounter)):
                self._note_vague(source, encounter, what)
                continue
            self.seen.add(source)
            events += self._told(source, encounter, done)
        return events

    def _note_vague(self, source: str, encounter: shapes.Encounter, what: Concept) -> None:
        """An attended encounter called "PT" or "OT" and something else may be a visit: the count is in doubt."""
        called = once(what, "initials", lambda: _has_initials(what))
        if called and encounter.status in ("finished", "completed") and self._counted_class(encounter):
            days = self.reading.period(source, encounter.period or encounter.actualPeriod)
            self.reading.note(source, "an encounter whose type may mean therapy", Fact.VISITS, days)

    def _told(self, source: str, encounter: shapes.Encounter, done: Sequence[_Treatment]) -> list[_Event]:
        status = encounter.status
        if status == "entered-in-error" or not self._counted_class(encounter):
            return []
        if status in (*_MISSED, *_PLANNED):
            self._keep_appointment(source, encounter, missed=status in _MISSED)
            return []
        if status == "in-progress" and not done:
            return []
        if status not in ("finished", "completed", "in-progress"):
            self.reading.note(source, f"a therapy encounter whose status says nothing ('{status}')", Fact.VISITS)
            return []
        return self._days_of(source, encounter, done)

    def _days_of(self, source: str, encounter: shapes.Encounter, done: Sequence[_Treatment]) -> list[_Event]:
        in_progress = encounter.status == "in-progress"
        period = encounter.period or encounter.actualPeriod or Period()
        start = self.reading.days(source, period.start, Fact.VISITS, "period.start")
        end = self.reading.days(source, period.end, Fact.VISITS, "period.end")
        told_days = {treatment.days.exact for treatment in done if treatment.days and treatment.days.exact}
        if start and start.exact and len(told_days) <= 1 and not _long(start.exact, end):
            return self._events(start.exact, source, encounter, done, in_progress)
        # One encounter for a whole series, or one without a day: its Procedures tell the days, else nobody does.
        told = [event for treatment in done for event in _event_of(self.reading, treatment)]
        if not told:
            days = parse_period(start, end)
            reason = f"a therapy encounter that names no single day ({days or 'no period'})"
            self.reading.note(source, reason, Fact.VISITS, days)
        whole = self._event(date.min, source, encounter, done, in_progress)
        return [
            replace(
                whole,
                day=event.day,
                discipline=event.discipline or whole.discipline,
                codes=event.codes,
                sites=event.sites or whole.sites,
            )
            for event in told
        ]

    def _events(
        self,
        day: date,
        source: str,
        encounter: shapes.Encounter,
        done: Sequence[_Treatment],
        in_progress: bool,
    ) -> list[_Event]:
        """One event; but one for each discipline whose Procedures an Encounter of several disciplines holds."""
        told = sorted({treatment.discipline for treatment in done if treatment.discipline})
        if len(told) < 2:
            return [self._event(day, source, encounter, done, in_progress)]
        return [
            self._event(day, source, encounter, [t for t in done if t.discipline in (mine, None)], in_progress)
            for mine in told
        ]

    def _event(
        self,
        day: date,
        source: str,
        encounter: shapes.Encounter,
        done: Sequence[_Treatment],
        in_progress: bool,
    ) -> _Event:
        sites = self._sites(encounter) or tuple(site for treatment in done for site in treatment.sites)
        type_codes = self.reading.merged(*encounter.type).codes
        return _Event(
            day=day,
            discipline=self._discipline(encounter, done),
            sites=sites,
            source=source,
            codes=frozenset(code.code for code in type_codes).union(*(t.codes for t in done)),
            based_on=self.reading.refs(encounter.basedOn).union(*(t.based_on for t in done)),
            episodes=self.reading.refs(encounter.episodeOfCare),
            in_progress=in_progress,
        )

    def _discipline(self, encounter: shapes.Encounter, done: Sequence[_Treatment]) -> Discipline | None:
        """Evaluation codes first, then the performer, then the service type (domain order of evidence)."""
        by_code = min((t.discipline for t in done if t.discipline), default=None)
        performer = self.reading.merged(*(kind for p in encounter.participant for kind in p.type))
        service = self.reading.merged(encounter.serviceType, *encounter.type)
        known = by_code or self.reading.terms.discipline(performer) or self.reading.terms.discipline(service)
        initials = _INITIALS.search(" ".join((service.text, *(code.display for code in service.codes))))
        return known or (_BY_INITIALS[initials[1]] if initials else None)

    def _by_therapist(self, encounter: shapes.Encounter) -> bool:
        told = [kind for p in encounter.participant for kind in p.type]
        if not told:
            return False
        roles = self.reading.merged(*told)
        return bool(roles.codes) and self.reading.terms.discipline(roles, "disciplines") is not None

    def _sites(self, encounter: shapes.Encounter) -> tuple[Site, ...]:
        named = self.reading.sites(encounter.reasonCode)
        reasons = [*encounter.reasonReference, *(d.condition for d in encounter.diagnosis if d.condition)]
        referred = [site for ref in self.reading.refs(reasons) for site in self.condition_sites.get(ref, ())]
        return named or tuple(dict.fromkeys(referred))

    def _counted_class(self, encounter: shapes.Encounter) -> bool:
        """Whether the class is one that counts; a code of the EHR's own counts unless its words say inpatient."""
        told = encounter.class_
        if told is None or not told.code:
            return True
        counted = self.reading.terms.valueset("counted-encounter-classes").codes
        if self.reading.terms.system(told.system) in ("act-code", "encounter-class", ""):
            return any(known == told.code and "counted-if" not in entry for (_, known), entry in counted.items())
        return _NOT_OUTPATIENT.search(told.display) is None

    def _keep_appointment(self, source: str, encounter: shapes.Encounter, *, missed: bool) -> None:
        days = self.reading.period(source, encounter.period or encounter.actualPeriod)
        if days is not None:
            discipline = self._discipline(encounter, ())
            sites, based_on = self._sites(encounter), self.reading.refs(encounter.basedOn)
            self.appointments.append(Appointment(days, discipline, missed, source, sites, based_on))


def _long(start: date, end: Days | None) -> bool:
    """Whether a period runs past the night after its first day: then it is a series, not one visit."""
    return end is not None and end.last is not None and (end.last - start).days > 1


# ------------------------------------------------------------------------------------------- claims, bookings


def _read_claims(reading: Reading, resources: Iterable[Resource]) -> list[_Event]:
    """Lines of active claims for therapy; proposals, and claims that another replaces, do not count."""
    claims = [
        (resource.reference, claim)
        for resource, claim in reading.each(resources, shapes.Claim, Fact.VISITS)
        if claim.status == "active" and claim.use in ("claim", "") and claim.outcome not in ("error", "queued")
    ]
    replaced = {
        reading.ref(related.claim)
        for _, claim in claims
        for related in claim.related
        if any(code.code in _SUPERSEDING for code in reading.concept(related.relationship).codes)
    }
    return [
        event
        for source, claim in claims
        if source not in replaced and reading.ref(claim.claim) not in replaced
        for item in claim.item
        for event in _claim_line(reading, source, claim, item)
    ]


def _claim_line(reading: Reading, source: str, claim: shapes.Claim, item: shapes.ClaimItem) -> list[_Event]:
    concept = reading.merged(item.productOrService, item.revenue)
    whose = reading.terms.discipline(reading.merged(*item.modifier, item.revenue), "disciplines")
    if not is_therapy(concept, reading) and whose is None:
        return []
    days = reading.when(source, item.servicedDate, item.servicedPeriod or claim.billablePeriod, Fact.VISITS)
    if days is None or days.exact is None:
        reading.note(source, "a therapy line of a claim whose day is not known", Fact.VISITS, days)
        return []
    codes = frozenset(code.code for code in concept.codes)
    return [_Event(days.exact, whose or reading.terms.discipline(concept), (), source, codes)]


def _read_appointments(reading: Reading, resources: Iterable[Resource]) -> list[Appointment]:
    found: list[Appointment] = []
    for resource, booked in reading.each(resources, shapes.Appointment, Fact.SCHEDULE):
        people = [p.actor.reference for p in booked.participant if p.actor and "Patient/" in p.actor.reference]
        if people and not any(map(reading.is_patient, people)):
            reading.note_others(resource)
            continue
        what = reading.merged(*booked.serviceType, *booked.specialty, booked.appointmentType)
        missed = booked.status in _MISSED
        if booked.status not in ("booked", "pending", "arrived", "checked-in", *_MISSED) or not is_therapy(
            what, reading
        ):
            continue
        if (days := reading.days(resource.reference, booked.start, Fact.SCHEDULE)) is not None:
            sites, based_on = reading.sites(booked.reasonCode), reading.refs(booked.basedOn)
            discipline = reading.terms.discipline(what)
            found.append(Appointment(days, discipline, missed, resource.reference, sites, based_on))
    return found
