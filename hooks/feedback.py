"""What became of a card: feedback as clients send it, read and joined to the card's call. Pure.

CDS Hooks 2.0.1 and 3.0, Feedback. A card may be reported on any number of times; each report is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from cds.errors import MalformedRequest
from cds.ledger.ledger import CALL, Entry
from cds.reporting.joined import JoinedCard, card_of
from hooks.errors import operation_outcome
from hooks.protocol import check

Json = dict[str, Any]
Find = Callable[[str], Entry | None]
MOST_ITEMS = 1000
MOST_COMMENT = 2000
MOST_DISPLAY = 200
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")


@dataclass
class Read:
    """The good items of a body, as they go on record, and the issues of the others (OperationOutcome.issue)."""

    items: list[Json] = field(default_factory=list)
    issues: list[Json] = field(default_factory=list)


def parse_feedback(body: bytes) -> list[Any]:
    """The items of a body, unread; MalformedRequest where it is no feedback at all."""
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedRequest(
            "The body is not JSON", where="body", remedy="Send UTF-8 JSON with Content-Type application/json"
        ) from None
    items = data.get("feedback") if isinstance(data, dict) else None
    if not isinstance(items, list):
        raise MalformedRequest("There is no list of feedback", where="feedback", remedy='Send {"feedback": [...]}')
    if len(items) > MOST_ITEMS:
        raise MalformedRequest(
            f"There are {len(items)} items of feedback", where="feedback", remedy=f"Send at most {MOST_ITEMS} at once"
        )
    return items


def read_feedback(items: list[Any], service: str, client: str, find: Find) -> Read:
    """Each item by itself: what is wrong with one does not cost the others.

    `find` looks up a card's entry; the cards of one call share an entry, which is looked up once.
    """
    read, find = Read(), _each_once(find)
    for number, item in enumerate(items):
        try:
            read.items.append(_item(item, f"feedback[{number}]", service, client, find))
        except MalformedRequest as problem:
            read.issues += operation_outcome("invalid", str(problem), problem.where, problem.code)["issue"]
        except _Unknown as problem:
            read.issues += operation_outcome("not-found", str(problem), problem.where)["issue"]
    return read


def _each_once(find: Find) -> Find:
    """The same look-up, which remembers the cards of each entry it has found: an entry may be large."""
    known: dict[str, Entry | None] = {}

    def looked_up(card: str) -> Entry | None:
        if card not in known:
            known[card] = entry = find(card)
            if entry is not None and entry.body is not None:
                known.update(dict.fromkeys((each.get("uuid") for each in entry.body.get("cards", ())), entry))
        return known[card]

    return looked_up


def outcome_of(read: Read) -> Json:
    """The OperationOutcome of a body with bad items: one issue for each, and how many others were kept."""
    issues = list(read.issues)
    if kept := len(read.items):
        text = f"{kept} other {'item was' if kept == 1 else 'items were'} kept; do not send {_them(kept)} again"
        issues.append(
            {"severity": "information", "code": "informational", "details": {"text": text}, "diagnostics": text}
        )
    return {"resourceType": "OperationOutcome", "issue": issues}


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


class _Unknown(Exception):
    def __init__(self, what: str, where: str) -> None:
        super().__init__(what)
        self.where = where


def _item(item: Any, where: str, service: str, client: str, find: Find) -> Json:  # noqa: ANN401 - any JSON
    said = _without_nulls(item)
    check(said, "feedback", where)
    entry, joined = _found(said["card"], f"{where}.card", service, client, find)
    notes: list[str] = []
    kept: Json = {
        "card": said["card"],
        "outcome": said["outcome"],
        "call": entry.id,
        "shown": entry.recorded,
        "assessment": joined.assessment,
        "order": joined.order,
        "policy": joined.policy,
        "policyVersion": joined.version,
        "criteria": [{"policy": policy, "id": name} for policy, name in joined.criteria],
        "outcomeTimestamp": _moment(said.get("outcomeTimestamp"), notes),
    }
    if said["outcome"] == "accepted":
        kept["acceptedSuggestions"] = _accepted(said.get("acceptedSuggestions", ()), joined.card, where)
    elif reason := _reason(said.get("overrideReason", {}), notes):
        kept["overrideReason"] = reason
    return kept | ({"notes": notes} if notes else {})


def _without_nulls(item: Any) -> Any:  # noqa: ANN401 - any JSON
    """Clients that send null for what they have not got mean that it is left out."""
    if isinstance(item, Mapping):
        return {name: _without_nulls(value) for name, value in item.items() if value is not None}
    return [_without_nulls(each) for each in item] if isinstance(item, list) else item


def _found(card: str, where: str, service: str, client: str, find: Find) -> tuple[Entry, JoinedCard]:
    """A card, where this client got it of this service."""
    entry = find(card)
    body = entry.body if entry is not None and entry.kind == CALL else None
    joined = card_of(body, card) if body is not None else None
    if entry is None or body is None or joined is None or body["client"] != client:
        raise _Unknown("No card of this uuid was sent to you", where)
    if body["service"] != service:
        raise _Unknown(f"This card was sent by {body['service']}; send its feedback there", where)
    return entry, joined


def _accepted(suggestions: Any, card: Mapping[str, Any], where: str) -> list[Json]:  # noqa: ANN401 - checked JSON
    offered = {each.get("uuid"): each["label"] for each in card.get("suggestions", ())}
    for number, each in enumerate(suggestions):
        if each["id"] not in offered:
            raise _Unknown("The card offered no suggestion of this uuid", f"{where}.acceptedSuggestions[{number}].id")
    return [{"id": each["id"], "label": offered[each["id"]]} for each in suggestions]


def _reason(said: Mapping[str, Any], notes: list[str]) -> Json:
    """The reason as it was sent, a comment cut where it is very long: it is a comment, and no place for a record."""
    kept: Json = {}
    if coding := said.get("reason"):
        kept["reason"] = {name: coding[name] for name in ("system", "code", "display") if name in coding}
        if "display" in coding:
            kept["reason"]["display"] = coding["display"][:MOST_DISPLAY]
    if comment := said.get("userComment", "").strip():
        kept["userComment"] = comment[:MOST_COMMENT]
        if len(comment) > MOST_COMMENT:
            notes.append(f"userComment was cut after {MOST_COMMENT} characters")
    return kept


def _moment(text: str | None, notes: list[str]) -> str | None:
    """The time of the outcome as it was sent. Required by the specification, and left out by clients all the same."""
    if text is None:
        notes.append("outcomeTimestamp is missing")
        return None
    try:
        if not _MOMENT.fullmatch(text):
            raise ValueError
        datetime.fromisoformat(text)
    except ValueError:
        notes.append("outcomeTimestamp is no date with time")
        return None
    return text
