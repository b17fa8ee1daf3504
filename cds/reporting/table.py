"""What a table of a report is."""

from __future__ import annotations

from dataclasses import dataclass

Cell = str | int | float | None
TEXT, NUMBER, SHARE, TIME = "text", "number", "share", "time"


@dataclass(frozen=True)
class Column:
    """A column: its key for programs, its heading for people, what its cells are (a share is from 0 to 1)."""

    key: str
    heading: str
    kind: str = NUMBER


@dataclass(frozen=True)
class Table:
    """One table of a report; `about` says what it shows. A cell that cannot be known is None."""

    id: str
    title: str
    about: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
