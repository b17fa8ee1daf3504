"""What the demo shows after the cards: feedback as an EHR sends it, and what the ledger tells of what was signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from cds.ledger.ledger import Ledger
from cds.ledger_cli import open_ledger
from cds.replay import recorded_call, replay
from cds.reporting.of_ledger import choice_of, report_of
from cds.rules.load import load_policies, packaged_policies
from cds.terminology import packaged
from hooks.sandbox.errors import SandboxError
from hooks.sandbox.show import clean
from hooks.sandbox.signing import Exchange, send_feedback

Json = dict[str, Any]


def show_afterwards(console: Console, service_url: str, ledger_url: str, exchanges: Mapping[str, Exchange]) -> None:
    """Override one card, and say what replay and report tell. `exchanges` are the signed orders by patient.

    Raises:
        SandboxError: what was signed does not come out the same again, or the ledger does not hold.
    """
    found = ((who, exchange, card) for who, exchange in exchanges.items() for card in exchange.cards)
    overridden = next((each for each in found if _can_be_set_aside(each[2])), None)
    if overridden is None:
        return
    who, exchange, card = overridden
    console.rule(Text("Afterwards", style="bold"), align="left")
    reason = card["overrideReasons"][0]
    noted = send_feedback(service_url, exchange.service, card["uuid"], reason=reason)
    _line(console, "Feedback", f"{who}, “{card['summary']}”: overridden, {reason['display']}. {noted}")
    ledger = open_ledger(ledger_url)
    _show_ledger(console, ledger)
    _show_replay(console, ledger, who, str(card["uuid"]))
    _show_report(console, ledger)
    _line(console, "Insights", f"{service_url}/insights")
    _line(console, "", f"While this runs: THERAPY_CDS_DATABASE_URL={ledger_url} for these commands")


def _can_be_set_aside(card: Json) -> bool:
    return bool(card.get("uuid") and card.get("overrideReasons"))


def _show_ledger(console: Console, ledger: Ledger) -> None:
    breaks = list(ledger.breaks())
    if breaks:
        raise SandboxError(f"the ledger does not hold: {breaks[0]}")
    _line(console, "On record", f"{ledger.head()[0]} entries, the chain holds (therapy-cds replay --verify)")


def _show_replay(console: Console, ledger: Ledger, who: str, card: str) -> None:
    done = replay(ledger, recorded_call(ledger, card), packaged(), load_policies([packaged_policies()], packaged()))
    if done.differences:
        raise SandboxError(f"the order of {who} does not come out the same again: {done.differences[0]}")
    today = "would differ" if done.today or done.today_refused else "the same"
    _line(console, "Replay", f"{who} comes out the same again; under today's policies: {today}")
    _line(console, "", f"(therapy-cds replay {done.entry.id})")


def _show_report(console: Console, ledger: Ledger) -> None:
    cards = (reported := report_of(ledger, choice_of(None, None, None), packaged().override_reasons, [])).report.cards
    unknown = sum(figures.results["unknown"] for figures in reported.report.criteria.values())
    told = (
        f"{reported.report.calls} calls, {cards.shown} cards, {cards.overridden} overridden "
        f"({cards.false_alarms} as a false alarm), {cards.no_feedback} without feedback; {unknown} criteria unknown"
    )
    _line(console, "Report", f"{told} (therapy-cds report)")


def _line(console: Console, name: str, text: str) -> None:
    console.print(Text(f"{name:<13}{clean(text)}"), soft_wrap=True)
