"""Outcome measures as forms: made from the shipped Questionnaires (SDC), read, scored by the catalogue, as FHIR. Pure.

Where an instrument's licence keeps its items out, there is a form for its score alone, as it stands on paper.
(FHIR R4 Questionnaire, QuestionnaireResponse; SDC, Form Filling.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from cds.errors import InputError
from cds.fhir.reading import Reading
from cds.fhir.responses import read_responses
from cds.instruments import Instrument, number_in
from cds.model import Code, Measure, Resource
from cds.terminology import Terminology

Json = dict[str, Any]
DAY, PART, SCORE = "day", "part", "score"
SURVEY = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "survey"}
UCUM = "http://unitsofmeasure.org"
_LEAST, _MOST = (f"http://hl7.org/fhir/StructureDefinition/{name}Value" for name in ("min", "max"))


@dataclass(frozen=True)
class Field:
    """One question: `name` in the form, `link` in the Questionnaire; `choices` are value and words, else a number."""

    name: str
    link: str
    label: str
    choices: tuple[tuple[str, str], ...] = ()
    low: float | None = None
    high: float | None = None
    whole: bool = True
    required: bool = True
    heading: str = ""


@dataclass(frozen=True)
class Form:
    """An instrument to fill in. `questionnaire` is None where only its score is asked for."""

    instrument: Instrument
    fields: tuple[Field, ...]
    questionnaire: Json | None = None

    @property
    def id(self) -> str:
        """The instrument's id."""
        return self.instrument.id

    @property
    def title(self) -> str:
        """As the form is headed."""
        return str((self.questionnaire or {}).get("title") or self.instrument.data.get("title") or self.instrument.name)

    @property
    def copyright(self) -> str:
        """What has to stand below it."""
        return str((self.questionnaire or {}).get("copyright", ""))


@dataclass(frozen=True)
class Filled:
    """A form as it was filled in: the answers by the fields' names, and the local day of the measure."""

    form: Form
    answers: Mapping[str, str]
    day: date


# ------------------------------------------------------------------------------------------------- making


def form_of(terms: Terminology, name: str) -> Form:
    """The form of an instrument; InputError where there is none of that id that can be put on file."""
    instrument = terms.instruments.get(name)
    if instrument is None or instrument.impairment or not _codes(instrument):
        raise InputError("There is no form of that name", where="URL", remedy="Choose one from the list")
    questionnaire = terms.forms.get(name)
    if questionnaire is None:
        return Form(instrument, tuple(_score_fields(instrument)))
    fields = _fields(questionnaire["item"], "")
    numbered = [replace(field, name=f"item-{number}") for number, field in enumerate(fields, start=1)]
    return Form(instrument, tuple(numbered), dict(questionnaire))


def _fields(items: Iterable[Json], heading: str) -> Iterator[Field]:
    for item in items:
        kind, text = item["type"], str(item.get("text", ""))
        if kind == "group":
            yield from _fields(item.get("item", ()), text or heading)
            continue
        if item.get("readOnly"):  # what is computed is not asked
            continue
        if kind not in ("choice", "integer", "decimal"):
            raise InputError(
                f"The form asks for a {kind}, which this page cannot show", remedy="Use the EHR's own form"
            )
        limits = {each["url"]: _value(each) for each in item.get("extension", ()) if each["url"] in (_LEAST, _MOST)}
        label = f"{item['prefix']}. {text}" if item.get("prefix") else text
        yield Field(
            "", item["linkId"], label, tuple(_choice(option) for option in item.get("answerOption", ())),
            limits.get(_LEAST), limits.get(_MOST), kind == "integer", bool(item.get("required")), heading,
        )  # fmt: skip


def _choice(option: Json) -> tuple[str, str]:
    coding = option["valueCoding"]
    return str(coding["code"]), str(coding.get("display") or coding["code"])


def _value(extension: Json) -> float:
    return float(next(value for name, value in extension.items() if name.startswith("value")))


def _score_fields(instrument: Instrument) -> Iterator[Field]:
    """The subscale, where there are any, and the score."""
    codes = _codes(instrument)
    if set(codes) != {None}:
        names = {part: str(instrument.part(part).get("name")) if part else "Total" for part in codes}
        yield Field(PART, PART, "Which score", tuple((part or "", name) for part, name in names.items()))
    low, high = instrument.range(next(iter(codes))) or (None, None)
    yield Field(SCORE, SCORE, "Score", (), low, high, whole=False)


def _codes(instrument: Instrument) -> dict[str | None, Json]:
    """Under which code a score goes on file, by subscale; None is the total."""
    found: dict[str | None, Json] = {}
    for code in instrument.data.get("codes") or ():
        if code.get("what") == "total" and code.get("scale", "usual") == "usual":
            found.setdefault(None, code)
    for part in instrument.data.get("subscales") or ():
        for code in part.get("codes") or ():
            found.setdefault(part["id"], code)
    return found


# ------------------------------------------------------------------------------------------------- reading


def read_form(form: Form, sent: Mapping[str, str], today: date) -> tuple[Filled | None, dict[str, str]]:
    """What was filled in, or (None and) what is wrong with it, in a sentence for each field."""
    problems = {
        field.name: said for field in form.fields if (said := _problem(field, sent.get(field.name, "").strip()))
    }
    try:
        day = date.fromisoformat(sent.get(DAY, "").strip())
    except ValueError:
        return None, problems | {DAY: "Write the day as year, month and day, like 2025-03-10"}
    if day > today:
        problems[DAY] = "The day lies in the future"
    if problems:
        return None, problems
    answers = {field.name: sent.get(field.name, "").strip() for field in form.fields}
    return Filled(form, answers, day), {}


def _problem(field: Field, value: str) -> str:
    if field.choices:
        if value in {choice for choice, _ in field.choices} and (value or field.name == PART):
            return ""
        return "Choose one of the answers" if field.required or value else ""
    if not value:
        return "Give a number" if field.required else ""
    number = number_in(value)
    if number is None or (field.whole and not number.is_integer()):
        return "Write a whole number" if field.whole else "Write a number"
    low, high = field.low, field.high
    if (low is not None and number < low) or (high is not None and number > high):
        return f"The number lies outside {low:g} to {high:g}" if None not in (low, high) else "The number is impossible"
    return ""


# ------------------------------------------------------------------------------------------------- as FHIR


def resources_of(filled: Filled, terms: Terminology, patient: str, author: str = "", base_url: str = "") -> list[Json]:
    """A QuestionnaireResponse where the items were answered, and the Observation of the score.

    `author` is the user's FHIR reference, "" where it is not known. Their ids stand until the EHR gives its own.
    """
    form = filled.form
    if form.questionnaire is None:
        part = filled.answers.get(PART) or None
        return [_observation(filled, terms, part, float(filled.answers[SCORE]), patient, author)]
    response = _response(filled, form.questionnaire, patient, author, base_url)
    reading = Reading(terms, patient)
    kept = Resource("QuestionnaireResponse", response["id"], json.dumps(response).encode())
    measures, _ = read_responses(reading, [kept])
    scores = [each for each in measures if each.instrument == form.id and each.score is not None]
    response["item"] += [_computed(item, each) for item in form.questionnaire["item"] for each in scores
                         if item.get("readOnly") and _is_score(item, each, terms)]  # fmt: skip
    more = {"derivedFrom": [{"reference": f"QuestionnaireResponse/{response['id']}"}]}
    found = [_observation(filled, terms, each.subscale, each.score or 0.0, patient, author) | more for each in scores]
    return [response, *found]


def _is_score(item: Json, measure: Measure, terms: Terminology) -> bool:
    """Whether an item that is computed is this score (SDC, calculatedExpression), by its code."""
    codes = [Code(terms.system(code["system"]), code["code"]) for code in item.get("code", ())]
    found = next(filter(None, map(terms.measure_for_code, codes)), None)
    return found is not None and (found[0].id, found[1]) == (measure.instrument, measure.subscale)


def _computed(item: Json, measure: Measure) -> Json:
    return _bare(item) | {"answer": [{"valueDecimal": measure.score}]}


def _bare(item: Json) -> Json:
    """An item as a response repeats it."""
    return {name: item[name] for name in ("linkId", "definition", "text") if name in item}


def _response(filled: Filled, form: Json, patient: str, author: str, base_url: str) -> Json:
    url = f"{base_url.rstrip('/')}/fhir/Questionnaire/{form['id']}" if base_url else form["url"]
    answers = {field.link: filled.answers[field.name] for field in filled.form.fields}
    response: Json = {
        "resourceType": "QuestionnaireResponse",
        "id": f"entered-{form['id']}",
        "questionnaire": f"{url}|{form['version']}",
        "status": "completed",
        "subject": {"reference": f"Patient/{patient}"},
        "authored": filled.day.isoformat(),
        "item": list(_answered(form["item"], answers)),
    }
    return response | ({"author": {"reference": author}} if author else {})


def _answered(items: Sequence[Json], answers: Mapping[str, str]) -> Iterator[Json]:
    for item in items:
        if item["type"] == "group":
            yield _bare(item) | {"item": list(_answered(item["item"], answers))}
        elif item["linkId"] in answers and answers[item["linkId"]]:
            yield _bare(item) | {"answer": [_answer(item, answers[item["linkId"]])]}


def _answer(item: Json, value: str) -> Json:
    if item["type"] == "choice":
        return next(option for option in item["answerOption"] if option["valueCoding"]["code"] == value)
    return {"valueInteger": int(float(value))} if item["type"] == "integer" else {"valueDecimal": float(value)}


def _observation(filled: Filled, terms: Terminology, part: str | None, score: float, patient: str, author: str) -> Json:
    instrument = filled.form.instrument
    code = _codes(instrument)[part]
    name = f"{instrument.name} {instrument.part(part).get('name')}" if part else instrument.name
    unit = str(instrument.part(part).get("unit", "{score}"))
    observation: Json = {
        "resourceType": "Observation",
        "id": "-".join(["entered", instrument.id, *([part] if part else [])]),
        "status": "final",
        "category": [{"coding": [SURVEY]}],
        "code": {"coding": [{"system": terms.url(code["system"]), "code": str(code["code"])}], "text": name},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": filled.day.isoformat(),
        "valueQuantity": {"value": score, "unit": unit.strip("{}"), "system": UCUM, "code": unit},
    }
    if author:
        observation["performer"] = [{"reference": author}]
    if band := band_of(instrument, score):
        observation["interpretation"] = [{"text": band}]
    return observation


def band_of(instrument: Instrument, score: float) -> str:
    """The instrument's own word for a score (`severe`); "" where it has none."""
    bands = instrument.data.get("bands") or ()
    return next((str(band["label"]) for band in bands if band["from"] <= score <= band["to"]), "")
