"""What each hook asks of this service, and which cards answer it. Pure: evidence comes in as a Source."""

from __future__ import annotations

from collections.abc import Mapping

from hooks.callers.booking import BOOK
from hooks.callers.caller import Caller, Question
from hooks.callers.dispatch import DISPATCH
from hooks.callers.encounters import DISCHARGE, START
from hooks.callers.ordering import SELECT, SIGN
from hooks.callers.remembered import Remembered

__all__ = ["CALLERS", "Caller", "Question", "Remembered"]

CALLERS: Mapping[str, Caller] = {
    "order-sign": SIGN,
    "order-select": SELECT,
    "order-dispatch": DISPATCH,
    "appointment-book": BOOK,
    "encounter-start": START,
    "encounter-discharge": DISCHARGE,
}
