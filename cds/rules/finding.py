"""What a test finds: a result, in words, with its evidence. And Kleene's three-valued joins of findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cds.model import Result

Facts = Mapping[str, Any]
NO_FACTS: Facts = {}
_NEGATED = {Result.MET: Result.NOT_MET, Result.NOT_MET: Result.MET}


@dataclass(frozen=True)
class Finding:
    """The result of one test. `missing` would settle it; `would_change` would turn it. Plain sentences.

    `listed` is what `says` lists after its colon, so that several such lists are told as one.
    """

    result: Result
    says: str
    evidence: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    would_change: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    listed: tuple[str, ...] = ()


def met(says: str, evidence: Iterable[str] = (), facts: Facts = NO_FACTS) -> Finding:
    """A test that is met."""
    return Finding(Result.MET, says, tuple(evidence), facts=facts)


def not_met(says: str, evidence: Iterable[str] = (), change: Sequence[str] = (), facts: Facts = NO_FACTS) -> Finding:
    """A test that is not met, and what would turn it."""
    return Finding(Result.NOT_MET, says, tuple(evidence), would_change=tuple(change), facts=facts)


def unknown(says: str, missing: Sequence[str], evidence: Iterable[str] = (), facts: Facts = NO_FACTS) -> Finding:
    """A test that cannot be settled, and what would settle it."""
    return Finding(Result.UNKNOWN, says, tuple(evidence), missing=tuple(missing), facts=facts)


def not_applicable(says: str, evidence: Iterable[str] = (), facts: Facts = NO_FACTS) -> Finding:
    """A test that does not concern this order."""
    return Finding(Result.NOT_APPLICABLE, says, tuple(evidence), facts=facts)


def all_of(findings: Sequence[Finding]) -> Finding:
    """Not met if any part is not met; else unknown if any is; else met. Parts that do not apply drop out."""
    return _join(findings, first=Result.NOT_MET, last=Result.MET)


def any_of(findings: Sequence[Finding]) -> Finding:
    """Met if any part is met; else unknown if any is; else not met. Parts that do not apply drop out."""
    return _join(findings, first=Result.MET, last=Result.NOT_MET)


def negate(finding: Finding) -> Finding:
    """Met where not met, and the other way round; unknown stays unknown."""
    return replace(finding, result=_NEGATED.get(finding.result, finding.result))


def _join(findings: Sequence[Finding], first: Result, last: Result) -> Finding:
    live = [finding for finding in findings if finding.result is not Result.NOT_APPLICABLE]
    if not live:
        return not_applicable("; ".join(dict.fromkeys(f.says for f in findings)))
    result = next((r for r in (first, Result.UNKNOWN) if any(f.result is r for f in live)), last)
    # Only the parts that brought the result about are told; a met any-of does not list its misses.
    telling = [finding for finding in live if finding.result is result]
    return Finding(
        result=result,
        says="; ".join(_told(telling)),
        evidence=_gather(finding.evidence for finding in telling),
        missing=_gather(finding.missing for finding in telling),
        would_change=_changes(live, result, one_is_enough=first is Result.MET),
        facts={key: value for finding in live for key, value in finding.facts.items()},
    )


def _told(findings: Iterable[Finding]) -> tuple[str, ...]:
    """What each says, once; lists of one kind (`none active on file: …`) as one list, at the place of the first."""
    told: dict[str, list[str]] = {}
    for finding in findings:
        head = finding.says.partition(": ")[0] if finding.listed else finding.says
        told.setdefault(head, []).extend(finding.listed)
    return tuple(f"{head}: {'; '.join(dict.fromkeys(items))}" if items else head for head, items in told.items())


def _changes(live: Sequence[Finding], result: Result, *, one_is_enough: bool) -> tuple[str, ...]:
    """The smallest set of changes that would turn a join: of an all-of every part's, of an any-of one part's.

    Parts of an any-of that one sentence would turn are told as alternatives in one sentence.
    """
    if result is Result.MET:
        return ()
    lists = [finding.would_change for finding in live if finding.would_change]
    if not one_is_enough or not lists:
        return _gather(finding.would_change for finding in live if finding.result is not Result.MET)
    fewest = min(len(changes) for changes in lists)
    if fewest > 1:
        return next(changes for changes in lists if len(changes) == fewest)
    single = dict.fromkeys(changes[0] for changes in lists if len(changes) == 1)
    first, *others = single
    return (", or ".join([first, *(other.removeprefix("met ") for other in others)]),)


def _gather(parts: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for part in parts for item in part))
