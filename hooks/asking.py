"""What is asked of the patient: a card before it is dressed, and the drafts that ask for a measure or for safety.

Pure. `hooks.drafts` has the drafts of all other kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from cds.model import Assessment, CriterionResult, Outcome, Result
from hooks import suggestions

Json = dict[str, Any]
FIRST = -1


@dataclass(frozen=True)
class Draft:
    """A card before it is dressed: how much it matters (the least number most), what it says, what it offers.

    A card that is not `of_policy` speaks of the patient: it names no policy, no criteria and no order.
    """

    rank: int
    indicator: str
    summary: str
    topic: str
    lead: str = ""
    rows: tuple[CriterionResult, ...] = ()
    change: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    offers: tuple[Json, ...] = field(default=())
    of_policy: bool = True


@dataclass(frozen=True)
class Tools:
    """What offers need: the day on which they are made, fresh uuids, and where this service's forms are found."""

    today: date
    new_id: Callable[[], str]
    base_url: str = ""

    def canonical(self, form: str | None) -> str | None:
        """The canonical of a shipped Questionnaire (`phq-9|1.0.0`), resolvable at this service."""
        return f"{self.base_url.rstrip('/')}/fhir/Questionnaire/{form}" if form else None


def ask_now(result: CriterionResult) -> Draft:
    """A positive answer on thoughts of self-harm: before all else, and in few words."""
    day = f" ({result.facts['day']})" if result.facts.get("day") else ""
    return Draft(
        rank=FIRST,
        indicator="critical",
        summary=f"Ask about safety now: {result.facts['instrument']} {result.facts['item']} is positive{day}",
        topic="clinical-reminder",
        lead="The patient told of thoughts of death or self-harm. Ask today about thoughts, plans and means, and do "
        "not leave a patient at risk alone. Crisis line in the US: call or text 988; in immediate danger, 911. "
        "This is apart from the criteria of any plan.",
        about=(result.id,),
        of_policy=False,
    )


def outcome_measure(tools: Tools, assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
    """No outcome measure on file: which instruments suit this body region, and when one was last seen."""
    missing = [r for r in results if r.result is Result.NOT_MET]
    current = next((r for r in missing if "current_on_file" in r.facts), None)
    if current is None or current.facts.get("already_asked"):
        return None
    names = list(current.facts.get("instruments", ()))
    seen = current.facts.get("last_seen")
    last = f"last seen {seen}" if seen else "none seen in this episode"
    ok = assessment.outcome is Outcome.CRITERIA_MET
    usual = " or ".join(_families(names)[:2])
    return Draft(
        rank=5 if ok else 2,
        indicator="info" if ok else "warning",
        summary=f"No outcome measure on file: {usual} is missing ({last})",
        topic="clinical-reminder",
        lead=f"Suited to this body region: {', '.join(names[:6])}.",
        rows=tuple(missing),
        about=tuple(r.id for r in missing),
        offers=_ask_for(tools, assessment, names, current.facts.get("forms", {})),
    )


def _ask_for(tools: Tools, assessment: Assessment, names: Sequence[str], forms: Mapping[str, str]) -> tuple[Json, ...]:
    """Tasks for the two preferred instruments, and for the first one that has a form of ours."""
    with_form = next((name for name in names if name in forms), None)
    chosen = dict.fromkeys((*names[:2], *((with_form,) if with_form else ())))
    return tuple(
        suggestions.ask_for_measure(assessment.order, name, tools.canonical(forms.get(name)), tools.today, tools.new_id)
        for name in chosen
    )


def scores_to_ask(tools: Tools, assessment: Assessment, result: CriterionResult) -> tuple[Json, ...]:
    """A Task for a score that is not on file, where it has a form of ours."""
    forms = result.facts.get("ask_for") or {}
    return _ask_for(tools, assessment, list(forms), forms) if result.result is Result.UNKNOWN else ()


def _families(names: Sequence[str]) -> list[str]:
    """`HAGOS, iHOT-12, iHOT-33` as `HAGOS, iHOT`: lengths of one instrument are one name."""
    return list(dict.fromkeys(name.rsplit("-", 1)[0] if name.rsplit("-", 1)[-1].isdigit() else name for name in names))
