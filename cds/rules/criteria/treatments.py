"""Treatment before this order: what was tried, for how long, how lately."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Whether treatment of the set began at least `days` before the evaluation date.

    Symptoms that began later than that cannot have been treated for so long: then it is not met.
    """
    wanted, figure = case.terms.valueset(params["set"]), case.number(params["days"])
    if figure is None:
        return unknown("the policy states no duration for this date", ["the policy's figure"])
    mark = case.as_of - timedelta(days=figure)
    tried = _tried(case, wanted)
    title = wanted.title.lower()
    started = [(_start(days), concept, source) for concept, days, source in tried]
    if long := [(start, concept, source) for start, concept, source in started if start.within(None, mark)]:
        start, concept, source = long[0]
        lasted = f", {plural((case.as_of - start.exact).days, 'day')}" if start.exact else ""
        return met(f"{title} since {start}{lasted} ({concept.label})", [source])
    doubts = case.doubts(*_FACTS)
    if not doubts and (onset := _onset(case)) is not None and onset > mark:
        says = f"symptoms began {onset}, so there cannot have been {figure} days of {title}"
        return not_met(says, change=[f"met after {figure} days of {title}, with dates on file"])
    if vague := [(start, concept, source) for start, concept, source in started if start.within(None, mark) is None]:
        start, concept, source = vague[0]
        when = f"is dated only {start}" if start.last else "is not dated"
        return unknown(f"when {concept.label} began {when}", ["the day on which it began"], [source])
    sources = [source for _, _, source in tried]
    if not doubts and tried:
        so_far = (case.as_of - (started[0][0].first or case.as_of)).days
        change = [f"met when {title} has gone on for {figure} days"]
        return not_met(f"{title} for {plural(so_far, 'day')}, {figure} wanted", sources, change)
    why = f" ({because(doubts)})" if doubts else ""
    wanted_says = f"{title} for {figure} days, with dates"
    return unknown(f"no {title} is on file in structured form{why}", [wanted_says], sources)


def _start(days: Days) -> Days:
    """The first day of a span of treatment; for a vague date, all the days on which it may have begun."""
    vague = bool(days.text) and " to " not in days.text and days.exact is None
    return days if vague or days.first is None else Days(days.first, days.first)


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
