"""FHIR data types and resources as this service reads them: only the fields that a rule may need.

Decoding into these shapes, and not into whole models, is what keeps an answer quick (docs/performance.md).
Every field may be missing. A resource that does not fit its shape is read again field by field
(`read_shape`): what fits is kept, what does not is told.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from cds.model import Code, Concept
from cds.terminology import Terminology


class Shape(msgspec.Struct, kw_only=True, rename={"class_": "class"}, gc=False):
    """The base of every shape: keyword only, and nobody changes one after it was decoded."""


class Coding(Shape):
    """Coding."""

    system: str = ""
    code: str = ""
    display: str = ""


class CodeableConcept(Shape):
    """CodeableConcept."""

    coding: tuple[Coding, ...] = ()
    text: str = ""


class Identifier(Shape):
    """Identifier."""

    system: str = ""
    value: str = ""


class Reference(Shape):
    """Reference, literal or logical."""

    reference: str = ""
    type: str = ""
    identifier: Identifier | None = None
    display: str = ""


class Quantity(Shape):
    """Quantity or SimpleQuantity."""

    value: float | None = None
    comparator: str = ""
    unit: str = ""
    system: str = ""
    code: str = ""


class Range(Shape):
    """Range."""

    low: Quantity | None = None
    high: Quantity | None = None


class Period(Shape):
    """Period."""

    start: str = ""
    end: str = ""


class TimingRepeat(Shape):
    """Timing.repeat: the parts that say how many visits."""

    boundsPeriod: Period | None = None
    boundsDuration: Quantity | None = None
    boundsRange: Range | None = None
    count: int | None = None
    countMax: int | None = None
    frequency: int | None = None
    frequencyMax: int | None = None
    period: float | None = None
    periodMax: float | None = None
    periodUnit: str = ""


class TimingShape(Shape):
    """Timing."""

    event: tuple[str, ...] = ()
    repeat: TimingRepeat | None = None
    code: CodeableConcept | None = None


T = TypeVar("T", bound=Shape)


@lru_cache(maxsize=64)
def _decoder(shape: type[Shape]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


def read_shape(payload: bytes | memoryview, shape: type[T]) -> tuple[T | None, tuple[str, ...]]:
    """The resource in its shape, and what of it could not be read (`field: why`).

    None where it is no JSON object at all. Reasons name types and fields, never values of the patient.
    """
    try:
        return _decoder(shape).decode(payload), ()
    except msgspec.ValidationError:
        pass
    except msgspec.DecodeError as problem:
        return None, (f"it is not JSON ({problem})",)
    data = msgspec.json.decode(payload)
    if not isinstance(data, dict):
        return None, ("it is not a JSON object",)
    return fit(data, shape)


def fit(data: dict[str, Any], shape: type[T]) -> tuple[T, tuple[str, ...]]:
    """Fill a shape from a parsed object field by field; say which fields did not fit, and why."""
    kept: dict[str, Any] = {}
    problems: list[str] = []
    for field in msgspec.structs.fields(shape):
        if (value := data.get(field.encode_name)) is None:
            continue
        try:
            kept[field.name] = msgspec.convert(value, field.type)
        except msgspec.ValidationError as problem:
            whole = _salvage(value, field.type)
            if whole is not None:
                kept[field.name] = whole
            problems.append(f"{field.encode_name}: {problem}")
    return shape(**kept), tuple(problems)


def _salvage(value: object, kind: object) -> tuple[Any, ...] | None:
    """The items of a list that do fit, where the list as a whole does not; a lone object as a list of one."""
    item = getattr(kind, "__args__", (None,))[0]
    if getattr(kind, "__origin__", None) is not tuple or item is None:
        return None
    fitting: list[Any] = []
    for entry in value if isinstance(value, list) else [value]:
        try:
            fitting.append(msgspec.convert(entry, item))
        except msgspec.ValidationError:
            continue
    return tuple(fitting)


def to_code(coding: Coding, terms: Terminology) -> Code:
    """A Coding with the short name of its system."""
    return Code(terms.system(coding.system), coding.code, coding.display)


def to_concept(concept: CodeableConcept | None, terms: Terminology) -> Concept:
    """A CodeableConcept in the words of the house; empty codings (`{}`) are left out."""
    if concept is None:
        return Concept()
    codes = tuple(to_code(coding, terms) for coding in concept.coding if coding.code or coding.display)
    return Concept(codes, concept.text)


def merge_concepts(concepts: tuple[CodeableConcept, ...], terms: Terminology) -> Concept:
    """Several concepts as one, for questions such as "is any of them therapy?"."""
    read = [to_concept(concept, terms) for concept in concepts]
    return Concept(tuple(c for each in read for c in each.codes), " ".join(each.text for each in read if each.text))


def local_reference(reference: str) -> str:
    """`Type/id` of a literal reference, whether relative, absolute or versioned; others as they are.

    >>> local_reference("https://ehr.example.org/fhir/Encounter/7/_history/2")
    'Encounter/7'
    >>> local_reference("urn:uuid:1f")
    'urn:uuid:1f'
    """
    if not reference or reference.startswith(("urn:", "#")):
        return reference
    parts = reference.split("/_history/")[0].rstrip("/").split("/")
    return "/".join(parts[-2:])
