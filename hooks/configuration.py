"""Version negotiation and configuration options of Da Vinci CRD, in discovery and in requests. Pure.

CRD 2.2.1, "Supporting multiple versions" (dev-1 to dev-3) and "Configuration options" (dev-4 to dev-17): options are
obeyed, never required; what is not known or not of the right type is as if it had not been sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cds.errors import UnsupportedVersion

Json = dict[str, Any]
VERSIONS = ("2.0", "2.1", "2.2")
LATEST = "2.2"
PROVIDER, PAYER = "provider", "payer"
ROLES = (PROVIDER, PAYER)
CARDS_PER_ORDER = 3
MOST_CARDS = 10
COVERAGE_INFO, MAX_CARDS = "coverage-info", "max-cards"
VERSION_KEY = "davinci-crd.version"
REQUESTED_KEY = "davinci-crd.requestedVersion"
OPTIONS_KEY = "davinci-crd.configuration-options"
CONFIGURATION_KEY = "davinci-crd.configuration"
# Every type of card that is returned: its display in the code system of card types, and what a switch says of it.
CARD_TYPES: Mapping[str, tuple[str, str]] = {
    "limits": ("Limits", "Cards on visits against a limit, and on visits beyond an authorization"),
    "clinical-reminder": ("Clinical Reminder", "Cards on outcome measures, re-evaluations and questions of safety"),
    "therapy-alternatives-opt": ("Therapy Alternatives Optional", "Cards on lines that are not on the plan's list"),
    "contraindication": ("Contraindication", "Cards on conditions that may speak against therapy"),
    "guideline": ("Guideline", "Cards on criteria that cannot be settled from the record"),
    "off-guideline": ("Off Guideline", "Cards on criteria that are not met"),
    "insurance": ("Insurance", "Cards on orders to which no policy applies"),
}
_VERSION = re.compile(r"([0-9]+\.[0-9]+)(?:\.[0-9]+)?")


@dataclass(frozen=True)
class Option:
    """One configuration option as discovery lists it (dev-4: all five are always sent)."""

    code: str
    type: str
    name: str
    description: str
    default: bool | int

    def as_json(self) -> Json:
        """The option as CRD writes it."""
        return {
            "code": self.code,
            "type": self.type,
            "name": self.name,
            "description": self.description,
            "default": self.default,
        }

    def takes(self, value: object) -> bool:
        """Whether a client's value is one that this option can have."""
        if self.type == "boolean":
            return isinstance(value, bool)
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_CARDS


@dataclass(frozen=True)
class Configuration:
    """What one answer may hold: by version of CRD, most cards for an order, types that are off, system actions."""

    version: str = LATEST
    max_cards: int = CARDS_PER_ORDER
    off: frozenset[str] = frozenset()
    coverage_info: bool = False

    def allows(self, card_type: str) -> bool:
        """Whether cards of a type may be returned."""
        return card_type not in self.off


def options(role: str) -> tuple[Option, ...]:
    """The options of each service; `coverage-info` is on by itself only where a payer runs the service."""
    switches = [
        Option(code, "boolean", display, f"{what}: whether they are returned", default=True)
        for code, (display, what) in CARD_TYPES.items()
    ]
    return (
        Option(
            COVERAGE_INFO,
            "boolean",
            "Coverage Information",
            "System actions that add coverage information to each therapy order: whether they are returned",
            default=role == PAYER,
        ),
        *switches,
        Option(
            MAX_CARDS,
            "integer",
            "Most cards for an order",
            f"How many cards one order gets at most, 0 to {MOST_CARDS}, most important first",
            default=CARDS_PER_ORDER,
        ),
    )


def service_extension(role: str) -> Json:
    """The `extension` of a service in discovery: the versions that may be asked for, and the options."""
    return {
        VERSION_KEY: list(VERSIONS),
        OPTIONS_KEY: [option.as_json() for option in options(role)],
    }


def read_configuration(
    extension: Mapping[str, Any], role: str, defaults: Mapping[str, Any] | None = None
) -> Configuration:
    """What a request's root `extension` asks for; UnsupportedVersion where its version is none of ours.

    `defaults` are a client's own, by option code: they stand where the request says nothing.
    """
    version = _requested(extension.get(REQUESTED_KEY))
    asked = extension.get(CONFIGURATION_KEY)
    values = _settle(options(role), (defaults or {}, asked if isinstance(asked, Mapping) else {}))
    return Configuration(
        version=version,
        max_cards=int(values[MAX_CARDS]),
        off=frozenset(code for code in CARD_TYPES if not values[code]),
        coverage_info=bool(values[COVERAGE_INFO]),
    )


def _settle(known: Sequence[Option], layers: Sequence[Mapping[str, Any]]) -> dict[str, bool | int]:
    """Each option's value: the last layer that has a usable one, else the default (dev-6, dev-15, dev-17)."""
    values: dict[str, bool | int] = {option.code: option.default for option in known}
    for layer in layers:
        values |= {o.code: layer[o.code] for o in known if o.code in layer and o.takes(layer[o.code])}
    return values


def _requested(value: object) -> str:
    """The version asked for, as `major.minor`; the latest where none is."""
    if value is None:
        return LATEST
    # A patch version is more than CRD asks for, and names the same shape of answer.
    found = _VERSION.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[1] not in VERSIONS:
        raise UnsupportedVersion(
            "The version of Da Vinci CRD that is asked for is not one that this service answers in",
            where=f"extension['{REQUESTED_KEY}']",
            remedy=f"Ask for one of {', '.join(VERSIONS)} as a text, or leave it out",
        )
    return found[1]
