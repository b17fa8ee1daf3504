"""Figures of a report as pictures: SVG to stand inside a page, drawn by pygal, coloured by the page's own stylesheet.

A picture holds no style and no script, so that a page of a strict Content-Security-Policy can show it. Whatever it
shows stands in a table beside it.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from markupsafe import Markup

from cds.model import Outcome
from cds.reporting.figures import Report
from cds.reporting.tables import HABITS
from hooks.charting import charts, style

# pygal leaves behind a finder of modules of a kind that Python has given up: each later import would warn of it.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "PluginImportFixer"]

WIDTH = 860
ROW = 30
MOST_ROWS = 14
MOST_BARS = 45
MOST_LABELS = 9
_SVG = "http://www.w3.org/2000/svg"
_FONTS = {"label_font_size": 13, "major_label_font_size": 13, "legend_font_size": 13, "font_family": "sans-serif"}
# What pygal puts in for its tooltips, and the style and script that a strict page refuses.
_TAKEN_OUT = frozenset(f"{{{_SVG}}}{name}" for name in ("defs", "desc", "title"))
_OVERLAYS = frozenset(("plot text-overlay", "plot tooltip-overlay"))
ET.register_namespace("", _SVG)


@dataclass(frozen=True)
class Picture:
    """An SVG element, its title, and what each of its colours stands for; `kind` chooses the colours."""

    svg: Markup
    title: str
    kind: str
    key: tuple[str, ...]


def days_picture(report: Report) -> Picture:
    """How often each policy was applied, day by day or, over a long time, week by week."""
    days = list(report.days.items())
    step = 1 if len(days) <= MOST_BARS else 7
    bins = [days[start : start + step] for start in range(0, len(days), step)]
    names = sorted({name for _, figures in days for name in figures.policies})
    chart = _chart("StackedBar", 300)
    every = -(-len(bins) // MOST_LABELS)
    chart.x_labels = [_label(bin_[0][0], step) for bin_ in bins]
    chart.x_labels_major = chart.x_labels[::every]
    chart.show_minor_x_labels = False
    for name in names:
        chart.add(name, [sum(figures.policies[name] for _, figures in bin_) for bin_ in bins])
    return _picture(chart, "policies-by-day", "How often each policy was applied, over time", names)


def outcomes_picture(report: Report) -> Picture:
    """With which outcome each policy was applied."""
    rows = [(name, figures) for name, figures in sorted(report.policies.items()) if figures.assessments]
    words = ("criteria met", "criteria not met", "not enough information", "no policy")
    series = [
        (word, [figures.outcomes[o.value] for _, figures in rows]) for word, o in zip(words, Outcome, strict=True)
    ]
    return _rows([name for name, _ in rows], series, "outcomes", "With which outcome each policy was applied")


def cards_picture(report: Report) -> Picture:
    """What became of the cards of each criterion, those with the most cards first."""
    shown = [(name, figures) for (_, name), figures in report.criteria.items() if figures.shown]
    rows = sorted(shown, key=lambda row: (-row[1].shown, row[0]))[:MOST_ROWS]
    series = [
        ("accepted", [figures.accepted for _, figures in rows]),
        ("overridden, false alarm", [figures.false_alarms for _, figures in rows]),
        ("overridden otherwise", [figures.overridden - figures.false_alarms for _, figures in rows]),
        ("no feedback", [figures.no_feedback for _, figures in rows]),
    ]
    return _rows([name for name, _ in rows], series, "feedback", "What became of the cards of each criterion")


def prefetch_picture(report: Report, client: str) -> Picture:
    """How a client sends each key of prefetch, in percent of its calls."""
    habits = report.clients[client].prefetch
    keys = [key for key in habits if not key.startswith("(")]
    series = [(habit, [100 * habits[key][habit] / habits[key].total() for key in keys]) for habit in HABITS]
    return _rows(keys, series, "habits", f"How {client} sends each key of prefetch, in percent of its calls", row=22)


def _label(day: str, step: int) -> str:
    first = date.fromisoformat(day)
    last = first + timedelta(days=step - 1)
    return f"{first:%d %b}" if step == 1 else f"{first:%d %b} to {last:%d %b}"


def _rows(
    names: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], kind: str, title: str, row: int = ROW
) -> Picture:
    """Horizontal bars, the first name on top."""
    chart = _chart("HorizontalStackedBar", 44 + row * max(len(names), 2))
    chart.x_labels = list(reversed(names))
    for name, values in series:
        chart.add(name, list(reversed(values)))
    return _picture(chart, kind, title, [name for name, _ in series])


def _chart(kind: str, height: int) -> Any:  # noqa: ANN401 - pygal has no types
    return getattr(charts(), kind)(
        css=[], js=[], style=style(**_FONTS), width=WIDTH, height=height, margin=8, spacing=8, show_legend=False,
        truncate_label=-1, print_values=False, no_data_text="", value_formatter=lambda value: f"{value:,.0f}",
        min_scale=3, max_scale=8,
    )  # fmt: skip


def _picture(chart: Any, kind: str, title: str, key: Sequence[str]) -> Picture:  # noqa: ANN401 - pygal has no types
    root = ET.fromstring(chart.render())  # noqa: S314 - of our own making
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in _TAKEN_OUT or child.get("class") in _OVERLAYS:
                parent.remove(child)
    view = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"viewBox": view, "class": "picture", "role": "img", "aria-label": title})
    # Made by a library out of escaped text: numbers, and names of policies, criteria, clients and keys.
    return Picture(Markup(ET.tostring(root, encoding="unicode")), title, kind, tuple(key))  # noqa: S704
