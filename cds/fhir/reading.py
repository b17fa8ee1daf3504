"""The reader's desk: decodes resources, checks whose they are, and keeps note of what could not be read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from cds.fhir.dates import parse_days, parse_period
from cds.fhir.decoded import read_resource
from cds.fhir.elements import (
    CodeableConcept,
    Period,
    Reference,
    Shape,
    local_reference,
    merge_concepts,
    to_concept,
)
from cds.model import Concept, Days, Fact, Note, Resource, Site
from cds.terminology import Terminology

T = TypeVar("T", bound=Shape)


@dataclass
class Reading:
    """One reading of one patient's resources. Lives for one request only."""

    terms: Terminology
    patient: str
    patient_urls: frozenset[str] = frozenset()
    zone: ZoneInfo | None = None
    notes: list[Note] = field(default_factory=list)
    aliases: Mapping[str, str] = field(default_factory=dict)
    _concepts: dict[object, Concept] = field(default_factory=dict, repr=False)
    _days: dict[str, Days] = field(default_factory=dict, repr=False)
    _periods: dict[tuple[str, str], Days] = field(default_factory=dict, repr=False)
    _owners: dict[str, bool] = field(default_factory=dict, repr=False)

    def note(self, source: str, reason: str, fact: Fact | None = None, days: Days | None = None) -> None:
        """Keep note of something that could not be read; `fact` is what it leaves in doubt, `days` when."""
        self.notes.append(Note(source, reason, fact, days))

    def each(
        self,
        resources: Iterable[Resource],
        shape: type[T],
        fact: Fact,
        critical: Collection[str] | None = None,
    ) -> Iterator[tuple[Resource, T]]:
        """Every resource of this patient in its shape; the rest is noted.

        What could not be read puts `fact` in doubt, unless only fields beside the `critical` ones failed.
        """
        owners = _owners_of(shape)
        for resource in resources:
            read, problems = read_resource(resource, shape)
            for problem in problems:
                doubtful = read is None or critical is None or problem.split(":")[0] in critical
                self.note(resource.reference, problem, fact if doubtful else None)
            if read is not None and self._is_ours(resource, read, owners):
                yield resource, read

    def _is_ours(self, resource: Resource, read: Shape, owners: Sequence[str]) -> bool:
        for name in owners:
            whose: Reference | None = getattr(read, name)
            if whose is not None:
                break
        else:
            return True
        if not whose.reference or self.is_patient(whose.reference):
            return True
        self.note_others(resource)
        return False

    def note_others(self, resource: Resource) -> None:
        """Tell once for each type that another patient's were left out, not which: their ids are not this chart's."""
        note = Note(resource.type, "what belongs to another patient was left out")
        if note not in self.notes:
            self.notes.append(note)

    def is_patient(self, reference: str) -> bool:
        """Whether a reference is to this patient: relative, absolute, or by the entry's own URL."""
        if (known := self._owners.get(reference)) is None:
            known = reference in self.patient_urls or local_reference(reference) == f"Patient/{self.patient}"
            self._owners[reference] = known
        return known

    def silent(self) -> Reading:
        """A reading of the same patient whose notes nobody sees: for what was noted before."""
        return replace(self, notes=[])

    def ref(self, reference: Reference | None) -> str:
        """`Type/id` of a reference; entries known by `urn:uuid:` are named by their type and id."""
        if reference is None:
            return ""
        return self.aliases.get(reference.reference) or local_reference(reference.reference)

    def refs(self, references: Iterable[Reference]) -> frozenset[str]:
        """The set of `Type/id` of several references."""
        return frozenset(filter(None, map(self.ref, references)))

    def days(self, source: str, text: str, fact: Fact | None = None, what: str = "date") -> Days | None:
        """A date as days; an unreadable one is noted and None."""
        if not text:
            return None
        if (known := self._days.get(text)) is not None:
            return known
        try:
            found = self._days[text] = parse_days(text, self.zone)
            return found
        except ValueError as problem:
            self.note(source, f"{what}: {problem}", fact)
            return None

    def period(self, source: str, period: Period | None, fact: Fact | None = None) -> Days | None:
        """A Period as days, open where an end is not given."""
        if period is None:
            return None
        key = (period.start, period.end)
        if (known := self._periods.get(key)) is not None:
            return known
        start = self.days(source, period.start, fact, "period.start")
        end = self.days(source, period.end, fact, "period.end")
        found = parse_period(start, end)
        # Not where a date could not be read: that is noted of each resource that holds it.
        if found is not None and (start or not period.start) and (end or not period.end):
            self._periods[key] = found
        return found

    def when(self, source: str, moment: str, period: Period | None, fact: Fact | None = None) -> Days | None:
        """A moment, or else the period, as days."""
        return self.days(source, moment, fact) if moment else self.period(source, period, fact)

    def concept(self, concept: CodeableConcept | None) -> Concept:
        """A CodeableConcept in the words of the house; equal ones are one and the same Concept."""
        if concept is None:
            return NO_CONCEPT
        if len(concept.coding) == 1:  # as most have, on the busiest path: no list for one
            (coding,) = concept.coding
            key: tuple[object, ...] = (concept.text, coding.system, coding.code, coding.display)
        else:
            key = _key(concept)
        if (known := self._concepts.get(key)) is None:
            known = self._concepts[key] = to_concept(concept, self.terms)
        return known

    def merged(self, *concepts: CodeableConcept | None) -> Concept:
        """Several concepts as one."""
        several = tuple(concept for concept in concepts if concept)
        if len(several) < 2:
            return self.concept(several[0] if several else None)
        key = tuple(map(_key, several))
        if (known := self._concepts.get(key)) is None:
            known = self._concepts[key] = merge_concepts(several, self.terms)
        return known

    def sites(
        self, concepts: Sequence[CodeableConcept], body_sites: Sequence[CodeableConcept] = ()
    ) -> tuple[Site, ...]:
        """The body sites named by diagnoses, with the side that a body site adds."""
        if not concepts and not body_sites:
            return ()
        named = [site for concept in concepts for site in self.terms.sites(self.concept(concept))]
        places = [site for body in body_sites for site in self.terms.sites(self.concept(body))]
        side = next(filter(None, (self.terms.side(self.concept(body)) for body in body_sites)), None)
        chosen = named or places
        return tuple(dict.fromkeys(Site(s.region, s.side or _side_at(places, s.region) or side) for s in chosen))


@lru_cache(maxsize=64)
def _owners_of(shape: type[Shape]) -> tuple[str, ...]:
    """The fields of a shape that say whose it is."""
    return tuple(name for name in ("subject", "patient", "for_") if hasattr(shape, name))


def _key(concept: CodeableConcept) -> tuple[object, ...]:
    return (concept.text, *[(coding.system, coding.code, coding.display) for coding in concept.coding])


def _side_at(places: Iterable[Site], region: str) -> str | None:
    return next((place.side for place in places if place.region == region and place.side), None)


NO_CONCEPT = Concept()
NO_DATE = Days(None, None, text="undated")
