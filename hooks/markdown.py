"""The words of a card's detail, as short GitHub-flavoured markdown. Pure.

Text that may come from the record is escaped: some EHRs render raw HTML, all render markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cds.model import Assessment, CriterionResult, Result
from cds.rules.explain import RESULT_WORDS, gap_sentences

_SPECIAL = re.compile(r"([\\`*_\[\]#~|!])")
# Control characters would drive a terminal, and marks of direction would turn the words around.
_UNSEEN = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_MARKS = {Result.MET: "✓", Result.NOT_MET: "✗", Result.UNKNOWN: "?", Result.NOT_APPLICABLE: "–"}


def escape(text: str) -> str:
    r"""Text that shows as it is written, in markdown and in HTML, on one line.

    >>> escape("<b>a|b*")
    '&lt;b&gt;a\\|b\\*'
    """
    flat = _flat(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", flat)


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", _UNSEEN.sub("", text)).strip()


def plain(text: str, most: int) -> str:
    """One line of at most `most` characters, for fields that are not markdown."""
    flat = _flat(re.sub(r"[<>]", "", text))
    return flat if len(flat) <= most else flat[: most - 1].rstrip() + "…"


def criteria_table(results: Iterable[CriterionResult]) -> str:
    """Statement, result and what was found, a row each; empty where there is no row."""
    rows = [_row(result) for result in results]
    return "\n".join(["| Criterion | Result | Found |", "|---|---|---|", *rows]) if rows else ""


def _row(result: CriterionResult) -> str:
    statement = escape(result.statement) + ("" if result.required else " (advice)")
    return f"| {statement} | {_MARKS[result.result]} {RESULT_WORDS[result.result]} | {escape(result.says)} |"


def bullets(title: str, sentences: Sequence[str], most: int = 4) -> str:
    """A bold title with a list; empty where there is nothing to list."""
    if not sentences:
        return ""
    items = [f"- {escape(sentence)}" for sentence in sentences[:most]]
    if len(sentences) > most:
        items.append(f"- and {len(sentences) - most} more")
    return "\n".join([f"**{title}**", "", *items])


def source_line(assessment: Assessment) -> str:
    """Policy, version, day and citation: whose criteria these are."""
    if assessment.policy is None:
        return f"*Order weighed as of {assessment.as_of}.*"
    cite = assessment.policy_source.get("text", "")
    return (
        f"*{escape(assessment.policy_title)} ({assessment.policy_kind}, version {assessment.policy_version}), "
        f"as of {assessment.as_of}. {escape(cite)}.*"
    )


def gaps(assessment: Assessment) -> str:
    """What could not be read of the record, so that nobody takes silence for an answer."""
    return bullets("Could not be read", gap_sentences(assessment))


def join(*parts: str) -> str:
    """Paragraphs, without empty ones."""
    return "\n\n".join(part for part in parts if part)
