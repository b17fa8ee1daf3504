"""The letter, from the assessment alone: every sentence with its source, nothing invented, gaps left open. Pure.

It asks or reports, as the criteria came out; it never says what a payer decided or will decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
    sections = [
        Section("To", tuple(_addressee(said, kind))),
        Section("Concerning", tuple(_concerning(said, kind))),
        Section("What is asked" if kind is Kind.NECESSITY else "What came of it", tuple(_asked(said, id_, kind))),
        Section("Required criteria", tuple(_criteria(required)), listed=True),
        Section("Visits", tuple(_visits(said, id_))),
        *_open_sections(said, required, kind),
        Section("Also weighed", tuple(_criteria(_advice(said))), listed=True),
        Section("What could not be read", tuple(dict.fromkeys(_gaps(said))), listed=True),
        Section("Signature", (_gap(_SIGN[kind]),)),
    ]
    return Letter(kind, _title(said, kind), tuple(section for section in sections if section.sentences))


_SIGN = {
    Kind.NECESSITY: "name, credentials, signature and date of the ordering clinician",
    Kind.REVIEW: "name, credentials, signature and date of the reviewer, and the reviewer's own judgement",
}


def _title(said: Json, kind: Kind) -> str:
    if kind is Kind.REVIEW:
        return "Review summary"
    is_exception = said["policy"] is not None and said["outcome"] != Outcome.CRITERIA_MET
    return "Request for an exception" if is_exception else "Letter of medical necessity"


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
    else:
        yield Sentence("An exception is asked for from the criteria below that are not met or not known.",
                       (said["order"], assessment))  # fmt: skip
        yield _gap("why this patient needs the therapy although these criteria are not all met")


def _criteria(told: Iterable[Json]) -> Iterable[Sentence]:
    for each in told:
        word = RESULT_WORDS[Result(each["result"])]
        sources = (f"criterion {each['id']}", *each["evidence"], *([each["cite"]] if each["cite"] else []))
        yield Sentence(f"{each['statement']}: {word}. {each['says']}.", sources)


def _advice(said: Json) -> list[Json]:
    """What is not required, and was found out: unknown advice would only fill the page."""
    return [
        each for each in said["criteria"] if not each["required"] and each["result"] in (Result.MET, Result.NOT_MET)
    ]


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


def _open_sections(said: Json, required: Iterable[Json], kind: Kind) -> Iterable[Section]:
    """What is missing, as gaps in a letter that asks, and as plain sentences in a summary."""
    wanted = [each for each in required if each["result"] in (Result.NOT_MET, Result.UNKNOWN)]
    sentences: list[Sentence] = []
    for each in wanted:
        for change in (*each["missing"], *each["wouldChange"]):
            text = f"{each['statement']}: {change}"
            is_gap = kind is Kind.NECESSITY
            sentences.append(_gap(text) if is_gap else Sentence(f"{text}.", (f"criterion {each['id']}",)))
    title = "To be completed" if kind is Kind.NECESSITY else "What would settle or change it"
    yield Section(title, tuple(dict.fromkeys(sentences)), listed=True)


def _gaps(said: Json) -> Iterable[Sentence]:
    for gap in said["gaps"]:
        yield Sentence(f"{gap['reason']}.", (f"search {gap['asked']}",))
    for note in said["notes"]:
        yield Sentence(f"{note['reason'][:1].upper()}{note['reason'][1:]}.", (note["source"],))
