"""What a payer says of an order's coverage: from its outcome, by its policy, in the codes of a version of CRD. Pure.

An order that does not meet criteria is never `not-covered`: that is said of the coverage alone. What is said for an
outcome is the policy's (`coverage:`), else `STANCES`. It holds under the invariants crd-ci-q1 to q9 of CRD 2.0.1, 2.1.0
and 2.2.1 at once: `pa-needed` unless not covered, `info-needed` exactly where something is conditional, no document for
an authorization that nobody has to ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cds.errors import MissingData, UnusableCoverage
from cds.model import Assessment, Outcome, Result, Standing
from cds.rules.policy import Policy, Stance
from hooks.configuration import LATEST

UNSETTLED = Stance("conditional", "auth-needed", ("clinical",), ("withpa",), ("OTH",))
# Where a policy says nothing: asking for an authorization that is not needed costs less than missing one that is.
STANCES: Mapping[Outcome, Stance] = {
    Outcome.CRITERIA_MET: Stance("covered", "auth-needed"),
    Outcome.CRITERIA_NOT_MET: UNSETTLED,
    Outcome.INSUFFICIENT_INFORMATION: UNSETTLED,
}
INDETERMINATE = Stance("indeterminate", "indeterminate")
NOT_COVERED = Stance("not-covered", "")
# Why a coverage is none that pays: the code of CRD 2.2.1, and the words.
NOT_IN_FORCE: Mapping[Standing, tuple[str, str]] = {
    Standing.LAPSED: ("no-active-coverage", "The coverage is not in force on {day}"),
    Standing.NOT_FOUND: ("coverage-not-found", "The coverage was not found among the plan's own"),
    Standing.MEMBER_UNKNOWN: ("no-member-found", "The member was not found by what the coverage tells"),
}


def payers_of(policies: Iterable[Policy], identifiers: Sequence[str]) -> frozenset[str]:
    """The payers that this service answers for: those that it is set up for, else those that its policies name."""
    return frozenset(identifiers) or frozenset(payer for policy in policies for payer in policy.applies_to.payers)


def check_coverages(assessments: Sequence[Assessment], payers: frozenset[str]) -> None:
    """Refuse, as a payer, a call without one coverage to answer for; without `payers`, any payer's will do.

    UnusableCoverage (hook-13, 400): none found, several, no payer's identifier, another payer. MissingData (412):
    the coverage could not be read, so that not even `indeterminate` can be said of it (CRD 2.2.1, resp-43).
    """
    problems = [_problem(assessment, payers) for assessment in assessments]
    if problems and all(problems):
        if any(each.technical and each.standing is Standing.NONE for each in assessments):
            raise MissingData(
                "The patient's coverage could not be read",
                where="prefetch.coverage",
                remedy="Send it as prefetch, or try again when the FHIR server answers",
            )
        raise UnusableCoverage(
            str(problems[0]), where="prefetch.coverage", remedy="Send the one active Coverage that this payer handles"
        )


def _problem(assessment: Assessment, payers: frozenset[str]) -> str:
    """Why a payer cannot answer for an order's coverage; empty where it can."""
    coverage = assessment.coverage or assessment.lapsed
    if coverage is None:
        several = assessment.standing is Standing.SEVERAL
        if assessment.order.insurance and not several:
            return "The coverage that the order names was not found"
        return "Several coverages are active and none is primary" if several else "No coverage of the patient was found"
    # A payer that is named by a reference which the failing server did not give may well be this one.
    if not coverage.payers:
        return "" if assessment.technical else "The coverage names no payer by identifier"
    return "The coverage is with another payer" if payers and payers.isdisjoint(coverage.payers) else ""


def stance_of(assessment: Assessment, policies: Mapping[str, Policy], version: str = LATEST) -> Stance:
    """What the payer says of one order, as the version asked for can say it."""
    stance = _by_outcome(assessment, policies)
    if stance.covered == "covered" and not any_listed(assessment):
        stance = replace(stance, covered="indeterminate")
    return _consistent(_in_version(stance, version))


def stance_of_unlisted(assessment: Assessment, policies: Mapping[str, Policy], version: str = LATEST) -> Stance | None:
    """What the payer says apart of codes that are not on the plan's list; None where there is nothing to say.

    It is said where the policy says so, beside a statement that the rest of the order is covered.
    """
    policy = policies.get(assessment.policy or "")
    covered = _by_outcome(assessment, policies).covered == "covered" and any_listed(assessment)
    if policy is None or not policy.unlisted_apart or not covered or not unlisted_of(assessment):
        return None
    return _consistent(_in_version(INDETERMINATE, version))


def unlisted_of(assessment: Assessment) -> tuple[str, ...]:
    """The order's billing codes that are not on the plan's list, as its criteria found."""
    missed = [r.facts.get("unlisted") or () for r in assessment.criteria if r.result is Result.NOT_MET]
    named = {code for codes in missed for code in codes}
    return tuple(dict.fromkeys(line.label for line in assessment.order.lines if line.label in named))


def any_listed(assessment: Assessment) -> bool:
    """Whether a billing code of the order is on the plan's list, or none is named or looked up."""
    unlisted = unlisted_of(assessment)
    return not unlisted or any(line.label not in unlisted for line in assessment.order.lines)


def _by_outcome(assessment: Assessment, policies: Mapping[str, Policy]) -> Stance:
    if assessment.standing in NOT_IN_FORCE:
        return NOT_COVERED
    if is_undecided(assessment):
        return INDETERMINATE
    policy = policies.get(assessment.policy or "")
    stance = (policy.stances if policy else {}).get(assessment.outcome.value, STANCES[assessment.outcome])
    if _authorized(assessment):
        return Stance("covered", "satisfied", stance.doc_needed, stance.doc_purpose)
    return stance


def is_undecided(assessment: Assessment) -> bool:
    """Whether nothing can be said: no policy, or a failure that left the outcome open (resp-43)."""
    open_ = assessment.outcome is Outcome.INSUFFICIENT_INFORMATION
    return assessment.outcome is Outcome.NO_POLICY or (assessment.technical and open_)


def _authorized(assessment: Assessment) -> bool:
    """Whether an authorization is in force and no visit is planned beyond it."""
    beyond = any(r.card == "authorization" and r.result is Result.NOT_MET for r in assessment.criteria)
    return assessment.authorization is not None and bool(assessment.authorization.number) and not beyond


def _in_version(stance: Stance, version: str) -> Stance:
    """A stance in the codes of an older version: what is indeterminate there is conditional on more information."""
    if version == LATEST:
        return stance
    swap = {"indeterminate": "conditional"}
    documents = tuple(swap.get(code, code) for code in stance.doc_needed)
    return replace(
        stance,
        covered=swap.get(stance.covered, stance.covered),
        pa_needed=swap.get(stance.pa_needed, stance.pa_needed),
        doc_needed=_one_kind(documents) if version == "2.0" else documents,
        info_needed=tuple("OTH" if code == "detail-code" else code for code in stance.info_needed),
    )


def _one_kind(documents: Sequence[str]) -> tuple[str, ...]:
    """2.0.1 takes one code, `both` for two kinds of staff, and knows no documents of the patient."""
    staff = {"clinical" if code == "patient" else code for code in documents}
    if {"clinical", "admin"} <= staff:
        return ("both",)
    return next(((code,) for code in ("clinical", "admin", "conditional") if code in staff), ())


def _consistent(stance: Stance) -> Stance:
    """A stance that no invariant contradicts (crd-ci-q2, q3, q4)."""
    purposes, documents = stance.doc_purpose, stance.doc_needed
    if stance.pa_needed in ("no-auth", "satisfied") and "withpa" in purposes:
        purposes = tuple(code for code in purposes if code != "withpa")
        documents = documents if purposes else ()  # they were for an authorization that nobody has to ask for
    conditional = "conditional" in (stance.covered, stance.pa_needed, *documents)
    return replace(
        stance,
        doc_needed=documents,
        doc_purpose=purposes if documents else (),
        info_needed=tuple(dict.fromkeys(stance.info_needed)) or ("OTH",) if conditional else (),
    )
