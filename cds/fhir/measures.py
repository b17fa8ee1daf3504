"""Outcome measures, impairment measures and statements: from Observations and QuestionnaireResponses.

A score is found by its own code; by the code of its panel's components or members; by the generic
patient-reported panel with the instrument's name in it; by a local name; or by the Questionnaire's
canonical. A score outside its instrument's range, or one that says it is absent, is noted and not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from cds.fhir import shapes
from cds.fhir.elements import CodeableConcept, Quantity
from cds.fhir.reading import NO_DATE, Reading
from cds.instruments import Instrument, link_code
from cds.model import Code, Concept, Days, Fact, Measure, Resource, Statement

_NAME_CODES = ("89195-2", "89190-3")
_SCORE_CODES = ("89194-5", "89191-1")
_PANEL_CODES = ("89196-0", "89197-8")
_UNUSED = ("entered-in-error", "cancelled")
_WEIGHTS = (
    "http://hl7.org/fhir/StructureDefinition/ordinalValue",
    "http://hl7.org/fhir/StructureDefinition/itemWeight",
    "http://hl7.org/fhir/StructureDefinition/iso21090-CO-value",
)
_PRELIMINARY = ("preliminary", "registered", "in-progress")
Found = tuple[Instrument, str | None]


@dataclass(frozen=True)
class _Value:
    """A value of any of the types that are read."""

    number: float | None = None
    text: str = ""
    truth: bool | None = None
    concept: Concept | None = None

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
    for resource, response in reading.each(
        by_type.get("QuestionnaireResponse", ()), shapes.QuestionnaireResponse, Fact.MEASURES
    ):
        if response.status in _UNUSED:
            continue
        day = reading.days(resource.reference, response.authored, Fact.MEASURES) or NO_DATE
        told = [_answer_statement(reading, resource.reference, day, *item) for item in _answers(response.item)]
        if response.status not in ("completed", "amended", ""):
            # Nobody waits for the end of a form where a patient has told of self-harm.
            statements += [statement for statement in told if reading.terms.asks_safety(statement.concept)]
            continue
        statements += told
        instrument = reading.terms.measure_for_questionnaire(response.questionnaire)
        if instrument is not None:
            preliminary = response.status == "in-progress"
            measures.append(Measure(instrument.id, None, None, day, (resource.reference,), preliminary=preliminary))
    return _once(measures, observations.derived), tuple(sorted(statements, key=_when))


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
            ref: source for source, o in self.all.items() for ref in reading.refs((*o.derivedFrom, *o.hasMember))
        }

    def read(self) -> tuple[list[Measure], list[Statement]]:
        measures: list[Measure] = []
        statements: list[Statement] = []
        for source, observation in self.all.items():
            found = list(self._measures_of(source, observation))
            measures += found
            if not found and (statement := self._statement_of(source, observation)):
                statements.append(statement)
            statements += self._safety_items(source, observation)
        return measures, statements

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
            yield from self._measure(source, observation, found, self._value_of(observation))
        for component in observation.component:
            if part := self._instrument(self.reading.concept(component.code)):
                yield from self._measure(source, observation, part, self._value_of(component))

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
            yield from self._measure(source, observation, found, score)
        else:
            self.reading.note(source, "a measure panel whose instrument is not in the catalogue")

    def _measure(self, source: str, observation: shapes.Observation, found: Found, value: _Value) -> Iterator[Measure]:
        instrument, subscale = found
        if value.plain is None:
            self._note_absent(source, observation, instrument)
            return
        text = value.text or (value.concept.label if value.concept else "")
        score = value.number if value.number is not None else _number(text)
        if score is None and not instrument.impairment:
            self.reading.note(source, f"a {instrument.name} score that is no number", Fact.MEASURES)
            return
        if score is not None and (problem := _out_of_range(instrument, subscale, score)):
            self.reading.note(source, problem, Fact.MEASURES)
            return
        body = (observation.bodySite,) if observation.bodySite else ()
        yield Measure(
            instrument=instrument.id,
            subscale=subscale,
            score=score,
            day=self._day_of(source, observation),
            sources=(source,),
            side=next(filter(None, (self.reading.terms.side(self.reading.concept(site)) for site in body)), None),
            text=text,
            preliminary=observation.status in _PRELIMINARY,
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

    def _statement_of(self, source: str, observation: shapes.Observation) -> Statement | None:
        value = self._value_of(observation)
        concept = self.reading.concept(observation.code)
        if value.plain is None and observation.dataAbsentReason is not None:
            return None
        return Statement(concept, value.plain, self._day_of(source, observation), source, value.concept)

    def _value_of(self, item: shapes.Observation | shapes.ObservationComponent) -> _Value:
        if item.dataAbsentReason is not None:
            return _Value()
        if item.valueQuantity is not None:
            return _Value(number=_quantity(item.valueQuantity))
        if item.valueInteger is not None:
            return _Value(number=float(item.valueInteger))
        if item.valueBoolean is not None:
            return _Value(truth=item.valueBoolean)
        concept = self.reading.concept(item.valueCodeableConcept) if item.valueCodeableConcept else None
        return _Value(text=item.valueString or (concept.text if concept else ""), concept=concept)


def _quantity(quantity: Quantity) -> float | None:
    return None if quantity.comparator or quantity.value is None or not isfinite(quantity.value) else quantity.value


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def _out_of_range(instrument: Instrument, subscale: str | None, score: float) -> str | None:
    limits = instrument.range(subscale)
    if limits is None or limits[0] <= score <= limits[1]:
        return None
    return f"a {instrument.name} score outside its range of {limits[0]:g} to {limits[1]:g} was not used"


# ----------------------------------------------------------------------------------------- questionnaire items


def _answers(items: Iterable[shapes.ResponseItem]) -> Iterator[tuple[shapes.ResponseItem, shapes.Answer]]:
    for item in items:
        for answer in item.answer:
            yield item, answer
            yield from _answers(answer.item)
        yield from _answers(item.item)


def _answer_statement(
    reading: Reading, source: str, day: Days, item: shapes.ResponseItem, answer: shapes.Answer
) -> Statement:
    coding = answer.valueCoding
    concept = reading.concept(CodeableConcept(coding=(coding,))) if coding else None
    number = next((n for n in (answer.valueDecimal, answer.valueInteger) if n is not None), None)
    if number is None and answer.valueQuantity is not None:
        number = answer.valueQuantity.value
    value = _Value(number, answer.valueString or answer.valueDate, answer.valueBoolean, concept)
    asked = Concept((Code("", item.linkId), *_defined(item.definition)), item.text)
    return Statement(asked, value.plain, day, source, concept, _weight(coding))


def _defined(definition: str) -> tuple[Code, ...]:
    """The LOINC code that an item's definition names."""
    return (Code("loinc", link_code(definition)),) if definition.startswith("http://loinc.org/") else ()


def _weight(coding: shapes.AnswerCoding | None) -> float | None:
    """What a form says that a coded answer is worth (the ordinal value of R4, the item weight of R5)."""
    found = (e.valueDecimal for e in coding.extension if e.url in _WEIGHTS) if coding else ()
    return next((weight for weight in found if weight is not None), None)


# -------------------------------------------------------------------------------------------------- de-doubling


def _once(measures: Iterable[Measure], derived: Mapping[str, str]) -> tuple[Measure, ...]:
    """The same measurement told twice is one: derived from, member of, or same instrument, day and score.

    A response without a score gives way to a score of the same instrument on the same day.
    """
    kept: dict[tuple[object, ...], Measure] = {}
    for measure in measures:
        if measure.score is None and any(source in derived for source in measure.sources):
            continue
        key = (
            measure.instrument,
            measure.subscale,
            measure.side,
            measure.day.first,
            measure.day.last,
            measure.score,
            measure.text if measure.score is None else "",
        )
        if twin := kept.get(key):
            sources = tuple(dict.fromkeys((*twin.sources, *measure.sources)))
            kept[key] = replace(twin, sources=sources, preliminary=twin.preliminary and measure.preliminary)
        else:
            kept[key] = measure
    scored = {(m.instrument, m.day.first) for m in kept.values() if m.score is not None}
    whole = [m for m in kept.values() if m.score is not None or m.text or (m.instrument, m.day.first) not in scored]
    return tuple(sorted(whole, key=_order))


def _when(statement: Statement) -> tuple[str, str]:
    return statement.day.first.isoformat() if statement.day.first else "", statement.source


def _order(measure: Measure) -> tuple[str, str, str, float]:
    first = measure.day.first.isoformat() if measure.day.first else ""
    return first, measure.instrument, measure.subscale or "", measure.score or 0.0
