"""Assessments become cards: the few that matter, most important first. Pure.

At most three cards for one order (users stop reading after that); nothing to say is an empty list.
`critical` is for contraindications and statutory caps only. No card speaks of approval, denial or doses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from cds.model import Assessment, Code, CriterionResult, Outcome, Result
from cds.rules.explain import needed
from hooks import markdown, suggestions

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


@dataclass(frozen=True)
class Draft:
    """A card before it is dressed: how much it matters (1 most), what it says, and what it offers."""

    rank: int
    indicator: str
    summary: str
    topic: str
    lead: str = ""
    rows: tuple[CriterionResult, ...] = ()
    change: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    offers: tuple[Json, ...] = field(default=())


class CardMaker:
    """Makes the cards of one response."""

    def __init__(self, base_url: str, override_reasons: Sequence[Code], today: date, new_id: Callable[[], str]) -> None:
        """`new_id` gives a fresh uuid for each card and suggestion."""
        self._base_url = base_url
        self._reasons = override_reasons
        self._today = today
        self._new_id = new_id

    def response(self, assessments: Sequence[Assessment], problems: Sequence[str] = ()) -> Json:
        """The body of an answer: cards, and for integrators what each assessment came out as."""
        cards = [card for assessment in assessments for card in self.cards(assessment)]
        cards += [self._dress(_problem(problem), None) for problem in problems]
        response: Json = {"cards": cards}
        if assessments:
            response["extension"] = {"example.therapy-cds.assessments": [_brief(a) for a in assessments]}
        return response

    def cards(self, assessment: Assessment) -> list[Json]:
        """The cards of one order, most important first, at most three."""
        drafts = sorted(self._drafts(assessment), key=lambda draft: draft.rank)[:CARDS_PER_ORDER]
        return [self._dress(draft, assessment, first=draft is drafts[0]) for draft in drafts]

    def _drafts(self, assessment: Assessment) -> list[Draft]:
        if assessment.policy is None or not assessment.criteria:
            return [_no_answer(assessment)]
        # Each kind of limit has its own card: a statute's cap and a guideline's course are never merged.
        by_card: dict[tuple[str, str], list[CriterionResult]] = {}
        for result in assessment.criteria:
            by_card.setdefault((result.card or "", result.policy), []).append(result)
        makers = {
            "contraindication": _contraindication,
            "limits": self._limits,
            "outcome-measure": self._outcome_measure,
            "lines": self._lines,
            "reassessment": self._reassessment,
            "guideline": _guideline,
            "safety": _safety,
            "authorization": _authorization,
            "billing": _billing,
        }
        drafts = [makers[name](assessment, results) for (name, _), results in by_card.items() if name in makers]
        found = [draft for draft in drafts if draft is not None]
        if (unsettled := _unsettled(assessment, found)) is not None:
            found.append(unsettled)
        return found

    # ---------------------------------------------------------------------------------------- kinds of card

    def _limits(self, assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
        """Visits against their limit: passed, not countable, or near; the plan's projection with it."""
        counts = [r for r in results if not r.facts.get("share")]
        passed = [r for r in counts if r.result is Result.NOT_MET]
        uncounted = [r for r in counts if r.result is Result.UNKNOWN and r.required]
        near = [r for r in results if r.facts.get("share") and r.result is Result.NOT_MET]
        telling = [*passed, *uncounted] or near
        if not telling:
            return None
        main = telling[0] if telling is not near else counts[0]
        statutory = main.policy_kind == "statute" and bool(passed)
        return Draft(
            rank=(0 if statutory else 1) if passed else (3 if uncounted else 6),
            indicator="critical" if statutory else ("warning" if passed else "info"),
            summary=_in_brackets(main.says) + _kind_of_limit(main) + _projection(assessment, main),
            topic="limits",
            rows=tuple(r for r in counts if r.result is not Result.NOT_APPLICABLE),
            change=tuple(c for r in telling for c in r.would_change or r.missing if telling is not near),
            about=tuple(r.id for r in telling),
            offers=self._fewer_visits(assessment, main),
        )

    def _fewer_visits(self, assessment: Assessment, counted: CriterionResult) -> tuple[Json, ...]:
        """`Reduce the order to what remains`, where something remains and the order asks for more."""
        fits, requested = counted.facts.get("fits"), assessment.order.requested
        if counted.result is not Result.NOT_MET or not counted.facts.get("completed_known") or not fits:
            return ()
        if requested is None or requested.low <= fits:
            return ()
        return (suggestions.reduce_visits(assessment.order, fits, self._new_id),)

    def _outcome_measure(self, assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
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
            offers=tuple(
                suggestions.ask_for_measure(assessment.order, name, None, self._today, self._new_id)
                for name in names[:2]
            ),
        )

    def _lines(self, assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
        """Lines that are not on the plan's list."""
        missed = next((r for r in results if r.result is Result.NOT_MET and r.facts.get("unlisted")), None)
        if missed is None:
            return None
        codes = list(missed.facts["unlisted"])
        which = "Line" if len(codes) == 1 else "Lines"
        verb = "is" if len(codes) == 1 else "are"
        listed = ", ".join(missed.facts.get("listed", ())) or "none"
        return Draft(
            rank=4,
            indicator="warning",
            summary=f"{which} {', '.join(codes)} {verb} not on the plan's list of therapy codes",
            topic="therapy-alternatives-opt",
            lead=f"This concerns {which.lower()} {', '.join(codes)} only. On the list: {listed}.",
            rows=(missed,),
            about=(missed.id,),
            offers=(suggestions.remove_lines(assessment.order, codes, self._new_id),),
        )

    def _reassessment(self, assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
        """Re-evaluation is due."""
        due = [r for r in results if r.result is Result.NOT_MET]
        if not due:
            return None
        return Draft(
            rank=7,
            indicator="info",
            summary=f"Re-evaluation is due: {_last_clause(due[-1].says)}",
            topic="clinical-reminder",
            rows=tuple(due),
            about=tuple(r.id for r in due),
            offers=(suggestions.add_re_evaluation(assessment.order, self._new_id),),
        )

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
        card: Json = {
            "uuid": self._new_id(),
            "summary": markdown.plain(_with_order(draft.summary, assessment), SUMMARY_LENGTH),
            "indicator": draft.indicator,
            "source": self._source(assessment, draft.topic),
            "overrideReasons": [{"code": r.code, "system": r.system, "display": r.display} for r in self._reasons],
        }
        detail = self._detail(draft, assessment, first=first) if assessment else markdown.escape(draft.lead)
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
    }
    return {name: value for name, value in brief.items() if value not in (None, {}, "")}


def _contraindication(assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
    found = [r for r in results if r.result is Result.NOT_MET]
    if not found:
        return None
    labels = [label for r in found for label in r.facts.get("conditions", ())]
    return Draft(
        rank=0,
        indicator="critical",
        summary=f"Possible contraindication on file: {', '.join(dict.fromkeys(labels)) or found[0].says}",
        topic="contraindication",
        lead="Clarify before therapy begins or goes on.",
        rows=tuple(found),
        about=tuple(r.id for r in found),
    )


def _guideline(assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
    off = [r for r in results if r.result is Result.NOT_MET]
    if not off:
        return None
    return Draft(
        rank=8,
        indicator="info",
        summary=f"Off guideline: {off[0].says[:1].lower()}{off[0].says[1:]}",
        topic="off-guideline",
        lead=off[0].cite,
        rows=tuple(off),
        about=tuple(r.id for r in off),
    )


def _safety(assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
    """A score in a band that calls for a question before anything else."""
    high = [r for r in results if r.result is Result.NOT_MET]
    if not high:
        return None
    return Draft(
        rank=1,
        indicator="warning",
        summary=f"{_first_clause(high[0].says)}: ask about thoughts of self-harm (item 9) before the programme",
        topic="clinical-reminder",
        lead="The band is computed from the score. Item 9 asks about thoughts of self-harm.",
        rows=tuple(high),
        about=tuple(r.id for r in high),
    )


def _authorization(assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
    """Visits planned beyond the days that an authorization holds."""
    beyond = [r for r in results if r.result is Result.NOT_MET]
    if not beyond:
        return None
    return Draft(
        rank=4,
        indicator="warning",
        summary=f"Planned beyond the authorization: {beyond[0].says[:1].lower()}{beyond[0].says[1:]}",
        topic="limits",
        rows=tuple(beyond),
        change=tuple(c for r in beyond for c in r.would_change),
        about=tuple(r.id for r in beyond),
    )


def _billing(assessment: Assessment, results: Sequence[CriterionResult]) -> Draft | None:
    """A billing threshold that is passed: information, never a limit of care."""
    passed = [r for r in results if r.result is Result.NOT_MET]
    if not passed:
        return None
    return Draft(
        rank=8,
        indicator="info",
        summary=passed[0].says,
        topic="limits",
        rows=tuple(passed),
        about=tuple(r.id for r in passed),
    )


def _unsettled(assessment: Assessment, found: Sequence[Draft]) -> Draft | None:
    """Required criteria that no other card tells of: what is missing, or not there."""
    told = {name for draft in found for name in draft.about}
    required = [r for r in assessment.criteria if r.required and r.result in (Result.NOT_MET, Result.UNKNOWN)]
    untold = [r for r in required if r.id not in told]
    if not untold:
        return None
    not_met = [r for r in untold if r.result is Result.NOT_MET]
    main = (not_met or untold)[0]
    word = "Not met" if not_met else "Not enough information"
    return Draft(
        rank=_rank_of_untold(found, not_met=bool(not_met)),
        indicator="warning" if not_met else "info",
        summary=f"{word}: {main.statement[:1].lower()}{main.statement[1:]}",
        topic="off-guideline" if not_met else "guideline",
        rows=tuple(untold),
        change=needed(m for r in untold for m in (r.missing or r.would_change)),
        about=tuple(r.id for r in untold),
    )


def _rank_of_untold(found: Sequence[Draft], *, not_met: bool) -> int:
    """First where no other card says that something is not met; last where one does and carries the rows."""
    warned = any(draft.rank <= 1 for draft in found)
    if not_met:
        return 5 if warned else 1
    return 5 if found else 1


def _no_answer(assessment: Assessment) -> Draft:
    """No policy, or a fault: said, never silent."""
    return Draft(
        rank=1,
        indicator="info",
        summary=assessment.says,
        topic="insurance",
        lead="This order was not weighed against any criteria.",
    )


def _problem(text: str) -> Draft:
    return Draft(9, "info", f"One order could not be weighed: {text}", "guideline", lead=text)


def _in_brackets(says: str) -> str:
    """`20 of 14 visits: 18 completed …` as `20 of 14 visits (18 completed …)`."""
    head, colon, tail = says.split("; ")[0].partition(": ")
    return f"{head} ({tail})" if colon else head


def _first_clause(text: str) -> str:
    return text.split("; ")[0]


def _kind_of_limit(main: CriterionResult) -> str:
    """Which kind of limit it is, where it is not the benchmark or guideline one would expect."""
    return {"statute": ", statutory cap", "benefit": ", plan limit"}.get(main.policy_kind, "")


def _projection(assessment: Assessment, main: CriterionResult) -> str:
    """What the plan of care projects, where it is more than what is asked for now."""
    visits = assessment.visits
    if visits is None or visits.projected is None or visits.total is None or not visits.complete:
        return ""
    grows = visits.projected.low > visits.total.low
    return f"; the plan projects {visits.projected}" if grows and "limit" in main.facts else ""


def _families(names: Sequence[str]) -> list[str]:
    """`HAGOS, iHOT-12, iHOT-33` as `HAGOS, iHOT`: lengths of one instrument are one name."""
    return list(dict.fromkeys(name.rsplit("-", 1)[0] if name.rsplit("-", 1)[-1].isdigit() else name for name in names))


def _last_clause(text: str) -> str:
    return text.split("; ")[-1]


def _with_order(summary: str, assessment: Assessment | None) -> str:
    """`Left hip: 20 of 14 visits …`: which order the card speaks of, where the summary has room for it."""
    if assessment is None or not assessment.order.sites:
        return summary
    site = assessment.order.sites[0].label
    start = summary[:1] if summary[:2].isupper() else summary[:1].lower()
    longer = f"{site[:1].upper()}{site[1:]}: {start}{summary[1:]}"
    return longer if len(longer) <= SUMMARY_LENGTH else summary
