"""Why a payer says of an order what it says, in words; with a code where the version of CRD has one. Pure.

The words fit what is said: beside an authorization that settles the matter no criterion is called open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cds.model import Assessment, Authorization, Outcome, Result
from cds.rules.policy import Stance
from hooks.configuration import LATEST
from hooks.coverage_stance import NOT_IN_FORCE, any_listed, is_undecided, unlisted_of

Json = dict[str, Any]
TEMPORARY = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
REASONS = 3


def reason_of(assessment: Assessment, stance: Stance, version: str = LATEST) -> Json:
    """The reason of a coverage-information, always in words (crd-ci-q6 to q9)."""
    if assessment.standing in NOT_IN_FORCE:
        code, words = NOT_IN_FORCE[assessment.standing]
        text = words.format(day=assessment.as_of.isoformat())
    elif assessment.technical and is_undecided(assessment):
        code, text = "technical", f"It could not be determined for technical reasons. {assessment.says}"
    else:
        return {"text": "; ".join(_found(assessment, stance))}
    return {"coding": [{"system": TEMPORARY, "code": code}], "text": text} if version == LATEST else {"text": text}


def reason_of_unlisted(codes: Sequence[str]) -> Json:
    """Why nothing certain is said of codes that are not on the plan's list."""
    return {"text": f"{_unlisted(codes)}: whether {_they(codes)} covered cannot be told"}


def _found(assessment: Assessment, stance: Stance) -> list[str]:
    """What led to it: an authorization, else the outcome and what is open; and what it is not said of."""
    authorization = assessment.authorization
    if stance.pa_needed == "satisfied" and authorization is not None:
        is_met = assessment.outcome is Outcome.CRITERIA_MET
        found = [_in_force(authorization), *([assessment.says] if is_met else [])]
    else:
        found = [assessment.says, *_open(assessment), *_unsure(assessment.unsure_authorization)]
    unlisted = unlisted_of(assessment)
    if unlisted and not any_listed(assessment):
        found.append(str(reason_of_unlisted(unlisted)["text"]))
    elif unlisted and stance.covered == "covered":
        found.append(f"{_unlisted(unlisted)}: that {_they(unlisted)} covered is not said")
    return found


def _open(assessment: Assessment) -> list[str]:
    """What was found of the first few required criteria that are not met or unknown."""
    open_ = [r for r in assessment.criteria if r.required and r.result in (Result.NOT_MET, Result.UNKNOWN)]
    return [result.says for result in open_[:REASONS]]


def _in_force(authorization: Authorization) -> str:
    last = authorization.period.last
    until = f" until {last.isoformat()}" if last else ""
    return f"Authorization {authorization.number} is in force{until}"


def _unsure(authorization: Authorization | None) -> list[str]:
    """That an authorization is on file, and why it does not settle the matter."""
    if authorization is None:
        return []
    codes = dict.fromkeys(code.code for each in authorization.services for code in each.codes if code.code)
    named = f" (it names {', '.join(codes)})" if codes else ""
    return [f"Whether authorization {authorization.number} is for all of this therapy cannot be told{named}"]


def _unlisted(codes: Sequence[str]) -> str:
    """`Line 20561 is not on the plan's list`."""
    lines = f"Line {codes[0]} is" if len(codes) == 1 else f"Lines {', '.join(codes[:-1])} and {codes[-1]} are"
    return f"{lines} not on the plan's list"


def _they(codes: Sequence[str]) -> str:
    return "it is" if len(codes) == 1 else "they are"
