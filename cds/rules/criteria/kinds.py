"""The closed vocabulary: every kind of test registers here with the facts that it needs to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cds.model import Fact
from cds.rules.case import Case
from cds.rules.finding import Finding

Params = Mapping[str, Any]
Function = Callable[[Case, Params], Finding]


@dataclass(frozen=True)
class Kind:
    """One kind of test: its function, and the facts it needs."""

    name: str
    test: Function
    facts: tuple[Fact, ...]


KINDS: dict[str, Kind] = {}


def kind(name: str, *facts: Fact) -> Callable[[Function], Function]:
    """Register a test under the name that policies use."""

    def register(function: Function) -> Function:
        KINDS[name] = Kind(name, function, facts)
        return function

    return register
