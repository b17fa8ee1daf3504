"""A recorded assessment as a draft case of its policy: what an override teaches becomes a test.

The draft holds nothing that identifies the patient (`cds/reporting/anonymous.py`), and is run before it is handed
over: a shift of the dates is looked for under which everything comes out as it was recorded.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from cds.authoring.cases import PolicyCase, case_validator, check_document
from cds.authoring.run import Difference, run_case
from cds.errors import InputError, PolicyError, UnreadableFile
from cds.ledger.content import content_of
from cds.ledger.evidence import resources_of
from cds.ledger.ledger import FEEDBACK, Ledger
from cds.replay import recorded_call
from cds.reporting.anonymous import Anonymous, unique
from cds.reporting.joined import card_of
from cds.rules.policy import Policy
from cds.terminology import Terminology
from cds.yamlfile import read_yaml

Json = dict[str, Any]
MOST_WEEKS = 104
TRIES = 30
_FAILED = frozenset(("refused", "late", "cut", "failed"))
_NUMBERS = ("completed", "requested", "scheduled", "total", "limit", "projected", "complete")


@dataclass(frozen=True)
class _Recorded:
    """One assessment of a call, with what it rests on."""

    body: Json
    told: Json
    order: Json
    content: Mapping[str, bytes]
    why: str


@dataclass(frozen=True)
class _Draft:
    case: Json
    bundle: Json
    differences: tuple[Difference, ...]


def draft_case(ledger: Ledger, name: str, to: Path, terms: Terminology, policies: Sequence[Policy]) -> str:
    """Write a draft of the assessment (or a card's) of this id below `to`; in words, what was written.

    InputError where there is no such assessment, or nothing of it to make a case of.
    """
    recorded = _recorded(ledger, name)
    if recorded.told["policy"] not in {policy.id for policy in policies}:
        what = f"Its policy '{recorded.told['policy']}' is gone" if recorded.told["policy"] else "It is of no policy"
        raise InputError(what, where="ID", remedy="A case needs a policy that it is about")
    # Not of the assessment's id: a case is shared, and must not lead back to the ledger.
    stem = f"draft-{secrets.token_hex(4)}"
    draft = _best(recorded, stem, terms, tuple(policies))
    try:
        to.mkdir(parents=True, exist_ok=True)
        _write(draft, stem, to, recorded.why)
    except OSError as problem:
        raise UnreadableFile(
            f"The draft cannot be written ({type(problem).__name__})", where=str(to), remedy="Name another folder"
        ) from None
    ran = "It runs, and comes out as recorded." if not draft.differences else "It runs, and comes out otherwise:"
    lines = [f"{to / stem}.yaml and {stem}.json: a draft case of {recorded.told['policy']}. {ran}"]
    lines += [f"  {difference}" for difference in draft.differences]
    lines.append(f"Read both, edit `expect`, and put them into the folder cases/ of {recorded.told['policy']}.")
    return "\n".join(lines)


def _recorded(ledger: Ledger, name: str) -> _Recorded:
    entry = recorded_call(ledger, name)
    body = entry.body or {}
    joined = card_of(body, name)
    wanted = joined.assessment if joined else name
    found = [each for each in body["assessments"] if each["id"] == wanted]
    found = found or (body["assessments"] if len(body["assessments"]) == 1 else [])
    if not found:
        ids = ", ".join(each["id"] for each in body["assessments"]) or "none"
        raise InputError("This call has not one assessment", where="ID", remedy=f"Give the id of one: {ids}")
    told = found[0]["is"]
    orders = [each["resource"] for each in body["question"]["orders"]]
    order = next((o for o in orders if f"ServiceRequest/{o.get('id') or 'without-id'}" == told["order"]), orders[0])
    why = _why(ledger, found[0]["id"], name if joined else None)
    return _Recorded(body, told, order, ledger.content(content_of(body)), why)


def _why(ledger: Ledger, assessment: str, card: str | None) -> str:
    """The reason of the last override of the card (else of any of them); not the comment, which may name somebody."""
    why = ""
    for entry in ledger.entries(FEEDBACK):
        for item in (entry.body or {}).get("items", ()):
            is_meant = item["assessment"] == assessment and item["card"] == (card or item["card"])
            if is_meant and item["outcome"] == "overridden":
                code = (item.get("overrideReason", {}).get("reason") or {}).get("code")
                criteria = ", ".join(each["id"] for each in item["criteria"])
                why = f"A card about {criteria} was overridden: {code or 'no reason given'}."
    return why or "No override is on record."


# ---------------------------------------------------------------------------------------------- the draft


def _best(recorded: _Recorded, stem: str, terms: Terminology, policies: tuple[Policy, ...]) -> _Draft:
    """A draft with dates shifted at random so that nothing changes with them: figures of policies have dates too."""
    weeks = [n for n in range(-MOST_WEEKS, MOST_WEEKS + 1) if n]
    secrets.SystemRandom().shuffle(weeks)
    best: _Draft | None = None
    with TemporaryDirectory(prefix="therapy-cds-") as folder:
        for number in weeks[:TRIES]:
            case, bundle = _made(recorded, stem, Anonymous(terms, number, _aliases(recorded)))
            draft = _Draft(case, bundle, ())
            _write(draft, stem, Path(folder), "")
            draft = _Draft(case, bundle, _run(Path(folder), stem, recorded.told["policy"], terms, policies))
            if best is None or len(draft.differences) < len(best.differences):
                best = draft
            if not draft.differences:
                break
    assert best is not None  # noqa: S101 - there is always a first
    return best


def _aliases(recorded: _Recorded) -> Json:
    """What absolute and `urn:uuid` references stand for."""
    known = dict(recorded.body["question"]["aliases"])
    for each in recorded.body["evidence"]:
        for resource in resources_of(recorded.content[each["blob"]]) if each.get("blob") else ():
            if resource.url:
                known[resource.url] = resource.reference
    return known


def _made(recorded: _Recorded, stem: str, anonymous: Anonymous) -> tuple[Json, Json]:
    """The case and its Bundle."""
    told, patient = recorded.told, recorded.body["question"]["patient"]
    entries = [anonymous.resource("Patient", patient, {})]
    order = recorded.order | {"status": "draft", "subject": {"reference": f"Patient/{patient}"}}
    entries.append(anonymous.resource("ServiceRequest", str(order.get("id") or "without-id"), order))
    for kind, name, _, payload in unique(_evidence(recorded)):
        fields = _fields(payload)
        if kind != "Patient" and fields is not None and (kind, name) != ("ServiceRequest", order.get("id")):
            entries.append(anonymous.resource(kind, name, fields))
    given: Json = {"bundle": f"{stem}.json"}
    fails = {each["resource"] for each in recorded.body["evidence"] if each["state"] in _FAILED}
    if fails:
        given["fails"] = sorted(fails)
    expect: Json = {"outcome": told["outcome"]}
    if told["count"]:
        expect["visits"] = {name: told["visits"][name] for name in _NUMBERS}
    if told["criteria"]:
        expect["criteria"] = {row["id"]: row["result"] for row in told["criteria"]}
    case = {
        "name": f"To be named by its reviewer ({stem})",
        "given": given,
        "on": anonymous.day(told["asOf"]),
        "policy": told["policy"],
        "expect": expect,
    }
    return case, {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in entries]}


def _evidence(recorded: _Recorded) -> list[tuple[str, str, str, bytes]]:
    return [
        (resource.type, resource.id, resource.url, bytes(resource.payload))
        for each in recorded.body["evidence"]
        if each.get("blob")
        for resource in resources_of(recorded.content[each["blob"]])
    ]


def _fields(payload: bytes) -> Json | None:
    """The kept fields of a resource; None where it could not be read on that day either."""
    try:
        fields = json.loads(payload)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _run(folder: Path, stem: str, policy: str, terms: Terminology, policies: tuple[Policy, ...]) -> tuple[
    Difference, ...
]:  # fmt: skip
    """What comes out otherwise than recorded when the draft is run, as `policy test` will run it."""
    document = read_yaml(folder / f"{stem}.yaml", PolicyError)
    check_document(document, case_validator())
    entry = document.data[0]
    case = PolicyCase(
        entry["name"], entry["given"], entry["expect"], date.fromisoformat(entry["on"]), policy, policy, folder,
        document, (0,),
    )  # fmt: skip
    return run_case(case, policies, terms, case.on or date.today()).differences


def _write(draft: _Draft, stem: str, folder: Path, why: str) -> None:
    header = [
        "Made of a recorded assessment by `therapy-cds report --case`.",
        why,
        "Ids are renamed, dates shifted by whole weeks, free text left out: read the Bundle before you share it.",
        "`expect` is what the service said. Change it to what it should have said, and give the case a name.",
        *(f"Comes out otherwise than recorded: {each}" for each in draft.differences),
    ]
    text = "".join(f"# {' '.join(line.split())}\n" for line in header if line)
    body = yaml.safe_dump([draft.case], sort_keys=False, allow_unicode=True, width=110)
    (folder / f"{stem}.yaml").write_text(f"{text}\n{body}", encoding="utf-8")
    (folder / f"{stem}.json").write_text(json.dumps(draft.bundle, indent=1, ensure_ascii=False) + "\n", "utf-8")
