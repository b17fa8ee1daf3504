"""Drawings by pygal as SVG that stands in a page under a strict policy: no script, no style, no font of its own.

What is drawn has classes, and `story.css` gives them their colours, light and dark. Pygal is loaded with the first
drawing, so that it does not slow the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from markupsafe import Markup

from hooks.charting import charts, style

WIDTH, HEIGHT = 560, 340
FONT = 16
_APART = 0.08
_MONTHS = 6


@dataclass(frozen=True)
class Series:
    """One series of a drawing: `name` is its class; `mark` the shape of its points (`circle`, `diamond`, …) or ""."""

    name: str
    points: Sequence[tuple[date, float]]
    mark: str = ""
    line: bool = True
    fill: bool = False


def drawing(
    name: str, series: Iterable[Series], marks: Sequence[float], limits: tuple[float, float], zero: float = 0
) -> Markup:
    """The series over time. `marks` are the numbers worth a label at the side, the most important first.

    `limits` are the least and the greatest number; filled series are filled as far as `zero`. The drawing is hidden
    from those who listen to the page: a figure's words and tables tell all of it.
    """
    drawn = list(series)
    days = [day for each in drawn for day, _ in each.points]
    chart = charts().DateLine(
        js=(), css=(), width=WIDTH, height=HEIGHT, explicit_size=False, show_legend=False, title=None,
        disable_xml_declaration=True, show_minor_y_labels=True, range=limits, zero=zero,
        margin=8, margin_right=30, spacing=6,
        style=style(label_font_size=FONT, major_label_font_size=FONT, font_family="sans-serif"),
        x_value_formatter=lambda day: f"{day:%b} {day:%y}", value_formatter=lambda value: f"{value:g}",
    )  # fmt: skip
    chart.uuid = name
    chart.x_labels = months_between(min(days), max(days))
    chart.y_labels = [{"label": f"{mark:g}", "value": mark} for mark in labels_of(marks, limits)]
    for each in drawn:
        chart.add(
            each.name, list(each.points), show_dots=bool(each.mark), stroke=each.line, fill=each.fill, dots_size=4
        )
    chart.add_xml_filter(lambda root: _bare(root, drawn))
    return Markup(chart.render(is_unicode=True))  # noqa: S704 - made here, of numbers, days and our own names


def months_between(first: date, last: date) -> list[date]:
    """Firsts of months within two days, at most six of them; the two days where no month begins between them.

    >>> months_between(date(2025, 1, 10), date(2025, 3, 2))
    [datetime.date(2025, 2, 1), datetime.date(2025, 3, 1)]
    """
    found, day = [], date(first.year, first.month, 1)
    while day <= last:
        if day >= first:
            found.append(day)
        day = (day + timedelta(days=32)).replace(day=1)
    return found[:: -(-len(found) // _MONTHS)] if found else sorted({first, last})


def labels_of(marks: Sequence[float], limits: tuple[float, float]) -> list[float]:
    """The marks that have room beside one another, those named first before others.

    >>> labels_of([20, 14, 36, 28, 18, 0], (0, 36))
    [0, 14, 20, 28, 36]
    """
    room = _APART * (limits[1] - limits[0])
    kept: list[float] = []
    for mark in marks:
        if all(abs(mark - other) >= room for other in kept):
            kept.append(mark)
    return sorted(kept)


# ------------------------------------------------------------------------------------- what pygal drew, made bare


def _bare(root: Any, drawn: Sequence[Series]) -> Any:  # noqa: ANN401 - an element of whichever library pygal has
    """The drawing without styles, scripts, comments and words for tooltips; series by their own names."""
    for parent in list(root.iter()):
        for child in list(parent):
            kind = _tag(child)
            if (
                kind in ("style", "script", "desc", "title", "defs", "")
                or "tooltip" in child.get("class", "").split()[:1]
            ):
                parent.remove(child)
    for node in root.iter():
        for index, each in enumerate(drawn):
            if f"serie-{index}" in node.get("class", "").split():
                node.set("class", f"series {each.name}")
                _shape(node, each.mark)
    root.set("class", "drawing")
    root.set("aria-hidden", "true")
    root.set("focusable", "false")
    return root


def _tag(node: Any) -> str:  # noqa: ANN401 - as above
    """The bare name of an element; "" for a comment."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def _shape(series: Any, mark: str) -> None:  # noqa: ANN401 - as above
    """Points of another shape than pygal's circles, so that they can be told apart without colours."""
    for node in series.iter():
        if _tag(node) != "circle" or mark == "circle":
            continue
        x, y = float(node.get("cx")), float(node.get("cy"))
        node.tag = node.tag.replace("circle", "path")
        for name in ("cx", "cy", "r"):
            del node.attrib[name]
        node.set("d", _PATHS[mark].format(x=x, y=y, left=x - 6, right=x + 6, top=y - 6, bottom=y + 6))


_PATHS = {
    "diamond": "M{left} {y} L{x} {top} L{right} {y} L{x} {bottom} Z",
    "square": "M{left} {top} L{right} {top} L{right} {bottom} L{left} {bottom} Z",
    "cross": "M{left} {top} L{right} {bottom} M{left} {bottom} L{right} {top}",
    "triangle": "M{x} {top} L{right} {bottom} L{left} {bottom} Z",
}
