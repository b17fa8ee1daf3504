"""The least of a resource that has to be kept so that its reading can be repeated: the fields that were read.

No narrative, no name, no display of a reference, no birth date. Free text is kept only where the vocabularies
understand it: an answer to a question that they know, and of a document the phrases that tell of something. What is
kept reads to the very same facts, and the same complaints, as the resource itself (`tests/cds/fhir/test_least.py`).
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from types import NoneType
from typing import Any, get_args, get_origin

import msgspec

from cds.fhir import shapes
from cds.fhir.coverage import is_person
from cds.fhir.decoded import SHAPES as SHAPES
from cds.fhir.decoded import whole
from cds.fhir.elements import CodeableConcept, Coding, PayorReference, Shape, fit, to_concept
from cds.fhir.orders import BILLING_OPTIONS, OPTION_SHAPE, ORDER_SHAPE
from cds.fhir.responses import item_concept
from cds.model import Concept, Resource
from cds.terminology import Terminology

Json = dict[str, Any]
# What an odd server may send in the place of a Coding or CodeableConcept, and what is read of it all the same.
_ALSO_READ = ("concept", "coding", "text", "system", "code", "display")
_WORDED = (shapes.QuestionnaireResponse, shapes.DocumentReference)
_CODINGS = frozenset(("coding", "valueCoding"))
# Longer than the stretch before a phrase in which a denial is looked for: no phrase denies the next.
_APART = " " * 40
# As unreadable as the resource was, and for the same reason.
NOT_JSON = b"{"
TOO_DEEP = b"[" * 200_000
_ENCODER = msgspec.json.Encoder()


def least(resource: Resource, terms: Terminology) -> bytes:
    """The JSON that is kept of a resource; of a type that nothing reads, its type alone."""
    kept = least_fields(resource, terms)
    return kept if isinstance(kept, bytes) else _ENCODER.encode(kept)


def least_fields(resource: Resource, terms: Terminology) -> Shape | bytes:
    """What is kept of a resource: as it was decoded where that is all, to be encoded with the others; else its JSON."""
    shape = SHAPES.get(resource.type)
    if shape is None:
        return b"{}"
    read: Shape | None = resource.decoded or whole(resource)
    if read is None:
        return _least_of_odd(resource.payload, shape, terms)
    if not _is_worded(shape, read):
        return read
    return _ENCODER.encode(_hushed(shape, msgspec.to_builtins(read), terms))


def least_of_order(order: Mapping[str, Any]) -> Json:
    """The members of an order that are read (`cds.fhir.orders`), and its type and version.

    Texts of codes stay as they were written. Of extensions only Da Vinci's billing options on codes stay, of references
    no identifier and no display; where the subject has but an identifier, that there was one.
    """
    kept: Json = {"resourceType": order["resourceType"]} if "resourceType" in order else {}
    version = meta.get("versionId") if isinstance(meta := order.get("meta"), Mapping) else None
    if isinstance(version, str):
        kept["meta"] = {"versionId": version}
    kept |= {name: _nameless(name, value) for name, value in _pruned(dict(order), ORDER_SHAPE).items()}
    for name in ("code", "orderDetail"):
        if name in kept:
            kept[name] = _with_billing_options(kept[name], order[name])
    subject = order.get("subject")
    if isinstance(subject, Mapping):
        # A number in the place of a reference is the patient's own; that there was one is enough.
        number: Json = {"identifier": {}} if subject.get("identifier") else {}
        kept["subject"] = {"reference": subject["reference"]} if "reference" in subject else number
    return kept


def _nameless(name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON
    """A member without what names the one that a reference refers to, beside the reference itself."""
    if isinstance(value, list):
        return [_nameless(name, item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        inner: _nameless(inner, content)
        for inner, content in value.items()
        if inner != "identifier" and (inner != "display" or name in _CODINGS or "code" in value)
    }


def _with_billing_options(kept: Any, sent: Any) -> Any:  # noqa: ANN401 - any JSON
    """A code as it is kept, or each of several, with the billing options that were sent with it."""
    if isinstance(kept, list) and isinstance(sent, list):
        return [_with_billing_options(*pair) for pair in zip(kept, sent, strict=True)]
    if isinstance(kept, dict) and isinstance(sent, Mapping) and (options := _billing_options(sent.get("extension"))):
        return kept | {"extension": [_pruned(each, OPTION_SHAPE) for each in options]}
    return kept


def _billing_options(extensions: object) -> list[Json]:
    return [each for each in _objects(extensions) if each.get("url") == BILLING_OPTIONS]


def _least_of_odd(payload: bytes | memoryview, shape: type[Shape], terms: Terminology) -> bytes:
    """The read fields of a resource that does not fit its shape, as wrong as they are."""
    try:
        data = json.loads(bytes(payload).decode("utf-8", "replace"))
    except ValueError:
        return NOT_JSON
    except RecursionError:
        return TOO_DEEP
    if not isinstance(data, dict):
        return b"[]"
    kept = _pruned(data, shape)
    return json.dumps(_hushed(shape, kept, terms), separators=(",", ":")).encode()


def _pruned(value: Any, kind: Any) -> Any:  # noqa: ANN401 - any JSON, any type of a field
    """A value with only what a reader of this type looks at."""
    shape = _shape_in(kind)
    if isinstance(value, list):
        return [_pruned(item, kind) for item in value]
    if not isinstance(value, dict):
        return value
    if shape is None:
        return {}
    fields = _members_of(shape)
    return {name: _inner(value[name], shape, name, fields[name]) for name in fields if name in value}


@lru_cache(maxsize=128)
def _members_of(shape: type[Shape]) -> Mapping[str, Any]:
    """The members that are read of a shape, and their types. Looked up once: each order that is kept needs them."""
    fields: Json = {field.encode_name: field.type for field in msgspec.structs.fields(shape)}
    if shape in (Coding, CodeableConcept) or issubclass(shape, Coding):
        fields |= {name: CodeableConcept if name in ("concept", "coding") else str for name in _ALSO_READ}
    return fields


def _inner(value: Any, shape: type[Shape], name: str, kind: Any) -> Any:  # noqa: ANN401 - any JSON
    """A member; what R5 nests under `reference` is read as a reference too."""
    return _pruned(value, shape if name == "reference" and isinstance(value, dict) else kind)


@lru_cache(maxsize=256)
def _shape_in(kind: Any) -> type[Shape] | None:  # noqa: ANN401 - any type of a field
    """The shape in `X`, `X | None` or `tuple[X, ...]`."""
    if get_origin(kind) is tuple:
        return _shape_in(get_args(kind)[0])
    if isinstance(kind, type):
        return kind if issubclass(kind, Shape) else None
    return next((found for part in get_args(kind) if part is not NoneType and (found := _shape_in(part))), None)


# ------------------------------------------------------------------------------------------------ free text


def _is_worded(shape: type[Shape], read: Any) -> bool:  # noqa: ANN401 - an instance of the shape
    """Whether a resource holds free text that may name somebody."""
    if shape is shapes.Observation:
        return bool(read.valueString or (read.component and any(part.valueString for part in read.component)))
    if shape is shapes.Coverage:
        return bool(read.contained) or any(map(is_person, read.payor))
    return shape in _WORDED


def _hushed(shape: type[Shape], data: Json, terms: Terminology) -> Json:
    """The kept fields without free text that no vocabulary understands."""
    if shape is shapes.Observation:
        for part in (data, *_objects(data.get("component"))):
            if "valueString" in part and not _knows(_concept_of(part.get("code"), terms), terms):
                part["valueString"] = _wordless(part["valueString"])
    elif shape is shapes.Coverage:
        _hush_coverage(data)
    elif shape is shapes.QuestionnaireResponse:
        _hush_items(data.get("item"), terms)
    elif shape is shapes.DocumentReference:
        _hush_document(data, terms)
    return data


def _hush_coverage(data: Json) -> None:
    """Of who pays for himself, and of contained persons, no name and no number: nothing reads them."""
    for payor in _objects(data.get("payor")):
        if "display" in payor and is_person(fit(payor, PayorReference)[0]):
            payor["display"] = _wordless(payor["display"])
    for inner in _objects(data.get("contained")):
        if inner.get("resourceType") not in (None, "", "Organization"):
            for part in (inner, *_objects(inner.get("identifier"))):
                part |= {name: _wordless(part[name]) for name in ("name", "system", "value") if name in part}


def _hush_items(items: object, terms: Terminology) -> None:
    for item in _objects(items):
        asked, _ = fit({name: item.get(name) for name in ("linkId", "text", "definition")}, shapes.ResponseItem)
        known = _knows(item_concept(asked), terms)
        for answer in _objects(item.get("answer")):
            if not known:
                # A name or a birth date is an answer like any other.
                answer |= {name: _wordless(answer[name]) for name in ("valueString", "valueDate") if name in answer}
            _hush_items(answer.get("item"), terms)
        _hush_items(item.get("item"), terms)


def _hush_document(data: Json, terms: Terminology) -> None:
    """Of its texts the phrases that tell of something, undenied."""
    if isinstance(text := data.get("description"), str):
        data["description"] = _phrases(text, terms)
    for content in _objects(data.get("content")):
        for attachment in _objects(content.get("attachment")):
            if "data" in attachment:
                told = _phrases(fit(attachment, shapes.Attachment)[0].text, terms)
                attachment["data"] = b64encode(told.encode()).decode()


def _wordless(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """A text as the empty one; what is no text stays what it is, and is complained of as it was."""
    if isinstance(value, list | tuple):
        return [_wordless(item) for item in value]
    return "" if isinstance(value, str) else value


def _phrases(text: str, terms: Terminology) -> str:
    found = (phrase for valueset in terms.valuesets.values() for phrase in valueset.phrases_in(text))
    return _APART.join(dict.fromkeys(found))


def _concept_of(code: object, terms: Terminology) -> Concept:
    if not isinstance(code, dict):
        return Concept()
    return to_concept(fit(code, CodeableConcept)[0], terms)


def _knows(concept: Concept, terms: Terminology) -> bool:
    """Whether the vocabularies know a question, so that its answer may bear on a criterion."""
    if terms.measure_named(concept) is not None or terms.asks_safety(concept) is not None:
        return True
    return any(valueset.matches(concept) for valueset in terms.valuesets.values())


def _objects(value: object) -> list[Json]:
    """The objects in a list, or a lone one in a list's place."""
    entries = value if isinstance(value, list | tuple) else [value]
    return [entry for entry in entries if isinstance(entry, dict)]
