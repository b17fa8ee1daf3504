"""Assessments become cards: the few that matter, most important first. Pure.

At most three cards for one order (users stop reading after that), unless the client's configuration says otherwise;
nothing to say is an empty list.
`critical` is for the patient's safety, contraindications and statutory caps only. No card speaks of approval,
denial or doses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from cds.model import Assessment, Result
from cds.overrides import NONE, UNKNOWN, OverrideReason, fitting
from hooks import markdown
from hooks.asking import Draft, Tools
from hooks.configuration import CARD_TYPES, CARDS_PER_ORDER, LATEST, Configuration
from hooks.drafts import drafts_of, problem_draft
from hooks.naming import names_of

Json = dict[str, Any]
SUMMARY_LENGTH = 139
# CRD had a code system of its own for types of cards until THO took them over for 2.2.
TOPICS = "http://terminology.hl7.org/CodeSystem/cdshooks-card-type"
OLD_TOPICS = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
_REFERENCES = ("guideline", "off-guideline")


@dataclass(frozen=True)
class View:
    """How one hook tells an assessment: which drafts there are, and how many cards at most for one order.

    Where it `opens`, an order's first card carries the outcome with all that is open. Where it is not `whole`, a part
    of the criteria was weighed only, and there is no outcome to tell. `about` are the resources that an order's cards
    are about, and `subjects` those that coverage information is put on, where that is not the order itself. `problem`
    begins the card of what could not be read of the call. `among` is how many resources the call holds: a card about
    some of them only says in its detail which order it speaks of (CRD 2.2.1, dev-24).
    """

    drafts: Callable[[Assessment, Tools], Sequence[Draft]] = drafts_of
    most: int | None = None
    opens: bool = True
    whole: bool = True
    about: Callable[[Assessment], Sequence[str]] = lambda assessment: (assessment.order.reference,)
    subjects: Callable[[Assessment], Sequence[Mapping[str, Any]]] = lambda assessment: (assessment.order.resource,)
    problem: str = "One order could not be weighed"
    among: int = 1


WHOLE = View()


class CardMaker:
    """Makes the cards of one response."""

    def __init__(
        self,
        base_url: str,
        override_reasons: Sequence[OverrideReason],
        today: date,
        new_id: Callable[[], str],
        configuration: Configuration | None = None,
        payer: str = "",
        view: View = WHOLE,
        *,
        has_app: bool = False,
    ) -> None:
        """`new_id` gives a fresh uuid for each card and suggestion; `payer` is the insurer's name where one runs this.

        `configuration` bounds how many cards an order gets and of which types, and says for which version of CRD.
        `view` is how the hook tells an assessment. `has_app`: each order has a link to the SMART app.
        """
        self._view = view
        self._configuration = configuration or Configuration()
        self._payer = payer
        self._reasons = override_reasons
        self._tools = Tools(today, new_id, base_url)
        self._app = f"{base_url}/smart/launch" if has_app else ""
        self._new_id = new_id

    def response(self, assessments: Sequence[Assessment], problems: Sequence[str] = ()) -> Json:
        """The body of an answer: cards, and for integrators what each assessment came out as."""
        names = names_of([assessment.order for assessment in assessments])
        orders = [
            self.cards(each, name if len(self._view.about(each)) < self._view.among else "")
            for each, name in zip(_each_safety_once(assessments), names, strict=True)
        ]
        # What must be asked of the patient goes before every order's cards.
        cards = sorted((card for cards in orders for card in cards), key=_after_safety)
        unread = self._chosen([problem_draft(problem, self._view.problem) for problem in problems])
        cards += [self._dress(draft, None) for draft in unread]
        response: Json = {"cards": cards}
        if assessments:
            briefs = [_brief(assessment, whole=self._view.whole) for assessment in assessments]
            response["extension"] = {"example.therapy-cds.assessments": briefs}
        return response

    def cards(self, assessment: Assessment, name: str = "") -> list[Json]:
        """The cards of one order, most important first, at most as many as the configuration allows.

        `name` tells the order from what else the call holds.
        """
        drafts = self._chosen(self._view.drafts(assessment, self._tools))[: self._most]
        first = next((draft for draft in drafts if draft.of_policy), None)
        dressed = [self._dress(draft, assessment, name, first=draft is first) for draft in drafts]
        return self._with_app(dressed, assessment)

    def _with_app(self, cards: list[Json], assessment: Assessment) -> list[Json]:
        """The cards of one order, one of them with a link to the app.

        A card holds links of one type only (CRD 2.2.1, External Reference), and one that opens an app offers nothing
        else (Launch SMART Application, resp-72): the link is on the first card without offers. Where there is none,
        a payer leaves it out, and a provider, whom CRD does not bind, has it on the first card. The app learns by
        `appContext` which assessment to open; it says nothing of the patient.
        """
        free = [each for each in cards if "links" not in each]
        plain = [each for each in free if "suggestions" not in each]
        card = next(iter(plain if plain or self._payer else free), None)
        if self._app and assessment.id and card is not None:
            link = {"label": "Details", "url": self._app, "type": "smart", "appContext": assessment.id}
            card["links"] = [link]
        return cards

    @property
    def _most(self) -> int:
        """How many cards an order gets: a client that moves the budget moves it for every hook."""
        asked = self._configuration.max_cards
        return asked if self._view.most is None or asked != CARDS_PER_ORDER else self._view.most

    def _chosen(self, drafts: Sequence[Draft]) -> list[Draft]:
        """The drafts that may be shown, most important first."""
        shown = [draft for draft in drafts if self._configuration.allows(draft.topic)]
        return sorted(shown if self._configuration.max_cards else [], key=lambda draft: draft.rank)

    # ------------------------------------------------------------------------------------------ rendering

    def _detail(self, draft: Draft, assessment: Assessment, name: str, *, first: bool) -> str:
        """The criteria that matter here, what would change them, and whose criteria these are.

        The first card of an order carries its outcome, every required criterion that is not met or unknown,
        and what could not be read; the others do not repeat it.
        """
        open_ = [r for r in assessment.criteria if r.required and r.result in (Result.NOT_MET, Result.UNKNOWN)]
        opening = first and self._view.opens
        rows = [*draft.rows, *(r for r in open_ if opening and r not in draft.rows)]
        return markdown.join(
            f"Order: {markdown.escape(name)}" if name else "",
            f"**{markdown.escape(assessment.says)}**" if opening and assessment.says != draft.summary else "",
            markdown.escape(draft.lead),
            markdown.criteria_table(rows),
            markdown.bullets("What would change this", draft.change),
            markdown.gaps(assessment) if first else "",
            markdown.source_line(assessment) if first else "",
        )

    def _dress(self, draft: Draft, assessment: Assessment | None, name: str = "", *, first: bool = False) -> Json:
        """A card in the shape of CDS Hooks 2.0.1, Card Attributes."""
        about = assessment if draft.of_policy else None
        card: Json = {
            "uuid": self._new_id(),
            "summary": markdown.plain(_with_order(draft.summary, about), SUMMARY_LENGTH),
            "indicator": self._indicator(draft),
            "source": self._source(about, draft.topic),
        }
        if reasons := fitting(self._reasons, _kinds(draft)):
            card["overrideReasons"] = [{"code": r.code, "system": r.system, "display": r.display} for r in reasons]
        detail = self._detail(draft, about, name, first=first) if about else markdown.escape(draft.lead)
        if detail:
            card["detail"] = detail
        if draft.offers:
            card["suggestions"] = list(draft.offers)
            card["selectionBehavior"] = "any" if len(draft.offers) == 1 else "at-most-one"
        if link := self._reference(draft, about):
            card["links"] = [link]
        if assessment is not None:
            is_plain = self._configuration.version == "2.0"
            card["extension"] = {
                "davinci-crd.associated-resource": [
                    reference if is_plain else {"reference": reference} for reference in self._view.about(assessment)
                ],
                "example.therapy-cds.criteria": list(draft.about) or [assessment.outcome.value],
            }
        return card

    def _indicator(self, draft: Draft) -> str:
        """A payer's `critical` is for the patient's safety only, never for coverage (resp-1, resp-2)."""
        coverage = draft.topic in ("limits", "insurance")
        return "warning" if self._payer and coverage and draft.indicator == "critical" else draft.indicator

    def _reference(self, draft: Draft, assessment: Assessment | None) -> Json | None:
        """A payer's link to the guideline that a card without offers speaks of: an External Reference (resp-18, 19)."""
        url = assessment.policy_source.get("url") if assessment else ""
        if not (self._payer and assessment and url) or draft.offers or draft.topic not in _REFERENCES:
            return None
        return {"label": assessment.policy_title, "url": url, "type": "absolute"}

    def _source(self, assessment: Assessment | None, topic: str) -> Json:
        """Who speaks: the insurer where one runs this service (resp-4), else whose criteria they are."""
        policy = assessment.policy_title if assessment and assessment.policy else "Therapy order check"
        source: Json = {
            "label": self._payer or policy,
            "topic": {
                "system": TOPICS if self._configuration.version == LATEST else OLD_TOPICS,
                "code": topic,
                "display": CARD_TYPES[topic][0],
            },
        }
        url = assessment.policy_source.get("url") if assessment else ""
        if url:
            source["url"] = url
        return source


def _kinds(draft: Draft) -> set[str]:
    """Of which kinds a card is, by the criteria that it speaks of: the reasons to set it aside follow from them."""
    rows = [row for row in draft.rows if row.id in draft.about]
    kinds = {row.card or NONE for row in rows} or {NONE}
    if any(name.endswith("-safety-item") for name in draft.about):
        return {"safety"}
    return kinds | ({UNKNOWN} if any(row.result is Result.UNKNOWN for row in rows) else set())


def _each_safety_once(assessments: Sequence[Assessment]) -> list[Assessment]:
    """Several orders of one patient: what must be asked is asked once."""
    seen: set[str] = set()
    once = []
    for assessment in assessments:
        new = tuple(result for result in assessment.safety if result.id not in seen)
        once.append(assessment if len(new) == len(assessment.safety) else replace(assessment, safety=new))
        seen |= {result.id for result in assessment.safety}
    return once


def _after_safety(card: Json) -> bool:
    """False, which sorts first, for a card that asks about safety."""
    about = card.get("extension", {}).get("example.therapy-cds.criteria", ())
    return not any(name.endswith("-safety-item") for name in about)


def _brief(assessment: Assessment, *, whole: bool = True) -> Json:
    """What an assessment came out as, for integrators and tests; a number that is not known is left out.

    An assessment of a part of the criteria has no outcome.
    """
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
        "id": assessment.id,
        "order": assessment.order.reference,
        "policy": assessment.policy,
        "policyVersion": assessment.policy_version,
        "asOf": assessment.as_of.isoformat(),
        "outcome": assessment.outcome.value if whole or assessment.policy is None else None,
        "says": assessment.says if whole or assessment.policy is None else None,
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
