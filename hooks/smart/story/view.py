"""What the page of a story shows, from the ledger's entry and the record of the day: its own words are labels. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cds.course import course_of, trends_of
from cds.model import Days, Document, Done, EvidenceState, Image, Measure, Record, Result, Statement, Treatment
from cds.recording import evidence_of
from cds.rules.explain import RESULT_WORDS
from cds.story import Story
from hooks.smart.story.pictures import Picture, score_picture, visits_picture

Json = dict[str, Any]
# A shape beside the word, so that nothing hangs on colour: as cards have them.
_SHAPES = {Result.MET: "✓", Result.NOT_MET: "✗", Result.UNKNOWN: "?", Result.NOT_APPLICABLE: "–"}
_STATES = {
    EvidenceState.SUPPLIED: "came with the order",
    EvidenceState.FETCHED: "asked of the EHR, and came",
    EvidenceState.NULL: "came as null: the EHR has none, or failed",
    EvidenceState.NOT_ASKED: "did not come, and could not be asked for",
    EvidenceState.REFUSED: "refused by the EHR",
    EvidenceState.LATE: "came too late",
    EvidenceState.CUT: "came in part",
    EvidenceState.FAILED: "failed",
}
# More pictures than these nobody looks at, and each takes time to draw; the rest have their tables.
_MOST_PICTURES = 12


@dataclass(frozen=True)
class Proof:
    """One piece of evidence: the resource's reference, and where the record tells, its day and what it says."""

    source: str
    day: str = ""
    says: str = ""


@dataclass(frozen=True)
class Criterion:
    """One criterion: its result as a word and a shape, what was found, on what grounds, and what would settle it."""

    id: str
    statement: str
    required: bool
    result: str
    word: str
    shape: str
    says: str
    evidence: Sequence[Proof]
    missing: Sequence[str]
    would_change: Sequence[str]
    cite: str
    policy: str

    @property
    def is_open(self) -> bool:
        """Whether it stands between the order and criteria that are all met."""
        return self.required and self.result in ("not-met", "unknown")


@dataclass(frozen=True)
class Search:
    """What was asked of the EHR, what came of it in words, how many resources, and why not more."""

    asked: str
    came: str
    count: int
    reason: str
    whole: bool


@dataclass(frozen=True)
class Page:
    """What the template shows of one story. It is not `is_whole` where a part of the criteria was weighed only."""

    said: Json
    id: str
    recorded: str
    criteria: Sequence[Criterion]
    safety: Sequence[Criterion]
    visits: Picture
    scores: Sequence[Picture]
    searches: Sequence[Search]
    offers: Sequence[str]
    is_whole: bool = True

    @property
    def required(self) -> Sequence[Criterion]:
        """The criteria that the outcome hangs on."""
        return [each for each in self.criteria if each.required]

    @property
    def advice(self) -> Sequence[Criterion]:
        """The others."""
        return [each for each in self.criteria if not each.required]


def page_of(story: Story) -> Page:
    """The page of one story."""
    said, proofs = story.said, proofs_of(story)
    urgent = [each for each in said["criteria"] if _is_urgent(each)]
    others = [each for each in said["criteria"] if each not in urgent]
    trends = trends_of(story)
    scores = [score_picture(trend, story.as_of, at, drawn=at < _MOST_PICTURES) for at, trend in enumerate(trends)]
    return Page(
        said=said,
        id=story.id,
        recorded=story.recorded[:16].replace("T", " "),
        criteria=criteria_of(others, proofs, str(said["policy"])),
        safety=criteria_of([*said["safety"], *urgent], proofs, ""),
        visits=visits_picture(course_of(story)),
        scores=scores,
        searches=searches_of(story),
        offers=_offers(story),
        is_whole=story.is_whole,
    )


def _is_urgent(told: Json) -> bool:
    """Whether a criterion that only advises has found what somebody must ask the patient about (a severe PHQ-9)."""
    return told["card"] == "safety" and not told["required"] and told["result"] == Result.NOT_MET


def criteria_of(told: Iterable[Json], proofs: Mapping[str, Proof], policy: str) -> list[Criterion]:
    """Criteria as they are shown; `policy` is the one that needs no naming beside each."""
    return [_criterion(each, proofs, policy) for each in told]


def _criterion(told: Json, proofs: Mapping[str, Proof], policy: str) -> Criterion:
    result = Result(told["result"])
    return Criterion(
        id=told["id"],
        statement=told["statement"],
        required=told["required"],
        result=result.value,
        word=RESULT_WORDS[result],
        shape=_SHAPES[result],
        says=told["says"],
        evidence=[proofs.get(source, Proof(source)) for source in told["evidence"]],
        missing=told["missing"],
        would_change=told["wouldChange"],
        cite=told["cite"],
        policy="" if told["policy"] == policy else told["policy"],
    )


def searches_of(story: Story) -> list[Search]:
    """Everything that was asked for, what is not whole first."""
    found = [
        Search(f"{each.resource} ({each.key})" if each.key != each.resource else each.key,
               _STATES[EvidenceState(each.state)], each.count, each.reason,
               EvidenceState(each.state) in (EvidenceState.SUPPLIED, EvidenceState.FETCHED))
        for each in evidence_of(story.body)
        if each.how in ("gather", "read")
    ]  # fmt: skip
    return sorted(found, key=lambda search: search.whole)


def _offers(story: Story) -> list[str]:
    """What the cards of this order offered to change, in their own words, each once."""
    mine = [
        card
        for card in story.body["cards"]
        if story.order.reference in str(card.get("extension", {}).get("davinci-crd.associated-resource", ""))
    ]
    return list(dict.fromkeys(each["label"] for card in mine for each in card.get("suggestions", ())))


# ------------------------------------------------------------------------------------------------ evidence


def proofs_of(story: Story) -> dict[str, Proof]:
    """What the record says under each reference, in a few words."""
    proofs: dict[str, Proof] = {}
    for source, day, says in _told(story, story.record):
        proofs.setdefault(source, Proof(source, "" if day is None else str(day), says))
    return proofs


def _told(story: Story, record: Record) -> Iterable[tuple[str, Days | str | None, str]]:
    for measure in record.measures:
        for source in measure.sources:
            yield source, measure.day, _score(story, measure)
    for visit in record.visits:
        for source in visit.sources:
            yield source, str(visit.day), f"{visit.discipline.label if visit.discipline else 'therapy'} visit"
    for statement in record.statements:
        yield statement.source, statement.day, _statement(statement)
    for condition in record.conditions:
        yield condition.source, condition.onset or condition.recorded, condition.concept.label
    clinical: tuple[Done | Treatment | Image | Document, ...] = (
        *record.procedures, *record.treatments, *record.images, *record.documents,
    )  # fmt: skip
    for each in clinical:
        yield each.source, each.day, each.concept.label
    for goal in record.goals:
        said = f" ({goal.achievement.label})" if goal.achievement else ""
        yield goal.source, goal.day, f"goal: {goal.text}{said}"
    for plan in record.plans:
        yield plan.source, plan.period, "plan of care"
    for booking in record.appointments:
        yield booking.source, booking.day, "missed appointment" if booking.missed else "booked appointment"
    for task in record.tasks:
        yield task.source, task.day, task.text or task.concept.label
    yield story.order.reference, story.order.authored, f"this order: {story.order.label}"


def _score(story: Story, measure: Measure) -> str:
    instrument = story.terms.instruments[measure.instrument]
    part = f" {instrument.part(measure.subscale).get('name')}" if measure.subscale else ""
    score = measure.text if measure.score is None else f"{measure.score:g}"
    return f"{instrument.name}{part} {score}".strip()


def _statement(statement: Statement) -> str:
    value = statement.value_concept.label if statement.value_concept else statement.value
    if isinstance(value, bool):
        value = "yes" if value else "no"
    shown = f"{value:g}" if isinstance(value, float) else value
    return statement.concept.label if shown is None else f"{statement.concept.label}: {shown}"
