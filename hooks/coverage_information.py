"""Assessments become coverage information: what a payer says of each therapy order, as system actions. Pure.

CRD 2.2.1, extension coverage-information; 2.0.1 and 2.1.0 on request. `hooks.coverage_stance` has what is said of
coverage, authorization and documents; here it gets its reason, details, forms and identifiers, and goes on the order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from cds.fhir.orders import REQUEST_TYPES
from cds.model import Assessment, Coverage, CriterionResult, Order, Result
from cds.rules.policy import Policy, Stance
from hooks.asking import Tools
from hooks.configuration import LATEST
from hooks.coverage_reason import TEMPORARY, reason_of, reason_of_unlisted
from hooks.coverage_stance import is_undecided, stance_of, stance_of_unlisted, unlisted_of
from hooks.suggestions import CPT, UCUM

Json = dict[str, Any]
GUIDE = "http://hl7.org/fhir/us/davinci-crd"
URL = f"{GUIDE}/StructureDefinition/ext-coverage-information"
DETAILS = "http://terminology.hl7.org/CodeSystem/crd-coverage-detail"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
BILLING = {"cpt": CPT, "hcpcs": HCPCS}
_NEW_EACH_TIME = frozenset(("date", "coverage-assertion-id"))


@dataclass(frozen=True)
class Informing:
    """What the coverage information of one response is made with.

    `assertion_id` gives the identifier for a coverage's reference; it is asked once for each coverage of a response.
    `contact` holds FHIR ContactPoints.
    """

    tools: Tools
    assertion_id: Callable[[str], str]
    policies: Mapping[str, Policy] = field(default_factory=dict)
    version: str = LATEST
    payer: str = ""
    contact: Sequence[Json] = ()


def system_actions(assessments: Sequence[Assessment], informing: Informing) -> list[Json]:
    """One `update` for each order about which there is something new to say (resp-29, resp-35, resp-37).

    The order goes back as it was sent, with the extension added, or put in the place of an earlier one for the
    same coverage. An order whose coverage is not known gets none: the extension cannot be made without. Where the
    policy says so, codes that are not on the plan's list have an extension of their own beside it.
    """
    ids: dict[str, str] = {}

    def remembered(reference: str) -> str:
        if reference not in ids:
            ids[reference] = informing.assertion_id(reference)
        return ids[reference]

    steady = replace(informing, assertion_id=remembered)
    made = ((each.order, coverage_information(each, steady), _of_unlisted(each, steady)) for each in assessments)
    actions = (_action(order, [first, *more]) for order, first, more in made if first is not None)
    return [action for action in actions if action is not None]


def coverage_information(assessment: Assessment, informing: Informing) -> Json | None:
    """The extension for one order; None where no coverage is known that it could be about."""
    coverage = assessment.coverage or assessment.lapsed
    if coverage is None or not coverage.reference.removeprefix("Coverage/"):
        return None
    stance = stance_of(assessment, informing.policies, informing.version)
    asks = bool(stance.doc_needed)
    parts = [
        _part("coverage", "Reference", {"reference": coverage.reference}),
        _part("covered", "Code", stance.covered),
        *([_part("pa-needed", "Code", stance.pa_needed)] if stance.pa_needed else []),
        *(_part("doc-needed", "Code", code) for code in stance.doc_needed),
        *(_part("doc-purpose", "Code", code) for code in stance.doc_purpose),
        *(_part("info-needed", "Code", code) for code in stance.info_needed),
        *(_part("billingCode", "Coding", coding) for coding in _billing(assessment, stance)),
        _part("reason", "CodeableConcept", reason_of(assessment, stance, informing.version)),
        *_details(assessment, stance, informing.version),
        *(_part("dependency", "Reference", {"reference": each}) for each in _dependencies(assessment.order)),
        *(_part("questionnaire", "Canonical", form) for form in _forms(assessment, informing.tools) if asks),
        _part("date", "Date", informing.tools.today.isoformat()),
        _part("coverage-assertion-id", "String", informing.assertion_id(coverage.reference)),
    ]
    if stance.pa_needed == "satisfied" and assessment.authorization is not None:
        parts.append(_part("satisfied-pa-id", "String", assessment.authorization.number))
    parts += _contacts(informing)
    last = _expiry(assessment, stance, informing.policies) if informing.version != "2.0" else None
    # What ended before today was weighed for a day of the past: until when it holds, nobody needs to know.
    if last is not None and last >= informing.tools.today:
        parts.append(_part("expiry-date", "Date", last.isoformat()))
    return {"url": URL, "extension": parts}


def _of_unlisted(assessment: Assessment, informing: Informing) -> list[Json]:
    """The extension for the codes that are not on the plan's list, of the same coverage; mostly none."""
    stance = stance_of_unlisted(assessment, informing.policies, informing.version)
    coverage = assessment.coverage
    if stance is None or coverage is None:
        return []
    unlisted = unlisted_of(assessment)
    parts = [
        _part("coverage", "Reference", {"reference": coverage.reference}),
        _part("covered", "Code", stance.covered),
        _part("pa-needed", "Code", stance.pa_needed),
        *(_part("info-needed", "Code", code) for code in stance.info_needed),
        *(_part("billingCode", "Coding", c) for c in _codings(assessment.order) if c["code"] in unlisted),
        _part("reason", "CodeableConcept", reason_of_unlisted(unlisted)),
        _part("date", "Date", informing.tools.today.isoformat()),
        _part("coverage-assertion-id", "String", informing.assertion_id(coverage.reference)),
        *_contacts(informing),
    ]
    return [{"url": URL, "extension": parts}]


# ------------------------------------------------------------------------------------------------- its parts


def contact_points(texts: Sequence[str]) -> list[Json]:
    """Telephone numbers, e-mail and web addresses as FHIR ContactPoints."""
    return [{"system": _system_of(text), "value": text} for text in texts]


def _system_of(text: str) -> str:
    if text.startswith(("https://", "http://")):
        return "url"
    return "email" if "@" in text else "phone"


def _part(url: str, kind: str, value: object) -> Json:
    return {"url": url, f"value{kind}": value}


def _billing(assessment: Assessment, stance: Stance) -> list[Json]:
    """The codes that are meant; what is not on the plan's list is not said to be covered."""
    unlisted = unlisted_of(assessment) if stance.covered == "covered" else ()
    return [coding for coding in _codings(assessment.order) if coding["code"] not in unlisted]


def _codings(order: Order) -> list[Json]:
    """The order's own CPT and HCPCS codes; without displays, which are not ours to print."""
    codes = [line.code for line in order.lines if line.code.system in BILLING and line.code.code]
    return [{"system": BILLING[s], "code": c} for s, c in dict.fromkeys((code.system, code.code) for code in codes)]


def _dependencies(order: Order) -> list[str]:
    """Orders that this one is based on: without them, what is said of it may not hold."""
    based_on = order.resource.get("basedOn")
    found = [each.get("reference") for each in based_on if isinstance(each, dict)] if isinstance(based_on, list) else []
    texts = [each for each in found if isinstance(each, str)]
    return list(
        dict.fromkeys(each for each in texts if each.split("/")[-2:-1] and each.split("/")[-2] in REQUEST_TYPES)
    )


def _forms(assessment: Assessment, tools: Tools) -> list[str]:
    """Canonicals of the forms for measures that are missing now."""
    forms: list[str | None] = []
    for result in assessment.criteria:
        by_name = result.facts.get("forms") or {}
        if (
            result.result is Result.NOT_MET
            and "current_on_file" in result.facts
            and not result.facts.get("already_asked")
        ):
            forms.append(next((by_name[name] for name in result.facts.get("instruments", ()) if name in by_name), None))
        if result.result is Result.UNKNOWN:
            forms += (result.facts.get("ask_for") or {}).values()
    found = (tools.canonical(form) for form in forms)
    return list(dict.fromkeys(each for each in found if each is not None))


def _details(assessment: Assessment, stance: Stance, version: str) -> list[Json]:
    """Limits of visits, the days authorized, the policy's address, and what to do; 2.0.1 knows the first two only."""
    if stance.covered == "not-covered":
        return []
    found = [_limit(result, version) for result in _limited(assessment)]
    if stance.pa_needed == "satisfied" and assessment.authorization is not None:
        period = assessment.authorization.period
        days = {"start": period.first, "end": period.last}
        value = {name: day.isoformat() for name, day in days.items() if day is not None}
        found.append(_detail("cat-limitation", "allowed-period", _part("value", "Period", value), version))
    if version == "2.0":
        return found
    if url := assessment.policy_source.get("url"):
        found.append(_detail("cat-other", "policy-link", _part("value", "Url", url), version))
    if (assessment.would_change and stance.pa_needed != "satisfied") or "OTH" in stance.info_needed:
        text = "; ".join(assessment.would_change) or assessment.says
        found.append(_detail("cat-other", "instructions", _part("value", "String", text), version))
    return found


def _limited(assessment: Assessment) -> list[CriterionResult]:
    """One result for each limit of visits that applies."""
    counted = [r for r in assessment.criteria if r.facts.get("limit") is not None and not r.facts.get("share")]
    by_limit = {(r.policy, r.facts["limit"]): r for r in reversed(counted) if r.result is not Result.NOT_APPLICABLE}
    return list(reversed(by_limit.values()))


def _limit(result: CriterionResult, version: str) -> Json:
    value = {"value": result.facts["limit"], "unit": "visits", "system": UCUM, "code": "{visit}"}
    told = f"{result.says} ({result.cite})" if result.cite else result.says
    quantity = _part("value", "Quantity", value)
    return _detail("cat-limitation", "allowed-quantity", quantity, version, told)


def _detail(category: str, code: str, value: Json, version: str, told: str = "") -> Json:
    """A detail; its category, and the code system that THO has for it, came with 2.2."""
    system = DETAILS if version == LATEST else TEMPORARY
    parts = [_part("category", "Code", category)] if version == LATEST else []
    parts += [_part("code", "CodeableConcept", {"coding": [{"system": system, "code": code}]}), value]
    parts += [_part("qualification", "String", told)] if told else []
    return {"url": "detail", "extension": parts}


def _contacts(informing: Informing) -> list[Json]:
    """Whom to ask: a ContactDetail, before 2.2 one ContactPoint each."""
    if not informing.contact:
        return []
    if informing.version != LATEST:
        return [_part("contact", "ContactPoint", dict(point)) for point in informing.contact]
    name = {"name": informing.payer} if informing.payer else {}
    return [_part("contact", "ContactDetail", {**name, "telecom": [dict(point) for point in informing.contact]})]


def _expiry(assessment: Assessment, stance: Stance, policies: Mapping[str, Policy]) -> date | None:
    """The last day on which it holds: the first of the ends of the coverage, the policy and the authorization."""
    if stance.covered == "not-covered" or is_undecided(assessment):
        return None
    coverage: Coverage | None = assessment.coverage
    policy = policies.get(assessment.policy or "")
    ends = [
        coverage.period.last if coverage and coverage.period else None,
        policy.end - timedelta(days=1) if policy and policy.end else None,
        assessment.authorization.period.last if stance.pa_needed == "satisfied" and assessment.authorization else None,
    ]
    return min((end for end in ends if end is not None), default=None)


# ------------------------------------------------------------------------------------------------- the order


def _action(order: Order, extensions: Sequence[Json]) -> Json | None:
    """The update of one order; None where the order says it already. The extensions are of one coverage."""
    sent = order.resource.get("extension")
    held = list(sent) if isinstance(sent, list) else []
    mine = [each for each in held if _coverage_of(each) == _coverage_of(extensions[0])]
    if sorted(map(_said, mine)) == sorted(map(_said, extensions)):
        return None
    kept = [each for each in held if each not in mine]
    description = f"Add coverage information to the order: {order.label}"
    return {
        "type": "update",
        "description": description,
        "resource": {**order.resource, "extension": [*kept, *extensions]},
    }


def _coverage_of(extension: object) -> str | None:
    """`Coverage/1`, of which a coverage-information extension tells; None for any other extension."""
    if not isinstance(extension, dict) or extension.get("url") != URL:
        return None
    parts = extension.get("extension")
    for part in parts if isinstance(parts, list) else []:
        reference = part.get("valueReference") if isinstance(part, dict) and part.get("url") == "coverage" else None
        if isinstance(reference, dict) and isinstance(reference.get("reference"), str):
            return "/".join(reference["reference"].split("/")[-2:])
    return None


def _said(extension: Json) -> list[str]:
    """What an extension says, in any order; the day and the identifier are new each time."""
    parts = extension.get("extension", [])
    return sorted(
        json.dumps(_told_alike(part), sort_keys=True)
        for part in parts
        if not (isinstance(part, dict) and part.get("url") in _NEW_EACH_TIME)
    )


def _told_alike(part: object) -> object:
    """A part with its coverage named in one way: clients write references in full or not."""
    reference = part.get("valueReference") if isinstance(part, dict) and part.get("url") == "coverage" else None
    if isinstance(reference, dict):
        return {"coverage": str(reference.get("reference")).split("/")[-2:]}
    return part
