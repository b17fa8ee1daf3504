"""A policy as markdown that a reader needs no YAML for: `policy explain`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cds.authoring.sentences import SENTENCES, Words, dated
from cds.model import Fact
from cds.rules.criteria import KINDS
from cds.rules.criteria.words import listed
from cds.rules.policy import AllOf, AnyOf, Citation, Criterion, Leaf, Not, OfCriterion, Policy, Test, leaves
from cds.terminology import ICD10, Terminology, ValueSet

KIND_SAYS = {
    "coverage": "Coverage policy: a payer's own criteria.",
    "guideline": "Guideline: what is usual for the condition.",
    "statute": "Statute: it adds to whatever policy is in force.",
    "benchmark": "Benchmark: a figure to compare with, no rule of a payer.",
    "billing": "Billing rule: it adds to whatever policy is in force.",
    "benefit": "Benefit limit: it adds to whatever policy is in force.",
}
_FIELDS = {
    "lines_of_business": "lines of business",
    "jurisdictions": "jurisdictions",
    "payers": "payers",
    "plans": "plans",
    "services": "services",
    "disciplines": "disciplines",
    "diagnoses": "diagnoses (ICD-10-CM, with everything below)",
    "phases": "phases of care",
}
_SCOPES = {
    "injury": "since the date of injury",
    "calendar-year": "of the calendar year",
    "plan-year": "of the plan year, from the day and month on which the coverage began",
}
_FACT_WORDS = {
    Fact.AMOUNTS: "claims",
    Fact.DOCUMENTS: "documents",
    Fact.IMAGING: "imaging",
    Fact.MEASURES: "measures",
    Fact.PLANS: "plans of care",
    Fact.REQUESTER: "who orders",
    Fact.SCHEDULE: "bookings",
    Fact.STATEMENTS: "statements",
    Fact.TREATMENTS: "treatments",
}
MOST_CODES = 12


def markdown(policy: Policy, terms: Terminology) -> str:
    """The whole policy, in the order in which a reviewer would ask."""
    words = Words(policy, terms)
    parts = [f"# {policy.title}", "\n".join(_header(policy)), _applies(policy, words), _counts(policy, words)]
    for title, required in (("Required", True), ("Advice", False)):
        chosen = [criterion for criterion in policy.criteria if criterion.required is required]
        if chosen:
            parts += [f"## {title}", _what_it_does(required), *(_criterion(c, words) for c in chosen)]
    parts += ["## Lists", "\n".join(_lists(policy, terms))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(policy: Policy) -> Iterator[str]:
    yield KIND_SAYS[policy.kind] + (f" {policy.summary}" if policy.summary else "")
    yield ""
    until = f" until the day before {policy.end}" if policy.end else ""
    yield f"- In force from {policy.start}{until}, by the day of service"
    yield f"- Version {policy.version}, name {policy.id}"
    yield f"- Source: {citation(policy.cite)}"


def _applies(policy: Policy, words: Words) -> str:
    rows = []
    for field, label in _FIELDS.items():
        if entries := getattr(policy.applies_to, field):
            said = words.sets(entries) if field == "services" else ", ".join(entries)
            rows.append(f"- {label}: {said}")
    return "\n".join(["## Who it applies to", "", *(rows or ["Everybody."])])


def _counts(policy: Policy, words: Words) -> str:
    episode = policy.episode
    says = [f"Therapy after {words.figure(episode.gap)} without a visit is a new episode."]
    if episode.scope in _SCOPES:
        says = [f"Counted are the visits {_SCOPES[episode.scope]}."]
    if episode.sites == "any":
        says.append("Visits for any part of the body count.")
    if episode.disciplines == "combined":
        says.append("All disciplines are counted together.")
    if episode.deductible_visits is False:
        says.append("Visits that went to the deductible do not count.")
    if episode.told_in:
        says.append(f"Where only {words.sets([episode.told_in])} tell of visits, their number is unknown.")
    return "\n".join(["## Which visits count", "", " ".join(says)])


def _what_it_does(required: bool) -> str:
    if required:
        return "These make the outcome: all of them met, one not met, or else not enough information."
    return "These are told, and never change the outcome."


def _criterion(criterion: Criterion, words: Words) -> str:
    lines = [f"### {criterion.statement}", ""]
    if criterion.applies_when is not None:
        lines += ["Asked only when:", "", *_bullets(criterion.applies_when, words), ""]
    lines += [*_bullets(criterion.test, words), "", *_results(criterion, words), *_figures(criterion, words)]
    return "\n".join([*lines, f"- Source: {citation(criterion.cite)}", f"- Name: {criterion.id}"])


def sentence(test: Test, words: Words) -> str:
    """A whole test in one line, for readers that have no lists."""
    match test:
        case Leaf(kind, params):
            return SENTENCES[kind].says(params, words)
        case AllOf(parts):
            return f"All of: {' '.join(sentence(part, words) for part in parts)}"
        case AnyOf(parts):
            return f"At least one of: {' '.join(sentence(part, words) for part in parts)}"
        case Not(part):
            return f"Not: {sentence(part, words)}"
        case OfCriterion(name):
            return f"Met: {words.policy.criterion(name).statement}."


def _bullets(test: Test, words: Words, depth: int = 0) -> list[str]:
    indent = "  " * depth
    if isinstance(test, AllOf | AnyOf):
        head = "All of these:" if isinstance(test, AllOf) else "At least one of these:"
        inner = [line for part in test.parts for line in _bullets(part, words, depth + 1)]
        return [f"{indent}- {head}", *inner]
    if isinstance(test, Not) and isinstance(test.part, AllOf | AnyOf):
        return [f"{indent}- Not:", *_bullets(test.part, words, depth + 1)]
    return [f"{indent}- {sentence(test, words)}"]


def _results(criterion: Criterion, words: Words) -> Iterator[str]:
    """What met, not met and unknown mean here."""
    absent = _nothing(criterion.test, words)
    facts = sorted({_FACT_WORDS.get(f, f.value) for leaf in leaves(criterion.test) for f in KINDS[leaf.kind].facts})
    unread = f"{listed(facts)} could not be searched or read in full, or a date is too vague"
    yield f"- Met: what stands above holds{_also(absent, 'met')}"
    yield f"- Not met: the record shows that it does not hold{_also(absent, 'not met')}"
    yield f"- Unknown: {unread if facts else 'the order does not tell'}{_also(absent, 'unknown')}"


_FIRST = {AnyOf: ("met", "unknown", "not met"), AllOf: ("not met", "unknown", "met")}
_OPPOSITE = {"met": "not met", "not met": "met"}


def _nothing(test: Test, words: Words) -> str:
    """What a whole test makes of a complete record that holds nothing of it; empty where that cannot be."""
    match test:
        case Leaf(kind, params):
            return str(params.get("when-absent", SENTENCES[kind].nothing)).replace("-", " ")
        case AllOf(parts) | AnyOf(parts):
            found = {_nothing(part, words) for part in parts}
            return next((word for word in _FIRST[type(test)] if word in found), "")
        case Not(part):
            said = _nothing(part, words)
            return _OPPOSITE.get(said, said)
        case OfCriterion(name):
            return _nothing(words.policy.criterion(name).test, words)


def _also(absent: str, result: str) -> str:
    return "; also where a complete search finds nothing" if absent == result else ""


def _figures(criterion: Criterion, words: Words) -> Iterator[str]:
    every = (*leaves(criterion.test), *leaves(criterion.applies_when))
    named = {value for leaf in every for value in leaf.params.values() if isinstance(value, str)}
    for name, threshold in words.policy.thresholds.items():
        if name in named:
            for value in threshold.values:
                yield f"- Figure, {name.replace('-', ' ')}: {dated(value, threshold.unit)}. {citation(value.cite)}"


def citation(cite: Citation) -> str:
    """`Text (address), checked on 2026-11-22, verified`."""
    address = f" ({cite.url})" if cite.url else ""
    return f"{cite.text}{address}; checked on {cite.checked_on}, {'verified' if cite.verified else 'not verified'}"


def _lists(policy: Policy, terms: Terminology) -> Iterator[str]:
    """The value sets that the policy names, each with its first codes."""
    tests = [test for criterion in policy.criteria for test in (criterion.test, criterion.applies_when)]
    names = [name for test in tests for leaf in leaves(test) for name in _sets_of(leaf)]
    for name in sorted({*names, *policy.applies_to.services}):
        yield f"- {terms.valueset(name).title}: {_codes(terms.valueset(name))}"


def _sets_of(leaf: Leaf) -> Sequence[str]:
    single = [leaf.params["set"]] if "set" in leaf.params else []
    return [*leaf.params.get("sets", ()), *single]


def _codes(valueset: ValueSet) -> str:
    shown = [f"{entry.get('label', '')} ({code})" for (_, code), entry in valueset.codes.items()]
    shown += [f"{_dotted(system, start)} and below" for system, all_ in valueset.prefixes.items() for start, _ in all_]
    more = f" and {len(shown) - MOST_CODES} more" if len(shown) > MOST_CODES else ""
    return ", ".join(shown[:MOST_CODES]) + more


def _dotted(system: str, start: str) -> str:
    """`I824` as it is written: `I82.4`."""
    return f"{start[:3]}.{start[3:]}" if system == ICD10 and len(start) > 3 else start
