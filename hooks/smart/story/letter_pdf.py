"""A letter as PDF, by fpdf2 with the fonts that every reader has: nothing is fetched, nothing is embedded.

Those fonts know Western letters only. Others become their plain letter where they have one, and else their code point,
so that nothing vanishes from a letter without a trace.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hooks.smart.story.letter import Letter, Section, Sentence

if TYPE_CHECKING:
    from fpdf import FPDF

_FONT = "helvetica"
_SOFT, _INK = (90, 90, 90), (20, 20, 20)
_PLAIN = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\u2022", "-"),
    **dict.fromkeys("\u2018\u2019\u201a", "'"),
    **dict.fromkeys("\u201c\u201d\u201e", '"'),
    **dict.fromkeys("\u00a0\u2009\u202f", " "),
    "\u2026": "...",
    "\u2264": "<=",
    "\u2265": ">=",
    "\u2192": "->",
    "\u03bc": "\u00b5",
    "\u20ac": "EUR",
}
_LETTER = "LETTER "


def pdf_of(letter: Letter, made: datetime, *, compressed: bool = True) -> bytes:
    """The letter on pages of US letter size. `made` is the moment for the document's own data."""
    from fpdf import FPDF  # a tenth of a second, and only a PDF needs it

    pdf = FPDF(format="letter", unit="mm")
    pdf.set_compression(compressed)
    pdf.set_creation_date(made.astimezone(UTC))
    pdf.set_title(printable(letter.title))
    pdf.set_lang("en-US")
    pdf.set_margins(22, 20)
    pdf.set_auto_page_break(True, margin=20)
    pdf.add_page()
    _line(pdf, letter.title, 16, bold=True)
    if letter.open:
        _line(pdf, "Draft: what stands in square brackets is to be completed.", 10)
    for section in letter.sections:
        _section(pdf, section)
    return bytes(pdf.output())


def printable(text: str) -> str:
    """Text as the fonts can show it.

    >>> printable("Škoda ≥ 5 µg — 中")
    'Skoda >= 5 µg - [U+4E2D]'
    """
    return "".join(map(_printable, unicodedata.normalize("NFC", text)))


def _printable(sign: str) -> str:
    if sign in _PLAIN:
        return _PLAIN[sign]
    if sign == "\n" or " " <= sign <= "~" or "\xa1" <= sign <= "\xff":
        return sign
    bare = unicodedata.normalize("NFKD", sign)
    plain = "".join(each for each in bare if " " <= each <= "~")
    if plain and all(" " <= each <= "~" or unicodedata.combining(each) for each in bare):
        return plain
    # `LATIN SMALL LETTER L WITH STROKE` has no decomposition, but its name tells the letter.
    name = unicodedata.name(sign, "")
    letter = name.partition(_LETTER)[2].partition(" WITH ")[0]
    if name.startswith("LATIN ") and len(letter) == 1:
        return letter if "CAPITAL" in name else letter.lower()
    return f"[U+{ord(sign):04X}]"


def _section(pdf: FPDF, section: Section) -> None:
    pdf.ln(3)
    _line(pdf, section.title, 12, bold=True)
    for sentence in section.sentences:
        _sentence(pdf, sentence, listed=section.listed)


def _sentence(pdf: FPDF, sentence: Sentence, *, listed: bool) -> None:
    _line(pdf, f"- {sentence.text}" if listed else sentence.text, 11, bold=sentence.gap)
    if sentence.sources:
        _line(pdf, f"Source: {'; '.join(sentence.sources)}", 8, soft=True)


def _line(pdf: FPDF, text: str, size: int, *, bold: bool = False, soft: bool = False) -> None:
    pdf.set_font(_FONT, style="B" if bold else "", size=size)
    pdf.set_text_color(*(_SOFT if soft else _INK))
    pdf.multi_cell(0, size * 0.48, printable(text), align="L", new_x="LMARGIN", new_y="NEXT")
