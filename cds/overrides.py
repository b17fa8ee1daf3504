"""Why a clinician may set a card aside: the reasons that are offered, each on the kinds of card that it fits.

All of it is data: `fhir_profiles/codesystems/override-reasons.json`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cds.model import Code

MOST_REASONS = 5
UNKNOWN = "unknown"
NONE = "none"


@dataclass(frozen=True)
class OverrideReason:
    """A reason, the kinds of card that offer it (none named: every card), and whether it tells of a false alarm."""

    code: Code
    kinds: frozenset[str] = frozenset()
    is_false_alarm: bool = False

    def fits(self, kinds: Collection[str]) -> bool:
        """Whether a card of one of these kinds offers it."""
        return not self.kinds or not self.kinds.isdisjoint(kinds)


def read_override_reasons(system: Mapping[str, Any]) -> tuple[OverrideReason, ...]:
    """The reasons of a CodeSystem, in its order: properties `card-kind` (repeats) and `false-alarm`."""
    found = []
    for concept in system["concept"]:
        properties = [(each["code"], each) for each in concept.get("property", ())]
        found.append(
            OverrideReason(
                Code(system["url"], concept["code"], concept["display"]),
                frozenset(each["valueCode"] for name, each in properties if name == "card-kind"),
                any(each["valueBoolean"] for name, each in properties if name == "false-alarm"),
            )
        )
    return tuple(found)


def fitting(reasons: Sequence[OverrideReason], kinds: Collection[str]) -> list[Code]:
    """The reasons that a card of these kinds offers, at most `MOST_REASONS`, the most telling first."""
    return [reason.code for reason in reasons if reason.fits(kinds)][:MOST_REASONS]
