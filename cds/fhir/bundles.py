"""What an answer of a FHIR server holds: resources, a next page, or an OperationOutcome.

Entries are kept as raw JSON and decoded one by one later, so that one odd resource is a noted gap and not
a lost answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from cds.fhir.decoded import UNREADABLE, resource_like
from cds.fhir.elements import Shape
from cds.model import Resource


class _Head(Shape):
    resourceType: str = ""
    id: str = ""


class _Search(Shape):
    mode: str = ""


class _Entry(Shape):
    fullUrl: str = ""
    resource: msgspec.Raw = msgspec.Raw()
    search: _Search | None = None


class _Link(Shape):
    relation: str = ""
    url: str = ""


class _Bundle(Shape):
    resourceType: str = ""
    type: str = ""
    total: int | None = None
    link: tuple[_Link, ...] = ()
    entry: tuple[msgspec.Raw, ...] = ()


class _WholeBundle(Shape):
    """A Bundle whose entries all are what they should be, as nearly all are: decoded at once."""

    resourceType: str = ""
    type: str = ""
    total: int | None = None
    link: tuple[_Link, ...] = ()
    entry: tuple[_Entry, ...] = ()


class _Issue(Shape):
    severity: str = ""
    code: str = ""


class _OperationOutcome(Shape):
    issue: tuple[_Issue, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What a FHIR server (or a prefetch value) said, taken apart.

    `outcome` is set when it was, or held, an OperationOutcome with an error; `cut` when there is more than
    was sent; `problems` name entries that could not be taken apart.
    """

    resources: tuple[Resource, ...] = ()
    next_url: str | None = None
    outcome: str | None = None
    cut: bool = False
    is_null: bool = False
    problems: tuple[str, ...] = field(default=())


_HEAD = msgspec.json.Decoder(_Head)
_ENTRY = msgspec.json.Decoder(_Entry)
_BUNDLE = msgspec.json.Decoder(_Bundle)
_WHOLE_BUNDLE = msgspec.json.Decoder(_WholeBundle)
_OUTCOME = msgspec.json.Decoder(_OperationOutcome)


def parse_answer(payload: bytes | memoryview) -> Answer:
    """Take a FHIR answer apart; ValueError where it is no FHIR JSON at all.

    A single resource is an answer of one. Diagnostics of an OperationOutcome are not kept: they may
    hold whatever the server writes there; its issue codes are.
    """
    if bytes(payload[:8]).strip() == b"null":
        return Answer(is_null=True)
    try:
        whole = _WHOLE_BUNDLE.decode(payload)
        if whole.resourceType == "Bundle":
            return _parse_bundle(whole)
    except UNREADABLE:
        pass
    try:
        head = _HEAD.decode(payload)
    except UNREADABLE as problem:
        raise ValueError("it is not a FHIR resource in JSON") from problem
    if head.resourceType == "Bundle":
        return _parse_bundle(_bundle_of(payload))
    if head.resourceType == "OperationOutcome":
        return Answer(outcome=_outcome_codes(payload) or "an OperationOutcome without an issue")
    if not head.resourceType:
        raise ValueError("it is JSON without a resourceType")
    return Answer(resources=(Resource(head.resourceType, head.id, payload),))


def _bundle_of(payload: bytes | memoryview) -> _Bundle:
    try:
        return _BUNDLE.decode(payload)
    except UNREADABLE as problem:
        raise ValueError(f"it is a Bundle of a wrong shape ({problem})") from problem


def _parse_bundle(bundle: _Bundle | _WholeBundle) -> Answer:
    resources: list[Resource] = []
    problems: list[str] = []
    outcome: str | None = None
    matches = 0
    kind = ""
    entries: Sequence[_Entry | msgspec.Raw] = bundle.entry
    for number, raw in enumerate(entries):
        try:
            entry = raw if isinstance(raw, _Entry) else _ENTRY.decode(raw)
            payload = memoryview(entry.resource)
            if not payload.nbytes:
                problems.append(f"entry {number} holds no resource")
                continue
            if (resource := resource_like(kind, payload, entry.fullUrl)) is None:
                head = _HEAD.decode(payload)
                kind = head.resourceType
                resource = Resource(kind, head.id or _name_in(entry.fullUrl), payload, entry.fullUrl)
        except UNREADABLE as problem:
            problems.append(f"entry {number} cannot be read ({problem})")
            continue
        if kind == "OperationOutcome":
            outcome = _outcome_codes(payload) or outcome
            continue
        if not kind:
            problems.append(f"entry {number} holds JSON without a resourceType")
            continue
        matches += entry.search is None or entry.search.mode != "include"
        resources.append(resource)
    next_url = next((link.url for link in bundle.link if link.relation == "next" and link.url), None)
    cut = next_url is not None or (bundle.type == "searchset" and (bundle.total or 0) > matches + len(problems))
    return Answer(_once(resources), next_url, outcome, cut, problems=tuple(problems))


def _name_in(url: str) -> str:
    """The last part of an entry's URL (`urn:uuid:…` too): the name of a resource that has no id yet."""
    return url.rstrip("/").replace(":", "/").rsplit("/", 1)[-1]


def _once(resources: list[Resource]) -> tuple[Resource, ...]:
    """Each resource once: servers repeat entries, and prefetch keys overlap."""
    seen: dict[object, Resource] = {}
    for resource in resources:
        seen.setdefault((resource.type, resource.id) if resource.id else id(resource), resource)
    return tuple(seen.values())


def _outcome_codes(payload: bytes | memoryview | msgspec.Raw) -> str | None:
    """`error exception, fatal …` of an OperationOutcome that reports a failure; None for mere advice."""
    try:
        outcome = _OUTCOME.decode(payload)
    except UNREADABLE:
        return "an OperationOutcome that cannot be read"
    failures = [f"{issue.severity} {issue.code}" for issue in outcome.issue if issue.severity in ("error", "fatal")]
    return ", ".join(failures) or None
