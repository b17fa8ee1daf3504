"""Outcome measures, impairment measures and statements: from Observations and QuestionnaireResponses.

A score is found by its own code; by the code of its panel's components or members; by the generic
patient-reported panel with the instrument's name in it; by a local name; or by the Questionnaire's
canonical. A score outside its instrument's range, or one that says it is absent, is noted and not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite

import msgspec

from cds.fhir import shapes
from cds.fhir.elements import CodeableConcept, Quantity
from cds.fhir.once import once
from cds.fhir.reading import NO_DATE, Reading
from cds.fhir.responses import read_responses
from cds.fhir.scales import PLAINLY, scale_of
from cds.instruments import Instrument, number_in
from cds.model import Concept, Days, Fact, Measure, Resource, Statement
from cds.terminology import once as once_asked

_NAME_CODES = ("89195-2", "89190-3")
_SCORE_CODES = ("89194-5", "89191-1")
_PANEL_CODES = ("89196-0", "89197-8")
_OF_PANELS = frozenset((*_SCORE_CODES, *_PANEL_CODES))
_UNUSED = ("entered-in-error", "cancelled")
_PRELIMINARY = ("preliminary", "registered", "in-progress")
Found = tuple[Instrument, str | None]


class _Value(msgspec.Struct, frozen=True):
    """A value of any of the types that are read. A struct: one is made for each Observation."""

    number: float | None = None
    text: str = ""
    truth: bool | None = None
    concept: Concept | None = None
    unit: str = ""

    @property
    def plain(self) -> bool | float | str | None:
        if self.truth is not None:
            return self.truth
        return self.number if self.number is not None else (self.text or (self.concept.label if self.concept else None))


def read_measures(
    reading: Reading, by_type: Mapping[str, Sequence[Resource]]
) -> tuple[tuple[Measure, ...], tuple[Statement, ...]]:
    """All measures (each measurement once) and all other statements, oldest first."""
    observations = _Observations(reading, by_type.get("Observation", ()))
    measures, statements = observations.read()
    answered, answers = read_responses(reading, by_type.get("QuestionnaireResponse", ()))
    told = sorted([*statements, *answers], key=_when)
    return once([*measures, *answered], observations.derived), tuple(told)


# --------------------------------------------------------------------------------------------- observations


class _Observations:
    def __init__(self, reading: Reading, resources: Iterable[Resource]) -> None:
        self.reading = reading
        self.all = {
            resource.reference: observation
            for resource, observation in reading.each(resources, shapes.Observation, Fact.MEASURES)
            if observation.status not in _UNUSED
        }
        self.derived = {
            ref: source
            for source, o in self.all.items()
            if o.derivedFrom or o.hasMember
            for ref in reading.refs((*o.derivedFrom, *o.hasMember))
        }

    def read(self) -> tuple[list[Measure], list[Statement]]:
        measures: list[Measure] = []
        statements: list[Statement] = []
        for source, observation in self.all.items():
            # Most of a chart is neither a measure nor has components: it is a statement and nothing else.
            concept = self.reading.concept(observation.code)
            whole = observation.component or self._may_measure(concept)
            found = list(self._measures_of(source, observation)) if whole else []
            measures += found
            if not found and (statement := self._statement_of(source, observation, concept)):
                statements.append(statement)
            if observation.component:
                statements += self._safety_items(source, observation)
        return measures, statements

    def _may_measure(self, concept: Concept) -> bool:
        """Whether an Observation without components may be a measure, or a score that nobody can name."""
        return once_asked(
            concept,
            "may-measure",
            lambda: self._instrument(concept) is not None or any(code.code in _OF_PANELS for code in concept.codes),
        )

    def _safety_items(self, source: str, observation: shapes.Observation) -> Iterator[Statement]:
        """Answers to a safety item that are told as components of a panel."""
        for component in observation.component:
            concept, value = self.reading.concept(component.code), self._value_of(component)
            if value.plain is not None and self.reading.terms.asks_safety(concept):
                yield Statement(concept, value.plain, self._day_of(source, observation), source, value.concept)

    def _measures_of(self, source: str, observation: shapes.Observation) -> Iterator[Measure]:
        concept = self.reading.concept(observation.code)
        codes = {code.code for code in concept.codes}
        if codes & set(_PANEL_CODES):
            yield from self._generic_panel(source, observation)
            return
        if found := self._instrument(concept):
            yield from self._measure(source, observation, found, self._value_of(observation), observation.code)
        elif codes & set(_SCORE_CODES) and source not in self.derived:
            self.reading.note(source, "a score whose instrument is not named, or not in the catalogue", Fact.MEASURES)
        for component in observation.component:
            if part := self._instrument(self.reading.concept(component.code)):
                yield from self._measure(source, observation, part, self._value_of(component), component.code)

    def _instrument(self, concept: Concept) -> Found | None:
        """By code; else by the text or a display of a code that is not a standard one (local names)."""
        return self.reading.terms.measure_named(concept)

    def _generic_panel(self, source: str, observation: shapes.Observation) -> Iterator[Measure]:
        """LOINC 89196-0 and 89197-8: the name in one component or member, the score in another."""
        parts: list[shapes.Observation | shapes.ObservationComponent] = list(observation.component)
        members = self.reading.refs(observation.hasMember)
        parts += [self.all[ref] for ref in sorted(members) if ref in self.all]
        name, score = "", _Value()
        for part in parts:
            codes = {code.code for code in self.reading.concept(part.code).codes}
            if codes & set(_NAME_CODES):
                value = self._value_of(part)
                name = value.text or (value.concept.label if value.concept else "")
            elif codes & set(_SCORE_CODES):
                score = self._value_of(part)
        name = name or self.reading.concept(observation.code).text
        if found := self.reading.terms.measure_for_name(name):
            yield from self._measure(source, observation, found, score, None)
        else:
            self.reading.note(source, "a measure panel whose instrument is not in the catalogue", Fact.MEASURES)

    def _measure(
        self,
        source: str,
        observation: shapes.Observation,
        found: Found,
        value: _Value,
        code: CodeableConcept | None,
    ) -> Iterator[Measure]:
        instrument, subscale = found
        if value.plain is None:
            self._note_absent(source, observation, instrument)
            return
        text = value.text or (value.concept.label if value.concept else "")
        score = value.number if value.number is not None else _score_in(text, instrument)
        if score is None and not instrument.impairment:
            self.reading.note(source, f"a {instrument.name} score that is no number", Fact.MEASURES)
            return
        concept = self.reading.concept(code)
        told = PLAINLY
        if score is not None:
            told = scale_of(instrument, subscale, score, value.unit, self.reading.terms.scale_of_code(concept))
        if told.problem:
            self.reading.note(source, told.problem, Fact.MEASURES if told.impossible else None)
        if told.impossible:
            return
        body = (observation.bodySite,) if observation.bodySite else ()
        yield Measure(
            instrument=instrument.id,
            subscale=subscale,
            score=None if told.problem else score,
            day=self._day_of(source, observation),
            sources=(source,),
            side=next(filter(None, (self.reading.terms.side(self.reading.concept(site)) for site in body)), None),
            text=told.text or text,
            preliminary=observation.status in _PRELIMINARY,
            scale=told.scale,
            group=concept.label.casefold() if instrument.data.get("ordinal") else "",
        )

    def _note_absent(self, source: str, observation: shapes.Observation, instrument: Instrument) -> None:
        """A score that is not there: said to be absent, or of a kind that is no number (`< 5`, a range)."""
        if observation.dataAbsentReason is not None:
            self.reading.note(source, f"a {instrument.name} score that is said to be absent")
        elif not (observation.component or observation.hasMember):
            self.reading.note(source, f"a {instrument.name} score that cannot be read", Fact.MEASURES)

    def _day_of(self, source: str, observation: shapes.Observation) -> Days:
        moment = observation.effectiveDateTime or observation.effectiveInstant
        days = self.reading.when(source, moment, observation.effectivePeriod, Fact.MEASURES)
        return days or self.reading.days(source, observation.issued, Fact.MEASURES) or NO_DATE

    def _statement_of(self, source: str, observation: shapes.Observation, concept: Concept) -> Statement | None:
        value = self._value_of(observation)
        plain = value.plain
        if plain is None and observation.dataAbsentReason is not None:
            return None
        return Statement(concept, plain, self._day_of(source, observation), source, value.concept)

    def _value_of(self, item: shapes.Observation | shapes.ObservationComponent) -> _Value:
        if item.dataAbsentReason is not None:
            return _Value()
        if item.valueQuantity is not None:
            return _Value(number=_quantity(item.valueQuantity), unit=item.valueQuantity.code or item.valueQuantity.unit)
        if item.valueInteger is not None:
            return _Value(number=float(item.valueInteger))
        if item.valueBoolean is not None:
            return _Value(truth=item.valueBoolean)
        concept = self.reading.concept(item.valueCodeableConcept) if item.valueCodeableConcept else None
        return _Value(text=item.valueString or (concept.text if concept else ""), concept=concept)


def _quantity(quantity: Quantity) -> float | None:
    return None if quantity.comparator or quantity.value is None or not isfinite(quantity.value) else quantity.value


def _score_in(text: str, instrument: Instrument) -> float | None:
    """The number that a text is, or the rank of the grade that it names."""
    number = number_in(text)
    return instrument.grade(text) if number is None else number


def _when(statement: Statement) -> tuple[str, str]:
    return statement.day.first.isoformat() if statement.day.first else "", statement.source
