"""A card of a recorded call, joined to what it spoke of: the order, the assessment, the policy, the criteria."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]
ASSOCIATED = "davinci-crd.associated-resource"
CRITERIA = "example.therapy-cds.criteria"


@dataclass(frozen=True)
class JoinedCard:
    """A card with its assessment's id, order and policy; `criteria` are pairs of policy and criterion.

    All but the card are empty where it speaks of no order that was weighed.
    """

    card: Json
    assessment: str = ""
    order: str = ""
    policy: str = ""
    version: str = ""
    criteria: tuple[tuple[str, str], ...] = ()


def join(body: Json, card: Json) -> JoinedCard:
    """A card of a call's body with what it spoke of."""
    extension = card.get("extension") or {}
    names = tuple(extension.get(CRITERIA) or ())
    assessed = _assessment_of(body, extension, names)
    if assessed is None:
        return JoinedCard(card, criteria=tuple(("", name) for name in names))
    told = assessed["is"]
    return JoinedCard(
        card,
        assessed.get("id") or "",
        told["order"],
        told["policy"] or "",
        told["policyVersion"] or "",
        tuple(pair for name in names for pair in _pairs(told, name)),
    )


def card_of(body: Json, uuid: str) -> JoinedCard | None:
    """The card of this uuid in a call's body; None where there is none."""
    card = next((card for card in body.get("cards", ()) if card.get("uuid") == uuid), None)
    return None if card is None else join(body, card)


def criterion_policy(told: Json, row: Json) -> str:
    """Whose criterion a row of an assessment is: a statute that adds to a policy names its own."""
    return str(row.get("policy") or told["policy"] or "")


def _pairs(told: Json, name: str) -> list[tuple[str, str]]:
    """The policies whose criterion this is; what is no criterion (a question of safety) is nobody's."""
    rows = [row for row in told["criteria"] if row["id"] == name]
    return [(criterion_policy(told, row), name) for row in rows] or [("", name)]


def _assessment_of(body: Json, extension: Json, names: tuple[str, ...]) -> Json | None:
    """By the order that the card names; else by its criteria; else the only one there is."""
    assessments: list[Json] = list(body.get("assessments", ()))
    if not extension or not assessments:
        return None
    about = {each if isinstance(each, str) else each.get("reference") for each in extension.get(ASSOCIATED) or ()}
    of_order = [each for each in assessments if each["is"]["order"] in about]
    if len(of_order) == 1:
        return of_order[0]
    known = [each for each in of_order or assessments if {row["id"] for row in each["is"]["criteria"]} & set(names)]
    found = known or of_order
    return found[0] if found else (assessments[0] if len(assessments) == 1 else None)
