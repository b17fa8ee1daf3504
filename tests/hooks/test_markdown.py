"""Words of the record in a card: they show as they are written, in markdown and in HTML."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cds.model import CriterionResult, Result
from hooks import markdown

HOSTILE = (
    "<script>alert(1)</script> | x",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/track.png)",
    "**bold** _em_ `code` ~~gone~~ # head",
    "a\n\n# Heading\n\n- item",
    "a | b | c\n|---|---|",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; &amp; \\* \\",
    "<!-- hidden",
    "line\r\n\r\n---\r\nrule",
)


def result(says: str, statement: str = "S") -> CriterionResult:
    return CriterionResult("c", statement, True, Result.NOT_MET, says)


def rendered(text: str) -> str:
    return str(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_words_show_as_written_when_they_are_escaped(text: str) -> None:
    shown = rendered(markdown.escape(text))
    assert re.findall(r"<(\w+)", shown) == ["p"]
    assert html.unescape(re.sub(r"</?p>", "", shown)).strip() == " ".join(text.split())


@given(st.text(max_size=60))
def test_no_element_is_made_when_any_text_is_escaped(text: str) -> None:
    shown = rendered(f"x {markdown.escape(text)} x")
    assert set(re.findall(r"<(\w+)", shown)) == {"p"}


@pytest.mark.parametrize("text", HOSTILE)
def test_the_table_keeps_its_columns_when_words_are_hostile(text: str) -> None:
    shown = rendered(markdown.criteria_table([result(text, text)]))
    assert shown.count("<td") == 3
    assert set(re.findall(r"<(\w+)", shown)) == {"table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize("text", HOSTILE)
def test_the_list_keeps_its_items_when_words_are_hostile(text: str) -> None:
    shown = rendered(markdown.bullets("Title", [text, text]))
    assert shown.count("<li>") == 2
    assert set(re.findall(r"<(\w+)", shown)) == {"p", "strong", "ul", "li"}


def test_what_nobody_sees_is_taken_out_when_text_is_escaped() -> None:
    assert markdown.escape("a\x1b[31m\x00\u202eb\u200b") == "a\\[31mb"
    assert markdown.plain("a\x1b\x00\u202e\u2066b\ufeff", 10) == "ab"


def test_the_rest_is_counted_when_a_list_is_long() -> None:
    assert markdown.bullets("T", [str(n) for n in range(9)], most=4).splitlines()[-1] == "- and 5 more"


def test_nothing_is_written_when_there_is_nothing_to_list() -> None:
    assert markdown.bullets("T", []) == markdown.criteria_table([]) == ""


@given(st.text(), st.integers(2, 139))
def test_plain_text_is_one_short_line_when_any_text_comes(text: str, most: int) -> None:
    line = markdown.plain(text, most)
    assert len(line) <= most
    assert not set("<>\n\r") & set(line)
