from __future__ import annotations

import pytest

from hooks.sandbox.markup import html_of


@pytest.mark.parametrize(
    "markdown",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](https://elsewhere.example/pixel.png)",
        "[x](javascript:alert(1))",
        "| a |\n|:-:|\n| <b style='x'>b</b> |",
    ],
)
def test_nothing_active_is_rendered_when_a_card_holds_html(markdown: str) -> None:
    html = str(html_of(markdown))
    assert not any(bad in html for bad in ("<script", "<img", 'href="javascript', ' style="', "<b "))


def test_table_is_rendered_when_a_card_holds_one() -> None:
    assert "<th>criterion</th>" in html_of("| criterion | result |\n|---|---|\n| visits | not met |")


def test_link_opens_without_telling_where_from_when_a_card_holds_one() -> None:
    assert 'rel="noopener noreferrer"' in html_of("[the plan](https://plan.example/list)")
