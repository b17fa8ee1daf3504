"""Reasons to set a card aside, and which card offers which."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files

import pytest

from cds.overrides import MOST_REASONS, NONE, UNKNOWN, OverrideReason, fitting, read_override_reasons
from cds.terminology import packaged

SCHEMA = json.loads(files("cds.rules").joinpath("policy.schema.json").read_text("utf-8"))


def kinds_in(schema: object) -> list[str]:
    """The kinds of card that a criterion may name."""
    if isinstance(schema, dict):
        card = schema.get("card")
        if isinstance(card, dict) and "enum" in card:
            return list(card["enum"])
        return next((found for each in schema.values() if (found := kinds_in(each))), [])
    return []


KINDS = kinds_in(SCHEMA)


def system(*concepts: Mapping[str, object]) -> dict[str, object]:
    return {"url": "urn:reasons", "concept": [{"code": "c", "display": "C", **each} for each in concepts]}


@pytest.mark.parametrize("kind", [*KINDS, UNKNOWN, NONE])
def test_three_to_five_reasons_fit_when_a_card_is_of_a_kind(kind: str) -> None:
    found = [code.code for code in fitting(packaged().override_reasons, {kind})]
    assert 3 <= len(found) <= MOST_REASONS
    assert "record-wrong" in found
    assert "will-do" in found


@pytest.mark.parametrize("reason", packaged().override_reasons, ids=lambda reason: str(reason.code.code))
def test_kinds_are_those_of_policies_when_a_reason_names_them(reason: OverrideReason) -> None:
    assert reason.kinds
    assert reason.kinds <= {*KINDS, UNKNOWN, NONE}


def test_reasons_of_false_alarms_are_those_that_say_so_when_they_are_read() -> None:
    told = {reason.code.code for reason in packaged().override_reasons if reason.is_false_alarm}
    assert told == {"record-wrong", "done-elsewhere"}


def test_reason_fits_every_card_when_it_names_no_kind() -> None:
    # As the code system was before it had properties: ledgers hold it, and replay reads it.
    (reason,) = read_override_reasons(system({}))
    assert not reason.is_false_alarm
    assert fitting([reason], {"limits"}) == [reason.code]


def test_no_more_than_five_are_offered_when_a_card_is_of_many_kinds() -> None:
    reasons = read_override_reasons(system(*({"code": str(n)} for n in range(7))))
    assert [code.code for code in fitting(reasons, {"limits"})] == ["0", "1", "2", "3", "4"]
