"""Cards on a terminal, as a clinician would read them."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markdown import Markdown
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.segment import Segment
from rich.text import Text

from hooks.sandbox.orders import codings_of, lines_of, title_of, unit_of, visits_of, words_of

Json = dict[str, Any]
INDICATORS = {
    "info": ("Information", "cyan"),
    "warning": ("Warning", "yellow"),
    "critical": ("Critical", "red"),
}
OUTCOMES = {
    "criteria-met": ("criteria met", "green"),
    "criteria-not-met": ("criteria not met", "yellow"),
    "insufficient-information": ("insufficient information", "magenta"),
    "no-policy": ("no policy for this order", "blue"),
}
# Text from a server must not move the cursor or change the colours of somebody's terminal.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
PLAIN_WIDTH = 110


def console_for(*, stderr: bool = False) -> Console:
    """Make a console; a fixed width where there is no terminal, so that a log reads the same everywhere."""
    console = Console(stderr=stderr, highlight=False, emoji=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, emoji=False, width=PLAIN_WIDTH)


def clean(text: object) -> str:
    r"""Make a server's text safe for a terminal.

    >>> clean("20 of 14\x1b[2J")
    '20 of 14[2J'
    """
    return CONTROL.sub("", str(text))


def show_patient(console: Console, patient_id: str, payer: str, drafts: list[Json]) -> None:
    """Print the heading of a patient: the id, the payer, and what was ordered."""
    console.print()
    console.print(Rule(Text(f"Patient {clean(patient_id)}", style="bold"), align="left"))
    console.print(Text(f"Payer    {clean(payer)}"), soft_wrap=True)
    for draft in drafts:
        console.print(Text(f"Ordered  {clean(ordered(draft))}"), soft_wrap=True)


def ordered(draft: Json) -> str:
    """Say in one line what an order asks for."""
    parts = [title_of(draft)]
    codes = ", ".join(line.code for line in lines_of(draft))
    visits = visits_of(draft)
    reasons = "; ".join(words_of(item) for item in draft.get("reasonCode") or [] if codings_of(item))
    parts += [codes] if codes else []
    unit = unit_of(draft)
    parts += [f"{visits} {unit.removesuffix('s') if visits == '1' else unit}"] if visits else []
    parts += [f"for {reasons}"] if reasons else []
    return " · ".join(parts)


def show_assessment(console: Console, assessment: Json) -> None:
    """Print the outcome of an order, and the visits that were counted."""
    word, colour = OUTCOMES.get(str(assessment.get("outcome")), (str(assessment.get("outcome")), "white"))
    line = Text("Outcome  ")
    line.append(clean(word), style=f"bold {colour}")
    if assessment.get("policy"):
        version = assessment.get("policyVersion") or ""
        line.append(clean(f"  ({assessment['policy']} {version})"), "dim")
    console.print(line, soft_wrap=True)
    if isinstance(assessment.get("visits"), dict) and (says := visits_words(assessment["visits"])):
        console.print(Text(f"Visits   {says}"), soft_wrap=True)


def visits_words(visits: Json) -> str:
    """Say the counted visits in words; what is not known is said to be so.

    >>> visits_words({"completed": 18, "requested": 2, "total": 20, "limit": 14, "projected": [28, 36]})
    '18 completed + 2 requested = 20, limit 14; 28 to 36 projected'
    """
    if not visits:
        return ""
    completed, requested, total = (_number(visits.get(key)) for key in ("completed", "requested", "total"))
    words = f"{completed} completed + {requested} requested = {total}"
    if visits.get("limit") is not None:
        words += f", limit {_number(visits['limit'])}"
    projected = visits.get("projected")
    if isinstance(projected, list) and len(projected) == 2:
        low, high = projected
        words += f"; {_number(low)} projected" if low == high else f"; {_number(low)} to {_number(high)} projected"
    return words + ("; the count is not complete" if visits.get("complete") is False else "")


def _number(value: object) -> str:
    return "unknown" if value is None else clean(value)


def show_cards(console: Console, cards: list[Json]) -> None:
    """Print cards, or say plainly that there is no advice."""
    if not cards:
        console.print(Text("No advice: the service has nothing to say about this order.", style="green"))
    for card in cards:
        show_card(console, card)


def show_card(console: Console, card: Json) -> None:
    """Print one card."""
    word, colour = INDICATORS.get(str(card.get("indicator")), ("No indicator", "white"))
    console.print()
    heading = Text(f" {word.upper()} ", style=f"bold reverse {colour}")
    heading.append(f" {clean(card.get('summary', ''))}", style=f"bold not reverse {colour}")
    console.print(heading, soft_wrap=True)
    body = list(_body(card))
    if body:
        console.print(Panel(Group(*body), border_style=colour, padding=(0, 1)))


def _body(card: Json) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if card.get("detail"):
        parts += [_Tight(Markdown(clean(card["detail"]), hyperlinks=False)), Text()]
    for suggestion in card.get("suggestions") or []:
        mark = " (recommended)" if suggestion.get("isRecommended") else ""
        parts.append(Text(f"[ {clean(suggestion.get('label', ''))} ]{mark}", style="bold"))
        parts += [
            Padding(Text(clean(f"{action.get('type')}: {action.get('description', '')}")), (0, 0, 0, 4))
            for action in suggestion.get("actions") or []
        ]
    for link in card.get("links") or []:
        parts.append(Text(clean(f"Link ({link.get('type')}): {link.get('label')}  {link.get('url')}")))
    parts.append(Text(_foot(card), style="dim"))
    return parts


class _Tight:
    """Anything printable, with no empty line at its ends and never two of them in a row."""

    def __init__(self, inner: RenderableType) -> None:
        self.inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        waiting = False
        begun = False
        for line in console.render_lines(self.inner, options, pad=False):
            if not "".join(segment.text for segment in line).strip():
                waiting = begun
                continue
            if waiting:
                yield Segment.line()
            yield from line
            yield Segment.line()
            begun, waiting = True, False


def _foot(card: Json) -> str:
    source = card.get("source") or {}
    topic = source.get("topic") or {}
    parts = [f"Source: {clean(source.get('label', 'not named'))}"]
    parts += [f"topic {clean(topic.get('code'))}"] if topic.get("code") else []
    parts += [clean(source["url"])] if source.get("url") else []
    reasons = len(card.get("overrideReasons") or [])
    return " · ".join([*parts, f"{reasons} reasons to override" if reasons != 1 else "1 reason to override"])
