"""The words of the house, as frozen dataclasses. One word for one thing; standard library only.

Read top to bottom: codes and days, then what is asked (`Order`, `Coverage`), what is known (`Record`),
how it was learnt (`Query`, `Evidence`), and what is said (`CriterionResult`, `Assessment`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Result(StrEnum):
    """What a criterion comes out as. `unknown` is never a polite word for `not-met`."""

    MET = "met"
    NOT_MET = "not-met"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"


class Outcome(StrEnum):
    """What an assessment comes out as. The service advises: none of these is an approval or a denial."""

    CRITERIA_MET = "criteria-met"
    CRITERIA_NOT_MET = "criteria-not-met"
    INSUFFICIENT_INFORMATION = "insufficient-information"
    NO_POLICY = "no-policy"


class Standing(StrEnum):
    """Whether there is one coverage to answer under, and if not, why.

    The last two are for a payer that looks its members up; nothing in this package gives them.
    """

    IN_FORCE = "in-force"
    LAPSED = "lapsed"
    NONE = "none"
    SEVERAL = "several"
    NOT_FOUND = "not-found"
    MEMBER_UNKNOWN = "member-unknown"


class Discipline(StrEnum):
    """Who treats. One day with two disciplines is two visits."""

    PHYSICAL_THERAPY = "physical-therapy"
    OCCUPATIONAL_THERAPY = "occupational-therapy"
    SPEECH_THERAPY = "speech-therapy"
    CHIROPRACTIC = "chiropractic"
    BEHAVIORAL_HEALTH = "behavioral-health"

    @property
    def label(self) -> str:
        """The discipline as people write it: `physical therapy`."""
        return self.value.replace("-", " ")


class Fact(StrEnum):
    """The kinds of fact that a policy may need to know."""

    PATIENT = "patient"
    COVERAGE = "coverage"
    VISITS = "visits"
    SCHEDULE = "schedule"
    MEASURES = "measures"
    STATEMENTS = "statements"
    CONDITIONS = "conditions"
    PROCEDURES = "procedures"
    GOALS = "goals"
    PLANS = "plans"
    TREATMENTS = "treatments"
    IMAGING = "imaging"
    DOCUMENTS = "documents"
    TASKS = "tasks"
    AUTHORIZATIONS = "authorizations"
    AMOUNTS = "amounts"
    REQUESTER = "requester"


class EvidenceState(StrEnum):
    """What came of asking for something. Only `supplied` and `fetched` are whole answers."""

    SUPPLIED = "supplied"
    FETCHED = "fetched"
    NULL = "null"
    NOT_ASKED = "not-asked"
    REFUSED = "refused"
    LATE = "late"
    CUT = "cut"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Code:
    """One code: `system` is the short name of the terminology where it is known, else the URI as sent."""

    system: str
    code: str
    display: str = ""


@dataclass(frozen=True, slots=True)
class Concept:
    """A CodeableConcept: codes that mean the same thing, and the text somebody wrote."""

    codes: tuple[Code, ...] = ()
    text: str = ""
    # What the vocabularies answered about it (cds.terminology): asked again and again, and gone with the concept.
    answers: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def label(self) -> str:
        """The best human words: text, else the first display, else the first code, else `(no code)`."""
        displays = [code.display for code in self.codes if code.display]
        numbers = [code.code for code in self.codes if code.code]
        return self.text or next(iter(displays + numbers), "(no code)")


@dataclass(frozen=True, slots=True)
class Days:
    """A date as it is known: the first and the last local day on which it may lie, both included.

    `2024-05` is 1 to 31 May, never rounded. `None` is an open end. Days are local to the zone that the
    source wrote (`zone`, e.g. `-05:00`); no day is ever moved to another zone unless the site says so.

    >>> Days(date(2024, 5, 1), date(2024, 5, 31)).exact is None
    True
    """

    first: date | None
    last: date | None
    zone: str | None = None
    text: str = ""

    @property
    def exact(self) -> date | None:
        """The day, if it is one single day; else None."""
        return self.first if self.first is not None and self.first == self.last else None

    def age(self, on: date) -> tuple[int | None, int | None]:
        """Least and most days between this date and `on`; None where an end is open."""
        least = None if self.last is None else (on - self.last).days
        most = None if self.first is None else (on - self.first).days
        return least, most

    def surely_before(self, day: date) -> bool:
        """Whether every day it may be lies before `day`."""
        return self.last is not None and self.last < day

    def surely_after(self, day: date) -> bool:
        """Whether every day it may be lies after `day`."""
        return self.first is not None and self.first > day

    def within(self, first: date | None, last: date | None) -> bool | None:
        """Whether it lies in [first, last]: True, False, or None where it may or may not."""
        if (last is not None and self.surely_after(last)) or (first is not None and self.surely_before(first)):
            return False
        after = first is None or (self.first is not None and self.first >= first)
        before = last is None or (self.last is not None and self.last <= last)
        return True if after and before else None

    def within_reach(self, day: date) -> bool:
        """Whether `day` lies between the first and the last day; open ends are always within reach."""
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)

    def __str__(self) -> str:
        """As written by the source; else ISO days."""
        if self.text:
            return self.text
        if self.exact:
            return self.exact.isoformat()
        return f"{self.first or '…'} to {self.last or '…'}"


def day_of(day: date) -> Days:
    """One known day."""
    return Days(day, day, text=day.isoformat())


@dataclass(frozen=True, slots=True)
class Site:
    """A body region and its side; `side` is None where it is not said."""

    region: str
    side: str | None = None

    def may_be(self, other: Site) -> bool:
        """Whether the two can be the same place. An unsaid side matches either side."""
        same_side = None in (self.side, other.side) or "bilateral" in (self.side, other.side)
        return self.region == other.region and (same_side or self.side == other.side)

    @property
    def label(self) -> str:
        """`left hip`, or `hip`."""
        return f"{self.side} {self.region}" if self.side else self.region


@dataclass(frozen=True, slots=True)
class Span:
    """A number that is known, known as a range, or only known from below (`high` is None)."""

    low: int
    high: int | None

    @property
    def exact(self) -> int | None:
        """The number, if it is known; else None."""
        return self.low if self.low == self.high else None

    def plus(self, other: Span) -> Span:
        """The sum of two ranges."""
        high = None if self.high is None or other.high is None else self.high + other.high
        return Span(self.low + other.low, high)

    def __str__(self) -> str:
        """`20`, `28 to 36`, or `at least 18`."""
        if self.high is None:
            return f"at least {self.low}"
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


# ---------------------------------------------------------------------------------------------- what is asked


@dataclass(frozen=True, slots=True)
class Line:
    """One billing code of an order."""

    code: Code

    @property
    def label(self) -> str:
        """The code itself; descriptors of CPT are not ours to print."""
        return self.code.code


@dataclass(frozen=True, slots=True)
class Timing:
    """How often, over which days: `frequency` visits per `period_days`, between bounds."""

    visits: Span | None
    bounds: Days | None
    says: str = ""


@dataclass(frozen=True)
class Order:
    """One draft order read from the hook's context.

    `requested` is None when the number of visits cannot be known; `requested_why` then says why.
    `proposed` are the days it names; `resource` is the order as it was sent, for actions that send it back.
    `insurance` are the coverages that it names, where it names any.
    """

    reference: str
    resource: Mapping[str, Any]
    concept: Concept
    lines: tuple[Line, ...]
    discipline: Discipline | None
    is_therapy: bool
    reasons: tuple[Concept, ...]
    sites: tuple[Site, ...]
    requested: Span | None
    requested_why: str
    proposed: tuple[date, ...]
    period: Days | None
    timing: Timing | None
    authored: Days | None
    patient: str
    plans: tuple[str, ...] = ()
    goals: tuple[str, ...] = ()
    supporting: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    requester: str = ""
    insurance: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """`Physical therapy, left hip`."""
        name = self.discipline.label if self.discipline else self.concept.label
        place = f", {self.sites[0].label}" if self.sites else ""
        return f"{name[:1].upper()}{name[1:]}{place}"


@dataclass(frozen=True)
class Coverage:
    """Who pays, under which plan, line of business and jurisdiction. Nothing in it is guessed."""

    reference: str
    payers: tuple[str, ...] = ()
    payer_name: str = ""
    plan: str | None = None
    line_of_business: str | None = None
    jurisdiction: str | None = None
    period: Days | None = None
    injury: date | None = None
    payer_references: tuple[str, ...] = ()


# ---------------------------------------------------------------------------------------------- what is known


@dataclass(frozen=True)
class Visit:
    """One attended therapy day: patient + local date + discipline, however many resources tell of it."""

    day: date
    discipline: Discipline | None
    sites: tuple[Site, ...] = ()
    sources: tuple[str, ...] = ()
    codes: frozenset[str] = frozenset()
    based_on: frozenset[str] = frozenset()
    episodes: frozenset[str] = frozenset()
    in_progress: bool = False


@dataclass(frozen=True, slots=True)
class Appointment:
    """A visit that is booked (`scheduled`), or that was not attended (`missed`)."""

    day: Days
    discipline: Discipline | None
    missed: bool
    source: str
    sites: tuple[Site, ...] = ()
    based_on: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Measure:
    """One score of one instrument on one date; `score` is None for what is told in words only (`text`).

    `scale` names the scale where it is not the instrument's usual one, and `group` the muscle group of a grade:
    only scores of one scale, group, subscale and side are ever compared.
    """

    instrument: str
    subscale: str | None
    score: float | None
    day: Days
    sources: tuple[str, ...]
    side: str | None = None
    text: str = ""
    preliminary: bool = False
    scale: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """Something that somebody stated in structured form: an observation or an answer, with its value.

    `points` is what the form itself says that a coded answer is worth.
    """

    concept: Concept
    value: bool | float | str | None
    day: Days
    source: str
    value_concept: Concept | None = None
    points: float | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A diagnosis or problem. `active` is None where the record does not say."""

    concept: Concept
    active: bool | None
    onset: Days | None
    recorded: Days | None
    source: str
    sites: tuple[Site, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """A completed procedure."""

    concept: Concept
    day: Days
    source: str
    sites: tuple[Site, ...] = ()
    encounter: str | None = None
    surgical: bool = False


@dataclass(frozen=True, slots=True)
class Goal:
    """A treatment goal: `open`, and what was last said of it (`achievement`) and when."""

    text: str
    open: bool
    achievement: Concept | None
    day: Days | None
    source: str
    measurable: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan of care with its therapy activities and their timing."""

    timings: tuple[Timing, ...]
    period: Days | None
    source: str
    active: bool
    goals: tuple[str, ...] = ()
    exercise: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Treatment:
    """A medicine or another treatment that was tried, over the days it is known to have been used."""

    concept: Concept
    day: Days
    source: str
    status: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """An imaging study or its report. `modality` is the DICOM code where it is known."""

    concept: Concept
    modality: str | None
    day: Days
    source: str
    sites: tuple[Site, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A document that a reader could open: a pointer to evidence, never parsed into met or not met.

    `text` is its inline text, read only to see that it tells of something nobody can count.
    """

    concept: Concept
    day: Days
    source: str
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task for somebody that is not done yet; `text` names what it asks for."""

    concept: Concept
    text: str
    source: str
    day: Days | None = None


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode of care that the record itself states."""

    reference: str
    start: Days
    end: Days | None
    sites: tuple[Site, ...] = ()
    discipline: Discipline | None = None


@dataclass(frozen=True, slots=True)
class Authorization:
    """A pre-authorization that a payer gave: its number, first and last day, by whom, and for what.

    `insurers` and `insurer_references` name who gave it. `services` is what was authorized, and `refused` what was
    asked for with it and was not; where nothing is said of either, they are empty. `partial`: something was refused,
    and nobody says what.
    """

    reference: str
    number: str
    period: Days
    insurers: tuple[str, ...] = ()
    insurer_references: tuple[str, ...] = ()
    services: tuple[Concept, ...] = ()
    refused: tuple[Concept, ...] = ()
    partial: bool = False


@dataclass(frozen=True, slots=True)
class ClaimLine:
    """One line of a claim: what, how many units, when; what was allowed, went to the deductible, was paid (US dollars).

    `proposed` lines belong to a draft or a pre-authorization: they say what is asked for, not what was done.
    """

    code: str
    units: float | None
    allowed: float | None
    day: Days
    source: str
    proposed: bool
    discipline: Discipline | None = None
    deductible: float = 0.0
    paid: float | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Something that could not be read, where, and why; `fact` is what it leaves in doubt (None: nothing).

    `days` are those on which it lies for certain, where at least that is known.
    """

    source: str
    reason: str
    fact: Fact | None = None
    days: Days | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A search that gave no whole answer: what was asked, what came of it, in words for a reader."""

    fact: Fact
    key: str
    state: EvidenceState
    reason: str


@dataclass(frozen=True)
class Record:
    """What is known of the patient, and what could not be learnt or read."""

    patient: str = ""
    visits: tuple[Visit, ...] = ()
    appointments: tuple[Appointment, ...] = ()
    measures: tuple[Measure, ...] = ()
    statements: tuple[Statement, ...] = ()
    conditions: tuple[Condition, ...] = ()
    procedures: tuple[Done, ...] = ()
    goals: tuple[Goal, ...] = ()
    plans: tuple[Plan, ...] = ()
    treatments: tuple[Treatment, ...] = ()
    images: tuple[Image, ...] = ()
    documents: tuple[Document, ...] = ()
    tasks: tuple[OpenTask, ...] = ()
    episodes: tuple[Episode, ...] = ()
    authorizations: tuple[Authorization, ...] = ()
    claim_lines: tuple[ClaimLine, ...] = ()
    people: Mapping[str, Concept] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[Note, ...] = ()
    gaps: tuple[Gap, ...] = ()

    def doubts(self, *facts: Fact, first: date | None = None, last: date | None = None) -> tuple[str, ...]:
        """Why what is known of these facts may not be all: failed searches and unreadable resources.

        What lies before `first` or after `last` for certain leaves no doubt.
        """
        missing = [gap.reason for gap in self.gaps if gap.fact in facts]
        unread = [
            f"{note.source}: {note.reason}"
            for note in self.notes
            if note.fact in facts and (note.days is None or note.days.within(first, last) is not False)
        ]
        return tuple(dict.fromkeys(missing + unread))


# -------------------------------------------------------------------------------------------- how it was learnt


@dataclass(frozen=True, slots=True)
class Need:
    """What a policy has to know. `essential`: the answer is in doubt without it. No FHIR syntax."""

    fact: Fact
    essential: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """One FHIR search or read: `path` with `{patient}` to be filled in, and which facts it serves."""

    key: str
    resource: str
    path: str
    facts: frozenset[Fact]
    essential: bool = True


@dataclass(frozen=True, slots=True)
class Resource:
    """One FHIR resource as it came: type, id, and its JSON bytes, not parsed further until it is read."""

    type: str
    id: str
    payload: bytes | memoryview
    url: str = ""
    # The payload decoded, where that was done (cds.fhir.decoded): once for all who read it, and gone with the resource.
    decoded: Any = field(default=None, init=False, repr=False, compare=False)

    @property
    def reference(self) -> str:
        """`Type/id`, as criteria and cards name it."""
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What came of one query: its state, the resources, and in words why it is not whole.

    `absent`: the server does not offer such resources at all, which is not the same as failing to give them.
    """

    query: Query
    state: EvidenceState
    resources: tuple[Resource, ...] = ()
    reason: str = ""
    milliseconds: float = 0.0
    absent: bool = False

    @property
    def whole(self) -> bool:
        """Whether everything that was asked for came."""
        return self.state in (EvidenceState.SUPPLIED, EvidenceState.FETCHED)


# ------------------------------------------------------------------------------------------------- what is said


@dataclass(frozen=True)
class VisitCount:
    """The visits of one order, as numbers. `None` is a number that cannot be known; never 0 for unknown."""

    completed: Span
    requested: Span | None
    scheduled: int
    total: Span | None
    projected: Span | None
    complete: bool
    overlap: int = 0
    limit: int | None = None
    says: str = ""
    doubts: tuple[str, ...] = ()
    start: date | None = None


@dataclass(frozen=True)
class CriterionResult:
    """One criterion for one order: its result, in words, with evidence, what is missing, what would change it.

    `facts` holds the numbers behind the words for cards, pages and the ledger (JSON values only).
    """

    id: str
    statement: str
    required: bool
    result: Result
    says: str
    card: str | None = None
    evidence: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    would_change: tuple[str, ...] = ()
    cite: str = ""
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    policy: str = ""
    policy_kind: str = ""


@dataclass(frozen=True)
class Assessment:
    """One order under one policy: the outcome, each criterion's result, the visits, and the gaps.

    `safety` is what somebody must ask the patient about at once, whatever the policy; it never bears on the outcome.
    `authorization` is the one in force on the day, where the policy asks for any; `unsure_authorization` is one of
    which it cannot be told whether it is for this therapy, where there is no other. `standing` tells of the coverage;
    where that is not in force, it is `lapsed`, and `coverage` is None. `id` is given when it goes on record.
    """

    order: Order
    as_of: date
    outcome: Outcome
    says: str
    policy: str | None = None
    policy_title: str = ""
    policy_version: str | None = None
    policy_kind: str = ""
    policy_source: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    adding: tuple[str, ...] = ()
    coverage: Coverage | None = None
    visits: VisitCount | None = None
    criteria: tuple[CriterionResult, ...] = ()
    gaps: tuple[Gap, ...] = ()
    notes: tuple[Note, ...] = ()
    would_change: tuple[str, ...] = ()
    technical: bool = False
    safety: tuple[CriterionResult, ...] = ()
    authorization: Authorization | None = None
    unsure_authorization: Authorization | None = None
    standing: Standing = Standing.IN_FORCE
    lapsed: Coverage | None = None
    id: str = ""


def add_months(day: date, months: int) -> date:
    """The same day of the month `months` later (or earlier), or the month's last day where there is none.

    >>> add_months(date(2025, 1, 31), 1)
    datetime.date(2025, 2, 28)
    """
    month = day.month - 1 + months
    year, month = day.year + month // 12, month % 12 + 1
    following = date(year + month // 12, month % 12 + 1, 1)
    return date(year, month, min(day.day, (following - timedelta(days=1)).day))
