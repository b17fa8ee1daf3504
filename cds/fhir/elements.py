"""FHIR data types and resources as this service reads them: only the fields that a rule may need.

Decoding into these shapes, and not into whole models, is what keeps an answer quick (docs/performance.md).
Every field may be missing. A resource that does not fit its shape is read again field by field
(`read_shape`): what fits is kept, what does not is told.
"""

from __future__ import annotations

import json
from functools import lru_cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from cds.model import Code, Concept
from cds.terminology import Terminology


class Shape(msgspec.Struct, kw_only=True, rename={"class_": "class", "for_": "for"}, gc=False, omit_defaults=True):
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
    """Reference, literal or logical. Not its display: that is mostly somebody's name."""

    reference: str = ""
    type: str = ""
    identifier: Identifier | None = None


class PayorReference(Reference):
    """A reference to who pays, with its display: where nothing else names the payer, that does."""

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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    # Python's own reader takes more: numbers without bounds, and, with a mark in their place, broken letters.
    try:
        data = json.loads(bytes(payload).decode("utf-8", "replace"))
    except ValueError as problem:
        return None, (f"it is not JSON ({type(problem).__name__})",)
    except RecursionError:
        return None, ("it is nested too deeply",)
    if not isinstance(data, dict):
        return None, ("it is not a JSON object",)
    return fit(data, shape)


def fit(data: dict[str, Any], shape: type[T]) -> tuple[T, tuple[str, ...]]:
    """Fill a shape from a parsed object field by field; say which fields lost something, and why.

    What can be read whole after all (a lone object for a list, a list of one for an object, a number in
    quotes, the shapes of FHIR R5, members that are null) is no problem.
    """
    try:
        return msgspec.convert(data, shape), ()  # most are as they should be, and need not be gone through
    except msgspec.ValidationError:
        pass
    kept: dict[str, Any] = {}
    problems: list[str] = []
    for field in _fields(shape):
        if (value := _without_nulls(data.get(field.encode_name))) is None:
            continue
        try:
            kept[field.name] = msgspec.convert(value, field.type)
        except msgspec.ValidationError as problem:
            mended, whole = _mend(value, field.type)
            if mended is not None:
                kept[field.name] = mended
            if not whole:
                problems.append(f"{field.encode_name}: {problem}")
    return shape(**kept), tuple(problems)


@lru_cache(maxsize=64)
def _fields(shape: type[Shape]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(shape)


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """A JSON value without null members, which FHIR does not know but servers send."""
    if isinstance(value, dict):
        return {key: _without_nulls(member) for key, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value


def _mend(value: object, kind: Any) -> tuple[Any, bool]:  # noqa: ANN401 - any type of a field
    """What of a value fits a field's type after all, and whether that is the whole of it."""
    entries = value if isinstance(value, list) else [value]
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        read = [_mend_one(entry, item) for entry in entries]
        return tuple(found for found, _ in read if found is not None), all(whole for _, whole in read)
    item = next((arg for arg in get_args(kind) if arg is not NoneType), kind)
    read = [_mend_one(entry, item) for entry in entries]
    first = next(((found, whole) for found, whole in read if found is not None), (None, False))
    return first[0], first[1] and len(entries) == 1


def _mend_one(entry: object, kind: Any) -> tuple[Any, bool]:  # noqa: ANN401 - any type of a field
    if isinstance(kind, type) and issubclass(kind, Shape):
        entry = _recast(entry, kind)
        if isinstance(entry, dict):
            shape, problems = fit(entry, kind)
            return shape, not problems
        return None, False
    if isinstance(entry, float) and entry.is_integer():
        entry = int(entry)
    if kind is str and isinstance(entry, int | float):
        return None, False
    try:
        return msgspec.convert(entry, kind, strict=False), True
    except msgspec.ValidationError:
        return None, False


def _recast(entry: object, kind: type[Shape]) -> object:
    """The same thing under another type: a Coding as a CodeableConcept, R5's CodeableReference, a bare text."""
    if isinstance(entry, str):
        texts = {CodeableConcept: {"coding": [{"code": entry}], "text": entry}, Reference: {"reference": entry}}
        return texts.get(Reference if issubclass(kind, Reference) else kind)
    if not isinstance(entry, dict):
        return entry
    inner = entry.get("concept" if kind in (Coding, CodeableConcept) else "reference")
    if isinstance(inner, dict):
        entry = inner
    if kind is Coding and isinstance(entry.get("coding"), list):
        return next((coding for coding in entry["coding"] if isinstance(coding, dict)), None)
    if kind is CodeableConcept and "coding" not in entry and isinstance(entry.get("code"), str):
        return {"coding": [entry]}
    return entry


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
    if reference.count("/") == 1 and reference[-1] != "/":
        return reference  # `Encounter/7` already, as nearly all are
    parts = reference.split("/_history/")[0].rstrip("/").split("/")
    return "/".join(parts[-2:])
