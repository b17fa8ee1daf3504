"""Treatment before this order: what was tried, for how long, how lately."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from cds.model import Concept, Days, Fact, add_months
from cds.rules.case import Case
from cds.rules.criteria.kinds import Params, kind
from cds.rules.criteria.words import because, listed, plural
from cds.rules.finding import Finding, met, not_met, unknown
from cds.terminology import ValueSet

_FACTS = (Fact.TREATMENTS, Fact.PROCEDURES)
Tried = tuple[Concept, Days, str]


def _tried(case: Case, wanted: ValueSet) -> list[Tried]:
    """Medicines and procedures of the set that may have begun by the evaluation date, oldest first."""
    found: list[Tried] = [(t.concept, t.day, t.source) for t in case.record.treatments]
    found += [(p.concept, p.day, p.source) for p in case.record.procedures]
    inside = [(c, d, s) for c, d, s in found if wanted.matches(c) and (d.first is None or d.first <= case.as_of)]
    return sorted(inside, key=lambda item: (item[1].first or date.min, item[2]))


@kind("treated-for", Fact.TREATMENTS, Fact.PROCEDURES, Fact.CONDITIONS, Fact.VISITS)
def treated_for(case: Case, params: Params) -> Finding:
    """Whether a course of treatment of the set lasted at least `days` by the evaluation date.

    A course is treatments one after the other with no more than `gap` days between them; one that ended no
    more than `gap` days ago still goes on. A medicine without an end may or may not have gone on. Symptoms
    that began later than `days` ago cannot have been treated for so long: then it is not met.
    """
    wanted, figure, gap = case.terms.valueset(params["set"]), case.number(params["days"]), case.number(params["gap"])
    if figure is None or gap is None:
        return unknown("the policy states no duration for this date", ["the policy's figure"])
    title = wanted.title.lower()
    used = _used(case, wanted)
    sure = _longest([(u.first, u.last) for u in used if u.sure], case.as_of, gap)
    if sure is not None and sure[1] >= figure:
        mine = [u for u in used if u.sure and u.first >= sure[0]]
        says = f"{title} since {sure[0]}, {plural(sure[1], 'day')} ({mine[0].label})"
        return met(says, [u.source for u in mine])
    doubts = case.doubts(*_FACTS)
    onset = _onset(case)
    if not doubts and onset is not None and onset > case.as_of - timedelta(days=figure):
        says = f"symptoms began {onset}, so there cannot have been {figure} days of {title}"
        return not_met(says, change=[f"met after {figure} days of {title}, with dates on file"])
    tried = _tried(case, wanted)
    sources = [source for _, _, source in tried]
    undated = [concept.label for concept, days, _ in tried if days.first is None]
    possible = _longest([(u.first, u.last_possible) for u in used], case.as_of, gap)
    if undated or (possible is not None and possible[1] >= figure):
        vague = undated or [u.label for u in used if not u.sure]
        return unknown(
            f"how long {listed(dict.fromkeys(vague))} went on is not on file", [f"the days of {title}"], sources
        )
    if tried and not doubts:
        lasted = plural(sure[1] if sure else 0, "day")
        return not_met(f"{title} for {lasted} in one course, {figure} wanted", sources, [
            f"met when {title} has gone on for {figure} days",
        ])  # fmt: skip
    why = f" ({because(doubts)})" if doubts else ""
    return unknown(
        f"no {title} is on file in structured form{why}", [f"{title} for {figure} days, with dates"], sources
    )


@dataclass(frozen=True)
class _Use:
    """Days on which something was used: surely from `first` to `last`, possibly until `last_possible`."""

    label: str
    source: str
    first: date
    last: date
    last_possible: date
    sure: bool


def _used(case: Case, wanted: ValueSet) -> list[_Use]:
    """The uses of treatments of the set, oldest first."""
    going_on = {t.source for t in case.record.treatments if t.status in ("active", "intended", "on-hold")}
    endless = {t.source for t in case.record.treatments if t.day.exact is not None}
    uses: list[_Use] = []
    for concept, days, source in _tried(case, wanted):
        if days.first is None:
            continue
        spans = days.exact is not None or " to " in days.text
        ends = min(days.last or case.as_of, case.as_of)
        last = case.as_of if source in going_on and days.exact is not None else ends
        possible = case.as_of if source in endless else ends
        uses.append(_Use(concept.label, source, days.first, last, max(last, possible), sure=spans))
    return uses


def _longest(spans: Sequence[tuple[date, date]], as_of: date, gap: int) -> tuple[date, int] | None:
    """First day and length of the longest course; the latest goes on until today where its gap is short."""
    courses: list[tuple[date, date]] = []
    for first, last in sorted(spans):
        if courses and (first - courses[-1][1]).days <= gap:
            courses[-1] = (courses[-1][0], max(courses[-1][1], last))
        else:
            courses.append((first, last))
    lengths = [
        (first, ((as_of if (as_of - last).days <= gap else last) - first).days) for first, last in courses
    ]  # fmt: skip
    return max(lengths, key=lambda course: course[1], default=None)


def _onset(case: Case) -> date | None:
    """The earliest day on which any condition of the order's region began, where all onsets are exact."""
    mine = [
        c
        for c in case.record.conditions
        if c.active is not False and any(s.may_be(o) for s in c.sites for o in case.order.sites)
    ]
    if not mine or case.doubts(Fact.CONDITIONS):
        return None
    onsets = [c.onset.exact for c in mine if c.onset is not None and c.onset.exact is not None]
    return min(onsets) if len(onsets) == len(mine) else None


@kind("treated-within", *_FACTS)
def treated_within(case: Case, params: Params) -> Finding:
    """Whether a treatment of the set was used within the last `months`."""
    wanted, months = case.terms.valueset(params["set"]), case.number(params["months"])
    if months is None:
        return unknown("the policy states no window for this date", ["the policy's figure"])
    since = add_months(case.as_of, -months)
    tried = _tried(case, wanted)
    recent = [(c, d, s) for c, d, s in tried if d.last is not None and d.last >= since and not _may_be_before(d, since)]
    title = wanted.title.lower()
    if recent:
        return met(f"{recent[-1][0].label} ({recent[-1][1]})", [s for _, _, s in recent])
    if vague := [s for _, d, s in tried if d.last is None or d.last >= since]:
        return unknown(f"{title} is on file, but not exactly when", [f"the days of {title}"], vague)
    if doubts := case.doubts(*_FACTS):
        return unknown(f"{title} could not be read in full: {because(doubts)}", [f"{title} since {since}"])
    return unknown(f"no {title} since {since} is on file in structured form", [f"{title} since {since}"])


def _may_be_before(days: Days, since: date) -> bool:
    """Whether a vague date (`2024`) may lie before the window; a span that reaches into it does not."""
    return " to " not in days.text and days.within(since, None) is None


@kind("kinds-tried", *_FACTS)
def kinds_tried(case: Case, params: Params) -> Finding:
    """Whether at least `count` kinds of treatment of the set were tried."""
    wanted, least = case.terms.valueset(params["set"]), case.number(params["count"])
    if least is None:
        return unknown("the policy states no number for this date", ["the policy's figure"])
    kinds: dict[str, str] = {}
    for concept, _, source in _tried(case, wanted):
        kinds.setdefault(_kind_of(wanted, concept), source)
    names = listed(name if name.isupper() else name.replace("-", " ") for name in kinds)
    says = f"{plural(len(kinds), 'kind')} of {wanted.title.lower()} tried{f': {names}' if kinds else ''}"
    if len(kinds) >= least:
        return met(says, kinds.values())
    doubts = case.doubts(*_FACTS)
    asked = [f"what was tried, at least {plural(least, 'kind')}"]
    if doubts or not kinds:
        return unknown(f"{says} ({because(doubts)})" if doubts else says, asked, kinds.values())
    return not_met(says, kinds.values(), [f"met if {plural(least, 'kind')} of treatment are recorded as tried"])


def _kind_of(wanted: ValueSet, concept: Concept) -> str:
    """Which kind of treatment a concept is: the set says it by code, or by word."""
    for code in concept.codes:
        entry: Mapping[str, object] = wanted.codes.get((code.system, code.code), {})
        if entry.get("kind"):
            return str(entry["kind"])
    text = " ".join((concept.text, *(code.display for code in concept.codes))).lower()
    named = [name for word, name in wanted.kinds_by_word.items() if word in text]
    return named[0] if named else concept.label
