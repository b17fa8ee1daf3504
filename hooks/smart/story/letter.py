"""The letter, from the assessment alone: every sentence with its source, nothing invented, gaps left open. Pure.

It asks or reports, as the criteria came out; it never says what a payer decided or will decide. The letter to the payer
holds less than the summary: no remarks of this project, no technical reasons, no mental health that nobody asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from cds.model import Outcome, Result, Span
from cds.rules.explain import RESULT_WORDS

Json = dict[str, Any]


class Kind(StrEnum):
    """Which letter: that of who orders, or the summary of who reviews."""

    NECESSITY = "necessity"
    REVIEW = "review"


@dataclass(frozen=True)
class Sentence:
    """One sentence with where it comes from; a gap has no source, and says what is to be completed."""

    text: str
    sources: tuple[str, ...] = ()
    gap: bool = False


@dataclass(frozen=True)
class Section:
    """A heading with its sentences, as a paragraph or as a list."""

    title: str
    sentences: tuple[Sentence, ...]
    listed: bool = False


@dataclass(frozen=True)
class Letter:
    """A letter. `open` says whether something is left to complete."""

    kind: Kind
    title: str
    sections: tuple[Section, ...]

    @property
    def open(self) -> bool:
        """Whether there is a gap."""
        return any(sentence.gap for section in self.sections for sentence in section.sentences)


def letter_of(said: Json, id_: str, kind: Kind) -> Letter:
    """The letter of one assessment (`said` is `cds.as_json.whole_assessment`, `id_` its id in the ledger)."""
    required = [each for each in said["criteria"] if each["required"] and each["result"] != Result.NOT_APPLICABLE]
    is_open = [each for each in required if kind is Kind.NECESSITY and each["result"] == Result.UNKNOWN]
    sections = [
        Section("To", tuple(_addressee(said, kind))),
        Section("Concerning", tuple(_concerning(said, kind))),
        Section("What is asked" if kind is Kind.NECESSITY else "What came of it", tuple(_asked(said, id_, kind))),
        Section("Required criteria", tuple(_criteria(e for e in required if e not in is_open)), listed=True),
        Section("Visits", tuple(_visits(said, id_))),
        _open_section(said, required, kind),
        Section("Also weighed", tuple(_criteria(_advice(said, kind))), listed=True),
        Section("What could not be read", tuple(_gaps(said, kind)), listed=True),
        Section("Signature", (_gap(_SIGN[kind]),)),
    ]
    if kind is Kind.NECESSITY:
        sections = [replace(each, sentences=tuple(map(_for_payer, each.sentences))) for each in sections]
    merged = [replace(section, sentences=_merged(section.sentences)) for section in sections]
    return Letter(kind, _title(said, kind), tuple(section for section in merged if section.sentences))


_SIGN = {
    Kind.NECESSITY: "name, credentials, signature and date of the ordering clinician",
    Kind.REVIEW: "name, credentials, signature and date of the reviewer, and the reviewer's own judgement",
}


def _title(said: Json, kind: Kind) -> str:
    if kind is Kind.REVIEW:
        return "Review summary"
    return "Request for an exception" if _required(said, Result.NOT_MET) else "Letter of medical necessity"


def _required(said: Json, result: Result) -> list[Json]:
    return [each for each in said["criteria"] if each["required"] and each["result"] == result]


def _gap(what: str) -> Sentence:
    return Sentence(f"[to be completed by the clinician: {what}]", gap=True)


def _addressee(said: Json, kind: Kind) -> Iterable[Sentence]:
    coverage = said["coverage"]
    name = coverage and (coverage["payerName"] or ", ".join(coverage["payers"]))
    if name:
        yield Sentence(f"{name}.", (coverage["reference"],))
    else:
        yield _gap("the payer, whose coverage is not known")
    if kind is Kind.NECESSITY:
        yield _gap("address of the payer, and the member's number")


def _concerning(said: Json, kind: Kind) -> Iterable[Sentence]:
    if kind is Kind.NECESSITY:
        yield _gap("name and date of birth of the patient")
    requested = _count(said, "requested")
    lines = f", lines {', '.join(said['lines'])}" if said["lines"] else ""
    if requested is not None:
        yield Sentence(f"The order asks for {requested}: {said['orderLabel']}{lines}.", (said["order"],))
    else:
        yield Sentence(f"The order is for {said['orderLabel']}{lines}.", (said["order"],))
        # Without a policy nothing was counted, whatever the order says.
        yield _gap("the number of visits" + (f" ({why})" if (why := said["requestedWhy"]) else ""))
    if authorization := said["authorization"]:
        yield Sentence(f"An authorization {authorization['number']} is on file.", (authorization["reference"],))


def _count(said: Json, name: str) -> str | None:
    pair = (said["count"] or {}).get(name)
    if pair is None:
        return None
    span = Span(pair[0], pair[1])
    return f"{span} visit{'' if span.exact == 1 else 's'}"


def _asked(said: Json, id_: str, kind: Kind) -> Iterable[Sentence]:
    assessment = f"assessment {id_}"
    if said["policy"] is None:
        yield Sentence(f"{said['says']}.", (assessment,))
        yield _gap("the criteria by which the order is to be weighed")
        return
    version = f"{said['policyTitle']} ({said['policyKind']}, version {said['policyVersion']})"
    cite = said["policySource"].get("text") or said["policy"]
    yield Sentence(f"The order was weighed as of {said['asOf']} by {version}.", (assessment, cite))
    yield Sentence(f"{said['says']}.", (assessment,))
    if kind is Kind.REVIEW:
        return
    if said["outcome"] == Outcome.CRITERIA_MET:
        yield Sentence("The ordered therapy is asked for on the ground of these criteria.", (said["order"], assessment))
    if _required(said, Result.NOT_MET):
        yield Sentence(
            "An exception is asked for from the criteria below that are not met.", (said["order"], assessment)
        )
        yield _gap("why this patient needs the therapy although these criteria are not all met")
    if _required(said, Result.UNKNOWN):
        text = "Whether the criteria listed as to be completed are met is not known yet."
        yield Sentence(text, (assessment,))


def _criteria(told: Iterable[Json]) -> Iterable[Sentence]:
    for each in told:
        word = RESULT_WORDS[Result(each["result"])]
        sources = (f"criterion {each['id']}", *each["evidence"], *([each["cite"]] if each["cite"] else []))
        yield Sentence(f"{each['statement']}: {word}. {each['says']}.", sources)


def _advice(said: Json, kind: Kind) -> list[Json]:
    """What is not required, and was found out: unknown advice would only fill the page."""
    found = [
        each for each in said["criteria"] if not each["required"] and each["result"] in (Result.MET, Result.NOT_MET)
    ]
    return [each for each in found if kind is Kind.REVIEW or not _is_mental(each)]


_MENTAL = re.compile(r"\b(?:PHQ|GAD)-?\d|depress|anxiety|suicid|self-harm|mental[ -]health|psychiatr", re.IGNORECASE)


def _is_mental(told: Json) -> bool:
    """Whether a criterion or a note tells of the patient's mental health: a payer gets no more of it than needed."""
    return any(_MENTAL.search(told.get(name) or "") for name in ("id", "statement", "says", "reason"))


def _visits(said: Json, id_: str) -> Iterable[Sentence]:
    count = said["count"]
    if count is None:
        return
    sources = (f"assessment {id_}", *_evidence_of_visits(said))
    if count["says"]:
        yield Sentence(f"{count['says']}.", sources)
    if count["start"]:
        yield Sentence(f"The episode of care began on {count['start']}.", sources[:2])
    # An order by itself can be projected too, and then no plan of care says anything (the sum is the count above).
    if count["complete"] and count["projected"] != count["total"] and (projected := _count(said, "projected")):
        yield Sentence(f"The plan of care projects {projected} in all.", sources[:1])
    if count["scheduled"]:
        yield Sentence(f"Booked after that day: {count['scheduled']}.", sources[:1])
    for doubt in count["doubts"]:
        yield Sentence(f"The count is not sure: {doubt}.", sources[:1])


def _evidence_of_visits(said: Json) -> Sequence[str]:
    counted = [each["evidence"] for each in said["criteria"] if "limit" in each["facts"] and each["evidence"]]
    return tuple(counted[0]) if counted else ()


def _open_section(said: Json, required: Sequence[Json], kind: Kind) -> Section:
    """What is missing, as gaps in a letter that asks; in a summary also what would change it, as plain sentences."""
    if kind is Kind.NECESSITY:
        unknown = [each for each in required if each["result"] == Result.UNKNOWN]
        return Section("To be completed", (*_criteria(unknown), *_missing(said, required)), listed=True)
    wanted = [each for each in required if each["result"] in (Result.NOT_MET, Result.UNKNOWN)]
    sentences = [
        Sentence(f"{each['statement']}: {change}.", (f"criterion {each['id']}",))
        for each in wanted
        for change in (*each["missing"], *each["wouldChange"])
    ]
    return Section("What would settle or change it", tuple(sentences), listed=True)


def _missing(said: Json, required: Iterable[Json]) -> Iterable[Sentence]:
    """A gap for each thing that is missing, with all the criteria that want it."""
    wanting: dict[str, list[str]] = {}
    for each in required:
        for what in each["missing"]:
            wanting.setdefault(_plain(what), []).append(each["statement"])
    for what, statements in wanting.items():
        yield _gap(f"{'; '.join(dict.fromkeys(statements))}: {what}")
    if len(_advice(said, Kind.REVIEW)) > len(_advice(said, Kind.NECESSITY)):
        yield _gap("a mental-health finding was left out here, as the policy does not require it; it may be added")


def _gaps(said: Json, kind: Kind) -> Iterable[Sentence]:
    for gap in said["gaps"]:
        yield Sentence(f"{gap['reason']}.", (f"search {gap['asked']}",))
    for note in said["notes"]:
        if kind is Kind.REVIEW or not _is_mental(note):
            yield Sentence(f"{note['reason'][:1].upper()}{note['reason'][1:]}.", (note["source"],))


def _merged(sentences: Iterable[Sentence]) -> tuple[Sentence, ...]:
    """Each sentence once, with the sources of all its copies."""
    told: dict[str, Sentence] = {}
    for each in sentences:
        first = told.get(each.text, each)
        told[each.text] = replace(first, sources=tuple(dict.fromkeys((*first.sources, *each.sources))))
    return tuple(told.values())


# ---------------------------------------------------------------------- what a payer's letter leaves out

_JARGON = re.compile(r"(?:prefetch '[^']*'|\b[A-Z]\w+ is not whole\b)[^;\]]*?(?=[;\]]|\.?$)")
_REMARK = re.compile(r"(?:A choice of this project|Example determination|Review decision of example)", re.IGNORECASE)
_QUOTED = re.compile(r",? as quoted in the review decision of example \w+", re.IGNORECASE)
_MOST, _SHOWN = 6, 3


def _plain(text: str) -> str:
    """Text without the technical reason why the EHR's answer was not whole."""
    told = _JARGON.sub("part of the record was not delivered", text)
    return f"{told[:1].upper()}{told[1:]}" if _JARGON.match(text) else told


def _for_payer(sentence: Sentence) -> Sentence:
    return replace(sentence, text=_plain(sentence.text), sources=_shortened(sentence.sources))


def _shortened(sources: Sequence[str]) -> tuple[str, ...]:
    """Sources without this project's own remarks; of many resources the first ones, and how many more there are."""
    cited = [part for source in sources for part in _QUOTED.sub("", source).split("; ") if not _REMARK.match(part)]
    records = [source for source in cited if re.fullmatch(r"[A-Z]\w+/\S+", source)]
    if len(cited) <= _MOST or len(records) <= _SHOWN:
        return tuple(cited)
    more = f"and {len(records) - _SHOWN} more"
    return tuple(
        more if source == records[_SHOWN] else source for source in cited if source not in records[_SHOWN + 1 :]
    )
