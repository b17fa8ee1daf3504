"""What a case gives, as FHIR resources: an example or a Bundle, less some, changed in places, with some more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any

from cds.authoring.cases import PolicyCase
from cds.authoring.library import Folder
from cds.authoring.shorthand import expand
from cds.errors import PolicyError
from cds.evaluate import DRAFT
from cds.fhir.orders import read_orders
from cds.model import Order, Resource
from cds.service import Asked, evaluation_date
from cds.terminology import Terminology

Json = dict[str, Any]
# What a visit of each discipline is, and the NUCC code of who gives it.
_DISCIPLINES = {
    "physical-therapy": ("snomed", "91251008", "225100000X"),
    "occupational-therapy": ("snomed", "84478008", "225X00000X"),
    "speech-therapy": ("snomed", "5154007", "235Z00000X"),
    "chiropractic": ("cpt", "98940", "111N00000X"),
}


@dataclass(frozen=True)
class Given:
    """The resources of a case: the record, and the draft orders apart from it."""

    patient: str
    orders: tuple[Order, ...]
    record: tuple[Resource, ...]
    fails: frozenset[str]


def build(case: PolicyCase, terms: Terminology, today: date) -> Given:
    """The resources of a case; PolicyError where the case names what is not there."""
    base = _base(case)
    entries = {_reference(entry["resource"]): entry["resource"] for entry in base}
    urls = {_reference(entry["resource"]): str(entry.get("fullUrl", "")) for entry in base}
    _remove(case, entries)
    _set(case, entries, terms)
    patients = [reference for reference in entries if reference.startswith("Patient/")]
    if len(patients) != 1:
        raise case.wrong(f"There are {len(patients)} Patients in what is given", "A case has exactly one", "given")
    patient = patients[0].removeprefix("Patient/")
    _add(case, entries, patient, terms)
    drafts = {r: e for r, e in entries.items() if e["resourceType"] == "ServiceRequest" and e.get("status") in DRAFT}
    orders, problems = read_orders(drafts.items(), terms, patient, {url: ref for ref, url in urls.items() if url})
    if not orders:
        why = problems[0] if problems else "no ServiceRequest with status draft asks for therapy"
        raise case.wrong(f"There is no therapy order: {why}", "Keep, or add, the draft order", "given")
    day = case.on or evaluation_date(Asked(patient, orders, today), orders[0])
    for number, spec in enumerate(_listed(case.given.get("visits"))):
        _make_visits(case, entries, spec, number, _Of(patient, drafts[orders[0].reference], day, terms))
    record = tuple(_resource(ref, entry, urls.get(ref, "")) for ref, entry in entries.items() if ref not in drafts)
    return Given(patient, orders, record, frozenset(case.given.get("fails", ())))


def _reference(resource: Mapping[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource.get('id', '')}"


def _resource(reference: str, entry: Json, url: str) -> Resource:
    kind, _, name = reference.partition("/")
    return Resource(kind, name, json.dumps(entry).encode(), url)


def _listed(item: Any) -> list[Json]:  # noqa: ANN401 - YAML
    return [] if item is None else item if isinstance(item, list) else [item]


# ------------------------------------------------------------------------------------------------- the start


def _base(case: PolicyCase) -> list[Json]:
    """The entries of the example or Bundle that the case starts from; a fresh copy."""
    if "example" in case.given:
        name = case.given["example"]
        folder = files("fhir_profiles").joinpath("examples")
        file: Folder = folder.joinpath(f"{name}.json")
        if not file.is_file():
            known = ", ".join(sorted(f.name.removesuffix(".json") for f in folder.iterdir() if "json" in f.name))
            raise case.wrong(f"There is no example patient '{name}'", f"Known: {known}", "given", "example")
    else:
        file = case.folder.joinpath(case.given["bundle"])
        if not file.is_file():
            raise case.wrong(
                f"There is no file '{case.given['bundle']}' beside this one", "Put it there", "given", "bundle"
            )
    try:
        entries: list[Json] = json.loads(file.read_text(encoding="utf-8"))["entry"]
        return [entry for entry in entries if entry["resource"]["resourceType"]]
    except (ValueError, KeyError, TypeError) as problem:
        raise PolicyError(
            f"{file.name} is no FHIR Bundle in JSON", where=case.where("given"), remedy="Give a collection Bundle"
        ) from problem


# ------------------------------------------------------------------------------------------ remove, set, add


def _remove(case: PolicyCase, entries: dict[str, Json]) -> None:
    for number, wanted in enumerate(case.given.get("remove", ())):
        pattern = wanted if "/" in wanted else f"{wanted}/*"
        gone = [reference for reference in entries if fnmatchcase(reference, pattern)]
        if not gone:
            raise case.wrong(
                f"'{wanted}' is not there to be removed", "Name a resource or a type", "given", "remove", number
            )
        for reference in gone:
            del entries[reference]
        _remove_done_in(set(gone), entries)


def _remove_done_in(gone: set[str], entries: dict[str, Json]) -> None:
    """A removed Encounter takes its Procedures along: they would tell of the same visit."""
    for reference, entry in list(entries.items()):
        if entry["resourceType"] == "Procedure" and (entry.get("encounter") or {}).get("reference") in gone:
            del entries[reference]


def _set(case: PolicyCase, entries: dict[str, Json], terms: Terminology) -> None:
    for reference, changes in case.given.get("set", {}).items():
        if reference not in entries:
            raise case.wrong(
                f"'{reference}' is not there to be changed", "Name a resource that is given", "given", "set", reference
            )
        for path, value in changes.items():
            try:
                _put(entries[reference], path.split("."), expand(path, value, terms))
            except (TypeError, IndexError, ValueError) as problem:
                raise case.wrong(
                    f"'{path}' cannot be set: there is no such place", "Check the path", "given", "set", reference, path
                ) from problem


def _put(target: Any, path: list[str], value: Any) -> None:  # noqa: ANN401 - JSON
    """Set (None: delete) what stands at a path; objects that are missing on the way are made."""
    step, rest = path[0], path[1:]
    if isinstance(target, list):
        index = int(step)
        if index == len(target):
            target.append({})
        if rest:
            _put(target[index], rest, value)
        elif value is None:
            del target[index]
        else:
            target[index] = value
    elif rest:
        _put(target.setdefault(step, [] if rest[0].isdigit() else {}), rest, value)
    elif value is None:
        target.pop(step, None)
    else:
        target[step] = value


def _add(case: PolicyCase, entries: dict[str, Json], patient: str, terms: Terminology) -> None:
    for number, given in enumerate(case.given.get("add", ())):
        resource: Json = expand("", given, terms)
        resource.setdefault("id", f"added-{number + 1}")
        for key, value in _defaults(resource["resourceType"], patient).items():
            resource.setdefault(key, value)
        if _reference(resource) in entries:
            raise case.wrong(
                f"There is a {_reference(resource)} already", "Give it another id, or use `set`", "given", "add", number
            )
        entries[_reference(resource)] = resource


_OWNER = {
    "Coverage": "beneficiary",
    "EpisodeOfCare": "patient",
    "Claim": "patient",
    "ClaimResponse": "patient",
    "ExplanationOfBenefit": "patient",
    "Task": "for",
}
_NOBODYS = frozenset(("Organization", "Practitioner", "PractitionerRole", "Location", "Questionnaire", "Appointment"))
_STATUS: dict[str, Json] = {
    "CarePlan": {"status": "active", "intent": "plan"},
    "Claim": {"status": "active", "use": "claim"},
    "ClaimResponse": {"status": "active", "use": "preauthorization", "outcome": "complete"},
    "Coverage": {"status": "active"},
    "DiagnosticReport": {"status": "final"},
    "DocumentReference": {"status": "current"},
    "Encounter": {"status": "finished"},
    "EpisodeOfCare": {"status": "active"},
    "ExplanationOfBenefit": {"status": "active", "use": "claim", "outcome": "complete"},
    "Goal": {"lifecycleStatus": "active"},
    "ImagingStudy": {"status": "available"},
    "MedicationRequest": {"status": "active", "intent": "order"},
    "MedicationStatement": {"status": "active"},
    "Observation": {"status": "final"},
    "Procedure": {"status": "completed"},
    "QuestionnaireResponse": {"status": "completed"},
    "ServiceRequest": {"status": "draft", "intent": "order"},
}


def _defaults(kind: str, patient: str) -> Json:
    """What need not be written: whose it is, and the usual status."""
    who = {"reference": f"Patient/{patient}"}
    if kind == "Appointment":
        return {"participant": [{"actor": who, "status": "accepted"}]}
    return {**_STATUS.get(kind, {}), **({} if kind in _NOBODYS else {_OWNER.get(kind, "subject"): who})}


# ------------------------------------------------------------------------------------------------- visits


@dataclass(frozen=True)
class _Of:
    """What the visits of a case take from its order, unless they say otherwise."""

    patient: str
    draft: Mapping[str, Any]
    day: date
    terms: Terminology


def _make_visits(case: PolicyCase, entries: dict[str, Json], spec: Mapping[str, Any], number: int, of: _Of) -> None:
    """Encounters (with Procedures, where codes are named) on the days that the case asks for."""
    system, service, role = _DISCIPLINES[spec.get("discipline", "physical-therapy")]
    for day in _days(spec, of.day):
        name = f"case-visit-{number + 1}-{day}"
        visit: Json = {
            "resourceType": "Encounter",
            "id": name,
            "status": spec.get("status", "finished"),
            "class": {"system": of.terms.url("encounter-class"), "code": "AMB"},
            "type": [{"coding": [{"system": of.terms.url(system), "code": service}]}],
            "participant": [{"type": [{"coding": [{"system": of.terms.url("nucc"), "code": role}]}]}],
            "subject": {"reference": f"Patient/{of.patient}"},
            "period": {"start": day.isoformat(), "end": day.isoformat()},
            **_reason(spec, of),
        }
        entries[_reference(visit)] = visit
        for code in spec.get("codes", ()):
            treatment: Json = {
                "resourceType": "Procedure",
                "id": f"{name}-{code}",
                "status": "completed",
                "code": {"coding": [{"system": of.terms.url("cpt"), "code": str(code)}]},
                "subject": {"reference": f"Patient/{of.patient}"},
                "encounter": {"reference": _reference(visit)},
                "performedDateTime": day.isoformat(),
            }
            entries[_reference(treatment)] = treatment


def _days(spec: Mapping[str, Any], evaluation: date) -> list[date]:
    """The days named; else so many, `every` some days, up to the one before a day."""
    if "on" in spec:
        return [date.fromisoformat(day) for day in spec["on"]]
    before = date.fromisoformat(spec["before"]) if "before" in spec else evaluation
    every = spec.get("every", 2)
    last = before - timedelta(days=1)
    return [last - timedelta(days=every * back) for back in reversed(range(spec["completed"]))]


def _reason(spec: Mapping[str, Any], of: _Of) -> Json:
    """The site that is named; else what the order is for."""
    if "site" not in spec:
        return {key: of.draft[key] for key in ("reasonCode", "reasonReference") if key in of.draft}
    site: Json = {}
    if "code" in spec["site"]:
        site["coding"] = [{"system": of.terms.url("icd-10-cm"), "code": spec["site"]["code"]}]
    if "text" in spec["site"]:
        site["text"] = spec["site"]["text"]
    return {"reasonCode": [site]}
