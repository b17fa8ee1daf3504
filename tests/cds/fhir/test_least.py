"""What is kept of a resource reads to the very same, and names nobody."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds.errors import MalformedRequest
from cds.fhir import shapes
from cds.fhir.coverage import read_coverages
from cds.fhir.elements import Shape, read_shape
from cds.fhir.least import SHAPES, least, least_of_order
from cds.fhir.orders import BILLING_OPTIONS, read_orders
from cds.fhir.reading import Reading
from cds.model import Resource
from cds.terminology import packaged
from tests.cds.build import LOINC, Json

MARK = "Marked-4711"
NAMES: Json = {
    "text": {"status": "generated", "div": f"<div>{MARK}</div>"},
    "name": [{"family": MARK, "given": [MARK]}],
    "birthDate": f"1988-05-01-{MARK}",
    "telecom": [{"system": "phone", "value": MARK}],
    "address": [{"line": [MARK]}],
    "contact": [{"name": {"family": MARK}}],
    "contained": [{"resourceType": "Patient", "id": "x", "name": [{"family": MARK}], "birthDate": MARK}],
    "note": [{"text": MARK, "authorString": MARK}],
    "performer": [{"display": MARK, "actor": {"display": MARK}}],
    "requester": {"reference": "Practitioner/1", "display": MARK},
    "recorder": {"display": MARK},
    "extension": [{"url": "https://example.org/name", "valueString": MARK}],
}
DATES = st.sampled_from(["2025-03-01", "2025-03", "2025", "2025-03-01T10:00:00Z", "not a day", ""])
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8) | DATES
SCALARS = st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS


def fields_of(shape: type[Shape]) -> dict[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(shape)}


def well_formed(kind: Any, depth: int) -> st.SearchStrategy[Any]:
    """Values of a field's type, as FHIR has them."""
    parts: tuple[Any, ...] = getattr(kind, "__args__", ())
    if kind is str:
        return TEXTS
    if kind in (bool, int, float):
        return {bool: st.booleans(), int: st.integers(0, 99), float: st.floats(-9, 999, allow_nan=False)}[kind]
    if isinstance(kind, type) and issubclass(kind, Shape):
        return members_of(kind, depth - 1)
    if getattr(kind, "__origin__", None) is tuple:
        return st.lists(well_formed(parts[0], depth), max_size=2)
    inner = next(part for part in parts if part is not type(None))
    return well_formed(inner, depth)


def odd(depth: int) -> st.SearchStrategy[Any]:
    """Values that are none of FHIR's: nulls, other types, R5's nesting, lists where an object belongs."""
    concept = st.fixed_dictionaries({"coding": st.lists(st.fixed_dictionaries({"code": TEXTS}), max_size=2)})
    reference = st.fixed_dictionaries({"reference": TEXTS})
    simple = (
        SCALARS
        | concept
        | reference
        | concept.map(lambda c: {"concept": c})
        | reference.map(lambda r: {"reference": r})
    )
    return simple | st.lists(simple, max_size=2) | st.just({}) | st.just([None])


def members_of(shape: type[Shape], depth: int, strange: bool = False) -> st.SearchStrategy[Json]:
    """Objects with any of a shape's members; with `strange`, some of them are not of their type."""
    if depth < 0:
        return st.just({})
    made = {name: well_formed(kind, depth) for name, kind in fields_of(shape).items()}
    if strange:
        made = {name: kind | odd(depth) for name, kind in made.items()}
    return st.fixed_dictionaries({}, optional=made)


def resources(strange: bool) -> st.SearchStrategy[tuple[str, Json]]:
    return st.sampled_from(sorted(SHAPES)).flatmap(
        lambda kind: members_of(SHAPES[kind], 3, strange).map(lambda body: (kind, body | {"resourceType": kind}))
    )


def kept_of(kind: str, payload: bytes) -> bytes:
    return least(Resource(kind, "1", memoryview(payload)), packaged())


def hushed(read: Any, shape: type[Shape]) -> Any:
    """What was read, as JSON, without the free text that is kept only where the vocabularies know it."""
    value = msgspec.to_builtins(read)
    for item in _objects(value):
        named = ("display", "contained") if shape is shapes.Coverage else ("valueDate", "description", "data")
        for name in ("valueString", *named):
            item.pop(name, None)
    return value


def _objects(value: Any) -> list[Json]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [*([value] if isinstance(value, dict) else []), *(found for each in inner for found in _objects(each))]


def check_alike(kind: str, payload: bytes) -> None:
    shape = SHAPES[kind]
    read, problems = read_shape(payload, shape)
    again, again_problems = read_shape(kept_of(kind, payload), shape)
    assert again_problems == problems
    if shape in (shapes.Observation, shapes.QuestionnaireResponse, shapes.DocumentReference, shapes.Coverage):
        assert hushed(again, shape) == hushed(read, shape)
    else:
        assert again == read


@given(resources(strange=False))
@settings(max_examples=300)
def test_the_same_is_read_when_a_resource_is_well_formed(case: tuple[str, Json]) -> None:
    kind, body = case
    check_alike(kind, json.dumps(body | {"meta": {"versionId": "3"}}).encode())


@given(resources(strange=True))
@settings(max_examples=600)
def test_the_same_is_read_when_a_resource_is_odd(case: tuple[str, Json]) -> None:
    kind, body = case
    check_alike(kind, json.dumps(body).encode())


@pytest.mark.parametrize("kind", sorted(SHAPES))
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"id": 1e999}',
        b'{"id": "\xff\xfe", "status": "\xc3"}',
        b'{"status": "final", "status": 3}',
        b'{"id": "1", "code": ' + b'{"concept":' * 30 + b"1" + b"}" * 31,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b'{"contained": "x", "meta": "x", "subject": [[]], "item": [[{}]], "component": [null, 3]}',
        b'{"contained": [{"resourceType": "Patient", "name": "x"}]}',
    ],
)
def test_the_same_is_read_when_the_bytes_are_broken(kind: str, payload: bytes) -> None:
    check_alike(kind, payload)


@given(resources(strange=False))
@settings(max_examples=300)
def test_no_name_survives_when_a_resource_holds_one(case: tuple[str, Json]) -> None:
    kind, body = case
    names = {name: value for name, value in NAMES.items() if name not in fields_of(SHAPES[kind]) or name == "contained"}
    if kind == "Organization":
        names.pop("name", None)
    for reference in _objects(body):
        if "reference" in reference and kind != "Coverage":
            reference["display"] = MARK
    assert MARK.encode() not in kept_of(kind, json.dumps(body | names).encode())


@pytest.mark.parametrize("odd_id", ["1", 4])
def test_no_name_or_number_survives_when_a_patient_pays_for_himself(odd_id: object) -> None:
    person = {"resourceType": "Patient", "id": "me", "name": MARK, "identifier": [{"system": MARK, "value": MARK}]}
    body = {
        "resourceType": "Coverage",
        "id": odd_id,
        "status": "active",
        "contained": [person, {"resourceType": "Organization", "id": "o", "name": "A plan"}],
        "payor": [
            {"reference": "#me"},
            {"reference": "Patient/p", "display": MARK},
            {"reference": "https://ehr.example.org/fhir/RelatedPerson/1", "display": MARK},
            {"type": "Patient", "display": MARK},
            {"reference": "#o", "display": "The plan"},
        ],
    }
    payload = json.dumps(body).encode()
    kept = kept_of("Coverage", payload)
    assert MARK.encode() not in kept
    assert b"A plan" in kept
    assert b"The plan" in kept
    read = [
        read_coverages(Reading(packaged(), "p"), [Resource("Coverage", "1", memoryview(each))], [])
        for each in (payload, kept)
    ]
    assert read[0] == read[1]
    assert MARK not in str(read[0])
    assert len(read[0]) == 1


@pytest.mark.parametrize("kind", ["Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person", "Group"])
def test_nothing_but_an_id_survives_when_the_resource_is_a_person(kind: str) -> None:
    body = NAMES | {"resourceType": kind, "id": "1", "identifier": [{"value": MARK}], "photo": [{"data": MARK}]}
    assert MARK.encode() not in kept_of(kind, json.dumps(body).encode())


def answers(*items: Json) -> Json:
    return {"resourceType": "QuestionnaireResponse", "id": "1", "item": list(items)}


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        answers({"linkId": "1", "text": "What is your name?", "answer": [{"valueString": MARK}]}),
        answers({"linkId": "2", "text": "Date of birth", "answer": [{"valueDate": MARK}]}),
        answers({"linkId": "3", "item": [{"linkId": "4", "answer": [{"valueString": MARK}]}]}),
        answers({"linkId": "5", "answer": [{"valueBoolean": True, "item": [{"answer": [{"valueString": MARK}]}]}]}),
        {"resourceType": "Observation", "code": {"text": "Contact"}, "valueString": MARK},
        {"resourceType": "Observation", "component": [{"code": {"text": "Contact"}, "valueString": MARK}]},
        {"resourceType": "DocumentReference", "description": f"Progress note of {MARK}"},
        {
            "resourceType": "DocumentReference",
            "content": [{"attachment": {"contentType": "text/plain", "data": b64encode(MARK.encode()).decode()}}],
        },
    ],
)
def test_free_text_is_not_kept_when_no_vocabulary_knows_it(body: Json, broken: bool) -> None:
    payload = json.dumps(body | ({"id": 4} if broken else {})).encode()
    kept = kept_of(body["resourceType"], payload)
    assert MARK.encode() not in kept
    assert b64encode(MARK.encode()) not in kept


def test_an_answer_is_kept_when_the_vocabularies_know_its_question() -> None:
    body = {
        "resourceType": "Observation",
        "code": {"coding": [{"system": LOINC, "code": "72514-3"}]},
        "valueString": "7 of 10",
    }
    assert b"7 of 10" in kept_of("Observation", json.dumps(body).encode())


# --------------------------------------------------------------------------------------------------- orders

ORDER: Json = {
    "resourceType": "ServiceRequest",
    "id": "1",
    "status": "draft",
    "intent": "order",
    "code": {
        "coding": [{"system": "http://snomed.info/sct", "code": "91251008", "display": "Physical therapy procedure"}],
        "text": "Physical therapy",
        "extension": [
            {"url": BILLING_OPTIONS, "valueCoding": {"system": "http://www.ama-assn.org/go/cpt", "code": "97110"}},
            {"url": "https://example.org/other", "valueString": MARK},
        ],
    },
    "subject": {"reference": "Patient/p", "display": MARK, "identifier": {"value": MARK}},
    "requester": {"reference": "Practitioner/1", "display": MARK},
    "performer": [{"display": MARK}, {"type": "Practitioner", "display": MARK}],
    "encounter": {"identifier": {"value": "7", "assigner": {"display": MARK}}},
    "quantityQuantity": {"value": 8, "unit": "visits"},
    "text": {"div": MARK},
    "note": [{"text": MARK}],
    "patientInstruction": MARK,
    "contained": [{"resourceType": "Patient", "name": [{"family": MARK}]}],
    "extension": [{"url": "https://example.org/name", "valueHumanName": {"family": MARK}}],
    "meta": {"versionId": "3", "source": MARK, "tag": [{"display": MARK}]},
    "identifier": [{"system": "https://example.org/orders", "value": MARK}],
    "requisition": {"value": MARK},
    "locationCode": [{"text": MARK}],
    "asNeededCodeableConcept": {"text": MARK},
    "supportingInfo": [{"reference": "Condition/1", "display": MARK, "identifier": {"value": MARK}}],
    "orderDetail": [
        {"text": "twice a week", "coding": [{"code": "97140", "userSelected": True}]},
        {
            "text": "at home",
            "extension": [
                {
                    "url": BILLING_OPTIONS,
                    "id": MARK,
                    "valueCodeableConcept": {
                        "coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "97530", "version": MARK}],
                    },
                },
            ],
        },
    ],
    "occurrenceTiming": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "wk"}, "code": {"text": "BIW"}},
    "somethingNew": {"text": MARK},
}


def test_an_order_reads_the_same_and_names_nobody_when_it_is_kept() -> None:
    kept = least_of_order(ORDER)
    assert MARK not in json.dumps(kept)
    (order,), problems = read_orders([("here", ORDER)], packaged(), "p")
    (again,), again_problems = read_orders([("here", kept)], packaged(), "p")
    assert again_problems == problems
    assert again.lines
    assert replace(again, resource={}) == replace(order, resource={})
    assert {line.code.code for line in again.lines} == {"97110", "97530"}
    assert set(kept) == {
        "resourceType", "id", "meta", "status", "intent", "code", "orderDetail", "subject", "requester",
        "quantityQuantity", "occurrenceTiming", "supportingInfo",
    }  # fmt: skip
    assert kept["meta"] == {"versionId": "3"}
    assert [detail["text"] for detail in kept["orderDetail"]] == ["twice a week", "at home"]


@pytest.mark.parametrize("odd", [None, 4, "x", [], {}, [None], [4], ["x"], [[]], {"x": MARK}, [{"x": MARK}]])
@pytest.mark.parametrize(
    "name", sorted({*ORDER, "insurance", "reasonCode", "quantityRange", "occurrenceDateTime"} - {"id", "resourceType"})
)
def test_an_order_reads_the_same_when_one_of_its_members_is_odd(name: str, odd: object) -> None:
    sent = ORDER | {name: odd}

    def read(resource: Json) -> object:
        try:
            orders, problems = read_orders([("here", resource)], packaged(), "p")
        except MalformedRequest as problem:
            return str(problem)
        return [replace(order, resource={}) for order in orders], problems

    kept = least_of_order(sent)
    assert read(kept) == read(sent)
    assert MARK not in json.dumps(kept)
