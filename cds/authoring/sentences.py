"""What each kind of test asks, as one plain sentence. `policy explain` and the FHIR view use the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cds.rules.criteria.kinds import Params
from cds.rules.criteria.words import listed
from cds.rules.policy import DatedValue, Policy
from cds.terminology import Terminology

_FAMILIES = {"range-of-motion": "range of motion", "strength": "strength", "functional-task": "a functional task"}
_ONE = {"studies": "study"}


@dataclass(frozen=True)
class Words:
    """How the names in a policy are said: figures with their unit, value sets and instruments by title."""

    policy: Policy
    terms: Terminology

    def figure(self, threshold: str) -> str:
        """`14 visits`; where it changed or depends on the diagnosis, every value with its time."""
        known = self.policy.thresholds[threshold]
        if len(known.values) == 1 and not known.values[0].diagnoses:
            return amount(known.values[0].value, known.unit)
        return "; ".join(dated(value, known.unit) for value in known.values)

    def sets(self, names: Iterable[str], last: str = "or") -> str:
        """The titles of value sets: `“Infection” or “Fracture”`."""
        return listed([f"“{self.terms.valueset(name).title}”" for name in names], last)

    def instrument(self, params: Params) -> str:
        """An instrument, with its part where one is meant: `FABQ physical activity`."""
        instrument = self.terms.instruments[params["instrument"]]
        part = params.get("subscale")
        return f"{instrument.name} {instrument.part(part).get('name')}" if part else instrument.name


def amount(value: float, unit: str) -> str:
    """A figure with its unit: `1 visit`, `14 visits`, `80 %`, `$2,410`."""
    if unit == "percent":
        return f"{value:g} %"
    if unit == "dollars":
        return f"${value:,.0f}"
    return f"{value:g} {_ONE.get(unit, unit.removesuffix('s')) if value == 1 else unit}"


def dated(value: DatedValue, unit: str) -> str:
    """A figure with its first day and its diagnoses: `10 visits from 2009-07-18 for M79.1`."""
    whose = f" for {listed(value.diagnoses)}" if value.diagnoses else ""
    return f"{amount(value.value, unit)} from {value.start}{whose}"


Says = Callable[[Params, Words], str]


@dataclass(frozen=True)
class Sentence:
    """What a kind of test asks, and what it makes of a whole record that holds nothing of it.

    `nothing` is `met`, `not met` or `unknown`; empty where the test looks at the order alone.
    """

    says: Says
    nothing: str = ""


def _visits_within(params: Params, words: Words) -> str:
    if params.get("count") == "projected":
        return f"Once the plan of care has run its course, there were no more than {words.figure(params['limit'])}."
    return f"Visits completed and visits asked for come to no more than {words.figure(params['limit'])}."


def _measure_on_file(params: Params, words: Words) -> str:
    what = "An outcome measure that suits the body region has a score"
    if params["window"] == "baseline":
        before, after = words.figure(params["days-before"]), words.figure(params["days-after"])
        return f"{what} from the start of care ({before} before the first visit to {after} after it)."
    visits = f", or of the last {words.figure(params['visits'])}" if "visits" in params else ""
    return f"{what} of the last {words.figure(params['days'])}{visits}."


def _re_evaluated(params: Params, words: Words) -> str:
    what = f"A service of {words.sets(params['sets'])} was given"
    if "day" in params:
        return f"{what} {words.figure(params['day'])} after the first visit or later."
    visits = f" and the last {words.figure(params['visits'])}" if "visits" in params else ""
    return f"{what} within the last {words.figure(params['days'])}{visits}."


def _no_condition(params: Params, words: Words) -> str:
    which = " of the region that the order is for" if params.get("of-region") else ""
    new = " that began after therapy began" if params.get("new-only") else ""
    return f"No condition of {words.sets(params['sets'])}{which}{new} is active."


def _imaging(params: Params, words: Words) -> str:
    many = f", and there are at least {words.figure(params['count'])} in all" if "count" in params else ""
    what = f"A study of {words.sets([params['set']])} of the region is dated within the last"
    return f"{what} {words.figure(params['months'])}{many}."


def _symptoms(params: Params, words: Words) -> str:
    whose = f"A condition of {words.sets([params['set']])}" if "set" in params else "The condition that is treated"
    return f"{whose} began at least {words.figure(params.get('days') or params['months'])} ago."


def _surgery(params: Params, words: Words) -> str:
    what = f" of {words.sets([params['set']])}" if "set" in params else ""
    return f"The order falls within {words.figure(params['months'])} after a surgery{what} of the same region."


def _families(params: Params) -> str:
    return listed(_FAMILIES.get(family, family) for family in params["families"])


def _on_file(what: str) -> Says:
    def says(params: Params, words: Words) -> str:
        return f"{what} of {words.sets([params['set']])} is dated within the last {words.figure(params['months'])}."

    return says


SENTENCES: dict[str, Sentence] = {
    "amount-below": Sentence(
        lambda p, w: f"The allowed charges of the calendar year are below {w.figure(p['limit'])}.", "unknown"
    ),
    "attendance": Sentence(
        lambda p, w: f"At least {w.figure(p['share'])} of the visits that were booked in this episode were attended.",
        "unknown",
    ),
    "document-on-file": Sentence(_on_file("A document or report"), "not met"),
    "episode-shorter-than": Sentence(
        lambda p, w: f"Fewer than {w.figure(p['days'])} have passed since the first visit.", "met"
    ),
    "exercise-prescribed": Sentence(
        lambda p, w: f"Every part of {w.sets([p['set']])} is recorded in structured form.", "unknown"
    ),
    "goals-open": Sentence(lambda p, w: "At least one treatment goal is still to be reached.", "unknown"),
    "goals-progressed": Sentence(
        lambda p, w: "A treatment goal is recorded, with a date in this episode, as achieved or improving.", "unknown"
    ),
    "goals-stated": Sentence(
        lambda p, w: f"The order, its plan of care or the record states at least {w.figure(p['count'])} of treatment.",
        "not met",
    ),
    "imaging-on-file": Sentence(_imaging, "not met"),
    "impairment-improved": Sentence(
        lambda p, w: f"A measure of {_families(p)} changed for the better by more than measuring error explains.",
        "unknown",
    ),
    "impairments-on-file": Sentence(
        lambda p, w: (
            f"Measures of {_families(p)} are on file from the start of care ({w.figure(p['days-before'])} before "
            f"the first visit to {w.figure(p['days-after'])} after it)."
        ),
        "not met",
    ),
    "kinds-tried": Sentence(
        lambda p, w: f"At least {w.figure(p['count'])} of {w.sets([p['set']])} were tried.", "unknown"
    ),
    "no-active-condition": Sentence(_no_condition, "met"),
    "not-stated": Sentence(
        lambda p, w: f"Nothing on file says {w.sets([p['set']])}, neither a statement nor an active condition.", "met"
    ),
    "ordered-by": Sentence(lambda p, w: f"The one who orders is one of {w.sets([p['set']])}.", "unknown"),
    "outcome-measure-improved": Sentence(
        lambda p, w: (
            "An outcome measure that suits the body region changed for the better, between the start of care and "
            "now, by at least its published important change."
        ),
        "unknown",
    ),
    "outcome-measure-on-file": Sentence(_measure_on_file, "not met"),
    "plan-of-care-within": Sentence(
        lambda p, w: f"An active plan of care began, or was renewed, within the last {w.figure(p['days'])}.", "unknown"
    ),
    "prior-visit": Sentence(lambda p, w: "Therapy has begun: at least one visit counts.", "not met"),
    "procedure-on-file": Sentence(_on_file("A procedure"), "not met"),
    "programme-volume": Sentence(
        lambda p, w: (
            f"The order asks for {w.figure(p['least'])} to {w.figure(p['most'])}, one visit being one programme day; "
            f"units of {w.sets([p['set']])} are told beside it."
        )
    ),
    "progress-report-within": Sentence(
        lambda p, w: (
            f"A report of {w.sets([p['set']])}, or a service of {w.sets(p['sets'])}, lies within the last "
            f"{w.figure(p['visits'])}."
        ),
        "not met",
    ),
    "re-evaluated": Sentence(_re_evaluated, "not met"),
    "reason-not-in": Sentence(lambda p, w: f"None of the order's diagnoses is {w.sets([p['set']])}."),
    "reported-improvement": Sentence(
        lambda p, w: f"The patient reports an improvement of at least {w.figure(p['percent'])} in this episode.",
        "unknown",
    ),
    "restart-justified": Sentence(
        lambda p, w: (
            f"Where therapy restarts after {w.figure(p['gap'])} or more without a visit, a new diagnosis, a surgery "
            f"or a service of {w.sets(p['sets'])} gives the reason."
        ),
        "not met",
    ),
    "score-at-least": Sentence(
        lambda p, w: (
            f"The latest {w.instrument(p)} of the last {w.figure(p['days'])} is at least {w.figure(p['score'])}."
        ),
        "unknown",
    ),
    "score-below": Sentence(
        lambda p, w: f"The latest {w.instrument(p)} of the last {w.figure(p['days'])} is below {w.figure(p['score'])}.",
        "unknown",
    ),
    "service-ordered": Sentence(lambda p, w: f"The order asks for a service of {w.sets([p['set']])}."),
    "services-listed": Sentence(
        lambda p, w: (
            f"Every billing code of the order is on the list {w.sets([p['set']])}; one that is not concerns "
            "that line only."
        )
    ),
    "stated": Sentence(lambda p, w: f"Somebody stated, in structured form: {w.sets([p['set']])}.", "unknown"),
    "surgery-within": Sentence(_surgery, "does not apply"),
    "symptoms-for": Sentence(_symptoms, "unknown"),
    "treated-for": Sentence(
        lambda p, w: (
            f"A course of {w.sets([p['set']])}, with no more than {w.figure(p['gap'])} between treatments, "
            f"lasted at least {w.figure(p['days'])}."
        ),
        "unknown",
    ),
    "treated-within": Sentence(
        lambda p, w: f"A treatment of {w.sets([p['set']])} was used within the last {w.figure(p['months'])}.", "unknown"
    ),
    "visits-below-share": Sentence(
        lambda p, w: (
            f"Visits completed and visits asked for stay below {w.figure(p['share'])} of the limit "
            f"({w.figure(p['limit'])})."
        )
    ),
    "visits-within": Sentence(_visits_within),
    "within-authorization": Sentence(
        lambda p, w: f"The last planned day lies within {w.figure(p['days'])} of the day of authorization.", "unknown"
    ),
    "work-status-improved": Sentence(
        lambda p, w: "The latest work status has fewer restrictions than the one before it.", "unknown"
    ),
}
