"""QuestionnaireResponses: every answer as a statement, and the score where it is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cds.fhir import shapes
from cds.fhir.elements import CodeableConcept
from cds.fhir.reading import NO_DATE, Reading
from cds.fhir.scoring import Scored, scores_told, sum_up
from cds.instruments import Instrument, link_code
from cds.model import Code, Concept, Days, Fact, Measure, Resource, Statement

_WEIGHTS = (
    "http://hl7.org/fhir/StructureDefinition/ordinalValue",
    "http://hl7.org/fhir/StructureDefinition/itemWeight",
    "http://hl7.org/fhir/StructureDefinition/iso21090-CO-value",
)


def read_responses(reading: Reading, resources: Iterable[Resource]) -> tuple[list[Measure], list[Statement]]:
    """The scores of completed responses, and their answers."""
    measures: list[Measure] = []
    statements: list[Statement] = []
    for resource, response in reading.each(resources, shapes.QuestionnaireResponse, Fact.MEASURES):
        if response.status == "entered-in-error":
            continue
        day = reading.days(resource.reference, response.authored, Fact.MEASURES) or NO_DATE
        told = [_answer_statement(reading, resource.reference, day, *item) for item in _answers(response.item)]
        if response.status not in ("completed", "amended", ""):
            # Nobody waits for the end of a form where a patient has told of self-harm.
            statements += [statement for statement in told if reading.terms.asks_safety(statement.concept)]
            continue
        statements += told
        instrument = reading.terms.measure_for_questionnaire(response.questionnaire)
        measures += _measures(reading, resource.reference, day, instrument, told)
    return measures, statements


def _measures(
    reading: Reading, source: str, day: Days, instrument: Instrument | None, told: list[Statement]
) -> Iterator[Measure]:
    """The scores that a response tells; else what its answers come to, where its instrument is known."""
    found = scores_told(told, reading.terms)
    if instrument is not None and not any(scored.instrument is instrument for scored in found):
        found.append(sum_up(told, instrument) or Scored(instrument))
    for scored in found:
        if scored.told.problem:
            reading.note(source, scored.told.problem, Fact.MEASURES if scored.told.impossible else None)
        if not scored.told.impossible:
            yield Measure(
                scored.instrument.id,
                scored.subscale,
                None if scored.told.problem else scored.score,
                day,
                (source,),
                text=scored.told.text or scored.text,
                scale=scored.told.scale,
            )


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
    text = answer.valueString or answer.valueDate or (concept.label if concept else None)
    value = answer.valueBoolean if answer.valueBoolean is not None else (text if number is None else number)
    return Statement(item_concept(item), value, day, source, concept, _weight(coding))


def item_concept(item: shapes.ResponseItem) -> Concept:
    """What an item asks: by its link, by the code that its definition names, and in its own words."""
    return Concept((Code("", item.linkId), *_defined(item.definition)), item.text)


def _defined(definition: str) -> tuple[Code, ...]:
    """The LOINC code that an item's definition names."""
    return (Code("loinc", link_code(definition)),) if definition.startswith("http://loinc.org/") else ()


def _weight(coding: shapes.AnswerCoding | None) -> float | None:
    """What a form says that a coded answer is worth (the ordinal value of R4, the item weight of R5)."""
    found = (e.valueDecimal for e in coding.extension if e.url in _WEIGHTS) if coding else ()
    return next((weight for weight in found if weight is not None), None)
