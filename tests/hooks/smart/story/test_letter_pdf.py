"""The letter as PDF: all its sentences are in it, in whatever script a name is written."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from flask import Flask

from hooks.smart.story.letter import Kind, Letter, Section, Sentence, letter_of
from hooks.smart.story.letter_pdf import pdf_of, printable
from tests.hooks.calls import EXAMPLES
from tests.hooks.smart.story.stories import signed

MADE = datetime(2025, 3, 10, 12, tzinfo=UTC)


def text_of(pdf: bytes) -> str:
    """The words of a PDF that is not compressed, in their order, without spaces."""
    shown = re.findall(r"\(((?:[^()\\]|\\.)*)\) Tj|\[((?:\((?:[^()\\]|\\.)*\)[^\]]*?)*)\] TJ", pdf.decode("latin-1"))
    parts = ["".join(re.findall(r"\(((?:[^()\\]|\\.)*)\)", several)) or one for one, several in shown]
    return re.sub(r"\s", "", re.sub(r"\\(.)", r"\1", "".join(parts)))


def bare(text: str) -> str:
    return re.sub(r"\s", "", printable(text))


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_sentence_is_in_the_pdf_when_a_letter_is_printed(app: Flask, name: str, kind: Kind) -> None:
    story = signed(app, name)
    letter = letter_of(story.said, story.id, kind)
    pdf = pdf_of(letter, MADE, compressed=False)
    assert pdf.startswith(b"%PDF-")
    shown = text_of(pdf)
    for section in letter.sections:
        assert bare(section.title) in shown
        for sentence in section.sentences:
            assert bare(sentence.text) in shown
            assert bare("; ".join(sentence.sources)) in shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Škoda", "Skoda"),
        ("Łódź", "Lódz"),
        ("Müller, 5 µg", "Müller, 5 µg"),
        ("14 – 20 ≥ 9 “so”", '14 - 20 >= 9 "so"'),
        ("Ω 中", "[U+03A9] [U+4E2D]"),
        ("a\u0301", "á"),
        ("\u202eevil", "[U+202E]evil"),
        ("plan\x07", "plan[U+0007]"),
    ],
)
def test_letters_are_kept_or_named_when_the_font_does_not_know_them(written: str, shown: str) -> None:
    assert printable(written) == shown


def test_pdf_is_made_when_a_name_is_in_another_script() -> None:
    letter = Letter(Kind.NECESSITY, "Letter", (Section("To", (Sentence("Больница № 1, 北京 😀.", ("Coverage/1",)),)),))
    assert "[U+0411]" in text_of(pdf_of(letter, MADE, compressed=False))


def test_pdf_is_the_same_when_it_is_made_again(app: Flask) -> None:
    story = signed(app)
    letter = letter_of(story.said, story.id, Kind.NECESSITY)
    assert pdf_of(letter, MADE) == pdf_of(letter, MADE)


def test_long_words_are_broken_when_they_are_wider_than_the_page() -> None:
    long = "Encounter/" + "x" * 400
    letter = Letter(Kind.REVIEW, "Review summary", (Section("To", (Sentence("A.", (long,)),)),))
    assert long in text_of(pdf_of(letter, MADE, compressed=False))
