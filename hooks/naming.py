"""What an order is called in a card, where a call holds several things that the card may be about. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cds.fhir.orders import first_proposed
from cds.model import Order

_MOST_LINES = 6


def names_of(orders: Sequence[Order]) -> list[str]:
    """A name for each order that a reader knows it by, such as `Physical therapy, left hip; 4 visits; from 2025-03-10`.

    No two of them are the same: orders with nothing to tell them apart are numbered as they were sent.
    """
    plain = [_name(order) for order in orders]
    number, seen = Counter(plain), Counter[str]()
    names = []
    for name in plain:
        seen[name] += 1
        names.append(f"{name} ({seen[name]} of {number[name]} alike)" if number[name] > 1 else name)
    return names


def _name(order: Order) -> str:
    """What is done and where, under which billing codes, how often and from when on, as far as the order says so."""
    codes = list(dict.fromkeys(line.label for line in order.lines))
    more = ", …" if len(codes) > _MOST_LINES else ""
    lines = f"{'lines' if len(codes) > 1 else 'line'} {', '.join(codes[:_MOST_LINES])}{more}" if codes else ""
    visits = f"{order.requested} visit{'' if str(order.requested) == '1' else 's'}" if order.requested else ""
    day = first_proposed(order)
    return "; ".join(part for part in (order.label, lines, visits, f"from {day}" if day else "") if part)
