"""Assessments become cards: the few that matter, most important first. Pure.

At most three cards for one order (users stop reading after that); nothing to say is an empty list.
`critical` is for the patient's safety, contraindications and statutory caps only. No card speaks of approval,
denial or doses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from cds.model import Assessment, Code, Result
from hooks import markdown
from hooks.asking import Draft, Tools
from hooks.drafts import drafts_of, problem_draft

Json = dict[str, Any]
CARDS_PER_ORDER = 3
SUMMARY_LENGTH = 139
TOPICS = "http://terminology.hl7.org/CodeSystem/cdshooks-card-type"
_TOPIC_NAMES = {
    "limits": "Limits",
    "clinical-reminder": "Clinical Reminder",
    "therapy-alternatives-opt": "Therapy Alternatives Optional",
    "contraindication": "Contraindication",
    "guideline": "Guideline",
    "off-guideline": "Off Guideline",
    "insurance": "Insurance",
}


class CardMaker:
    """Makes the cards of one response."""

    def __init__(self, base_url: str, override_reasons: Sequence[Code], today: date, new_id: Callable[[], str]) -> None:
        """`new_id` gives a fresh uuid for each card and suggestion."""
        self._reasons = override_reasons
        self._tools = Tools(today, new_id, base_url)
        self._new_id = new_id

    def response(self, assessments: Sequence[Assessment], problems: Sequence[str] = ()) -> Json:
        """The body of an answer: cards, and for integrators what each assessment came out as."""
        orders = [self.cards(assessment) for assessment in _each_safety_once(assessments)]
        # What must be asked of the patient goes before every order's cards.
        cards = sorted((card for cards in orders for card in cards), key=_after_safety)
        cards += [self._dress(problem_draft(problem), None) for problem in problems]
        response: Json = {"cards": cards}
        if assessments:
            response["extension"] = {"example.therapy-cds.assessments": [_brief(a) for a in assessments]}
        return response

    def cards(self, assessment: Assessment) -> list[Json]:
        """The cards of one order, most important first, at most three."""
        drafts = sorted(drafts_of(assessment, self._tools), key=lambda draft: draft.rank)[:CARDS_PER_ORDER]
        first = next((draft for draft in drafts if draft.of_policy), None)
        return [self._dress(draft, assessment, first=draft is first) for draft in drafts]

    # ------------------------------------------------------------------------------------------ rendering

    def _detail(self, draft: Draft, assessment: Assessment, *, first: bool) -> str:
        """The criteria that matter here, what would change them, and whose criteria these are.

        The first card of an order carries its outcome, every required criterion that is not met or unknown,
        and what could not be read; the others do not repeat it.
        """
        open_ = [r for r in assessment.criteria if r.required and r.result in (Result.NOT_MET, Result.UNKNOWN)]
        rows = [*draft.rows, *(r for r in open_ if first and r not in draft.rows)]
        return markdown.join(
            f"**{markdown.escape(assessment.says)}**" if first and assessment.says != draft.summary else "",
            markdown.escape(draft.lead),
            markdown.criteria_table(rows),
            markdown.bullets("What would change this", draft.change),
            markdown.gaps(assessment) if first else "",
            markdown.source_line(assessment) if first else "",
        )

    def _dress(self, draft: Draft, assessment: Assessment | None, *, first: bool = False) -> Json:
        """A card in the shape of CDS Hooks 2.0.1, Card Attributes."""
        about = assessment if draft.of_policy else None
        card: Json = {
            "uuid": self._new_id(),
            "summary": markdown.plain(_with_order(draft.summary, about), SUMMARY_LENGTH),
            "indicator": draft.indicator,
            "source": self._source(about, draft.topic),
            "overrideReasons": [{"code": r.code, "system": r.system, "display": r.display} for r in self._reasons],
        }
        detail = self._detail(draft, about, first=first) if about else markdown.escape(draft.lead)
        if detail:
            card["detail"] = detail
        if draft.offers:
            card["suggestions"] = list(draft.offers)
            card["selectionBehavior"] = "any" if len(draft.offers) == 1 else "at-most-one"
        if assessment is not None:
            card["extension"] = {
                "davinci-crd.associated-resource": [{"reference": assessment.order.reference}],
                "example.therapy-cds.criteria": list(draft.about) or [assessment.outcome.value],
            }
        return card

    def _source(self, assessment: Assessment | None, topic: str) -> Json:
        label = assessment.policy_title if assessment and assessment.policy else "Therapy order check"
        source: Json = {
            "label": label,
            "topic": {"system": TOPICS, "code": topic, "display": _TOPIC_NAMES[topic]},
        }
        url = assessment.policy_source.get("url") if assessment else ""
        if url:
            source["url"] = url
        return source


def _each_safety_once(assessments: Sequence[Assessment]) -> list[Assessment]:
    """Several orders of one patient: what must be asked is asked once."""
    seen: set[str] = set()
    once = []
    for assessment in assessments:
        once.append(replace(assessment, safety=tuple(r for r in assessment.safety if r.id not in seen)))
        seen |= {result.id for result in assessment.safety}
    return once


def _after_safety(card: Json) -> bool:
    """False, which sorts first, for a card that asks about safety."""
    about = card.get("extension", {}).get("example.therapy-cds.criteria", ())
    return not any(name.endswith("-safety-item") for name in about)


def _brief(assessment: Assessment) -> Json:
    """What an assessment came out as, for integrators and tests; a number that is not known is left out."""
    visits = assessment.visits
    numbers: Json = {}
    if visits is not None:
        numbers = {
            "completed": visits.completed.exact if visits.complete else None,
            "requested": visits.requested.exact if visits.requested else None,
            "scheduled": visits.scheduled,
            "total": visits.total.exact if visits.total and visits.complete else None,
            "limit": visits.limit,
            "projected": [visits.projected.low, visits.projected.high]
            if visits.projected and visits.complete
            else None,
        }
    brief: Json = {
        "order": assessment.order.reference,
        "policy": assessment.policy,
        "policyVersion": assessment.policy_version,
        "asOf": assessment.as_of.isoformat(),
        "outcome": assessment.outcome.value,
        "says": assessment.says,
        "visits": {name: value for name, value in numbers.items() if value is not None},
        "criteria": {result.id: result.result.value for result in assessment.criteria},
        "safety": [result.id for result in assessment.safety],
    }
    return {name: value for name, value in brief.items() if value not in (None, {}, "", [])}


def _with_order(summary: str, assessment: Assessment | None) -> str:
    """`Left hip: 20 of 14 visits …`: which order the card speaks of, where the summary has room for it."""
    if assessment is None or not assessment.order.sites:
        return summary
    site = assessment.order.sites[0].label
    start = summary[:1] if summary[:2].isupper() else summary[:1].lower()
    longer = f"{site[:1].upper()}{site[1:]}: {start}{summary[1:]}"
    return longer if len(longer) <= SUMMARY_LENGTH else summary
