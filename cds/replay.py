"""The same assessment again, from what the ledger holds: no EHR, no clock, the policies of that day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cds.as_json import whole_assessment
from cds.errors import CdsError, InputError
from cds.ledger.basis import restored
from cds.ledger.content import content_of
from cds.ledger.evidence import KeptSource
from cds.ledger.ledger import CALL, REFUSAL, Entry, Ledger
from cds.model import Assessment
from cds.recording import asked_of, evidence_of, zone_of
from cds.rules.part import part_of
from cds.rules.policy import Policy
from cds.service import Ports, assess_orders
from cds.terminology import Terminology

Json = dict[str, Any]
# Many calls rest on the same policies and vocabularies.
_restored = lru_cache(maxsize=4)(restored)


@dataclass(frozen=True)
class Difference:
    """Something that came out otherwise: of which order, where in the assessment, then and now."""

    order: str
    where: str
    then: object
    now: object

    def __str__(self) -> str:
        """One line for a reader."""
        return f"{self.order}, {self.where}: {self.then} then, {self.now} now"


@dataclass(frozen=True)
class Replay:
    """What came of assessing a recorded call again.

    `differences` are those of today's code with the policies and vocabularies of that day: none is expected.
    `today` are those of today's policies and vocabularies: what has been changed since.
    """

    entry: Entry
    assessments: tuple[Assessment, ...]
    differences: tuple[Difference, ...]
    today: tuple[Difference, ...]
    today_refused: str = ""


def recorded_call(ledger: Ledger, name: str) -> Entry:
    """The entry of a call, by its own id or that of an assessment or card in it; InputError where there is none."""
    entry = ledger.find(name)
    if entry is None:
        remedy = "Give the id of an entry, an assessment or a card"
        raise InputError("The ledger has nothing of that id", where="ID", remedy=remedy)
    if entry.body is None:
        remedy = "What it said is gone, as the ledger's retention has it"
        raise InputError(f"The entry of {entry.recorded[:10]} is past its retention", where="ID", remedy=remedy)
    if entry.kind == REFUSAL:
        told = f"This is a call that was refused ({entry.body['status']}, {entry.body['code'] or 'no code'})"
        raise InputError(told, where="ID", remedy="Nothing was assessed, so there is nothing to assess again")
    if entry.kind != CALL:
        raise InputError(
            f"This is a {entry.kind}, not a call", where="ID", remedy="Give the id of the call it is about"
        )
    return entry


def replay(ledger: Ledger, entry: Entry, terms: Terminology, policies: Sequence[Policy]) -> Replay:
    """Assess a recorded call again, with what it rested on and with what is in force today."""
    body = entry.body or {}
    content = ledger.content(content_of(body))
    assessments, differences = _then(body, content)
    try:
        now = assessed_again(body, content, terms, policies)
    except CdsError as problem:
        return Replay(entry, assessments, differences, (), str(problem))
    return Replay(entry, assessments, differences, _differences(body, now))


def replay_then(ledger: Ledger, entry: Entry) -> Replay:
    """Assess a recorded call again with what it rested on, and leave today aside."""
    body = entry.body or {}
    return Replay(entry, *_then(body, ledger.content(content_of(body))), ())


def _then(
    body: Mapping[str, Any], content: Mapping[str, bytes]
) -> tuple[tuple[Assessment, ...], tuple[Difference, ...]]:
    """What today's code makes of it with the policies and vocabularies of that day; InputError where those are gone."""
    basis = body["basis"]
    try:
        terms, policies = restored(content[basis["policies"]], content[basis["vocabularies"]])
        assessments = assessed_again(body, content, terms, policies)
    except KeyError as missing:
        remedy = "therapy-cds replay --verify tells what else is gone"
        raise InputError(
            f"What the call rested on is gone or was changed ({str(missing)[1:13]}…)", remedy=remedy
        ) from None
    return assessments, _differences(body, assessments)


def assessed_again(
    body: Mapping[str, Any], content: Mapping[str, bytes], terms: Terminology, policies: Sequence[Policy]
) -> tuple[Assessment, ...]:
    """The assessments of a recorded call, by the given vocabularies and policies."""
    policies = part_of(policies, body["question"].get("kinds"))
    ports = Ports(terms, policies, KeptSource(evidence_of(body), content), zone_of(body))
    return assess_orders(asked_of(body, terms), ports)


def _differences(body: Mapping[str, Any], now: Sequence[Assessment]) -> tuple[Difference, ...]:
    recorded = [each["is"] for each in body["assessments"]]
    found: list[Difference] = []
    if len(recorded) != len(now):
        found.append(Difference("all orders", "assessments", len(recorded), len(now)))
    for then, again in zip(recorded, map(whole_assessment, now), strict=False):
        found += [Difference(str(then["order"]), *each) for each in _unlike(then, _plain(again))]
    return tuple(found)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """As JSON gives it back: pairs are lists."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _unlike(then: Any, now: Any, where: str = "") -> list[tuple[str, object, object]]:  # noqa: ANN401 - any JSON
    """Where two JSON values differ; criteria are told by their id."""
    if isinstance(then, dict) and isinstance(now, dict):
        return [
            found
            for name in {**then, **now}
            for found in _unlike(then.get(name), now.get(name), f"{where}.{name}".lstrip("."))
        ]
    if where in ("criteria", "safety") and isinstance(then, list) and isinstance(now, list):
        return _unlike({each["id"]: each for each in then}, {each["id"]: each for each in now}, where)
    return [] if then == now else [(where, then, now)]
