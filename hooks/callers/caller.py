"""What the hooks have in common: a context becomes a Question, and a view says which cards may answer it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from cds.model import Need, Order, Query
from cds.rules.part import part_of
from cds.rules.policy import Policy
from cds.service import Ports
from hooks.callers.bounds import few
from hooks.cards import WHOLE, View
from hooks.protocol import HookRequest


@dataclass(frozen=True)
class Question:
    """What one call asks: these orders, on this day (None: each order's own), told in this view.

    `days` are days that the hook gives single orders, by reference; `as_of` goes before them.
    `problems` are what could not be read of the call, in words; each becomes a card. `aliases` are the entries'
    URLs by which the orders were read: the ledger reads them again by the same.
    """

    orders: tuple[Order, ...] = ()
    problems: tuple[str, ...] = ()
    as_of: date | None = None
    view: View = WHOLE
    aliases: Mapping[str, str] = field(default_factory=dict)
    days: Mapping[str, date] = field(default_factory=dict)

    @property
    def told(self) -> tuple[str, ...]:
        """The problems that are told one by one, and how many more there are."""
        return few(self.problems)


@dataclass(frozen=True)
class Caller:
    """One hook: how its context becomes a question, and what it has to know beside what policies need.

    `kinds` are the kinds of card that it may show; the policies are then read only as far as those need
    (None: whole).
    """

    title: str
    description: str
    ask: Callable[[HookRequest, Ports, date], Question]
    kinds: frozenset[str] | None = None
    queries: tuple[Query, ...] = ()
    needs: tuple[Need, ...] = ()

    def part_of(self, policies: Sequence[Policy]) -> tuple[Policy, ...]:
        """The policies as far as this hook speaks of them, so that nothing else is searched for."""
        return part_of(policies, self.kinds)
