"""Coverage information: what a payer says for each outcome, in every version, and what goes back to the EHR."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest
from hypothesis import given
from hypothesis import strategies as st

from cds.errors import MissingData, UnusableCoverage
from cds.model import (
    Assessment,
    Authorization,
    Code,
    Concept,
    Coverage,
    CriterionResult,
    Days,
    Discipline,
    Line,
    Order,
    Outcome,
    Result,
    Site,
    Standing,
)
from cds.rules.policy import Stance
from hooks.asking import Tools
from hooks.configuration import VERSIONS
from hooks.coverage_information import URL, Informing, contact_points, coverage_information, system_actions
from hooks.coverage_stance import check_coverages, payers_of
from tests.cds.build import policies
from tests.hooks.invariants import Json, broken, values

TODAY = date(2025, 3, 10)
SAMPLE = "sample-prior-authorization-97110"
OTHER = {"url": "https://ehr.example.org/note", "valueString": "kept"}
LAPSED = Days(date(2023, 1, 1), date(2023, 12, 31))
NUMBER = Authorization("ClaimResponse/a", "AUTH-1", Days(date(2025, 3, 1), date(2025, 5, 30)))
COVERAGE = Coverage("Coverage/c", ("plan",), "Example Plan", period=Days(date(2025, 1, 1), date(2025, 12, 31)))
LIMITED = CriterionResult(
    "visits", "Visits stay within the limit", True, Result.NOT_MET, "20 of 14 visits: 18 completed", "limits",
    cite="Plan, page 3", facts={"limit": 14}, policy="p", would_change=("met if less is asked for",),
)  # fmt: skip
UNMEASURED = CriterionResult(
    "measure", "A measure is on file", True, Result.NOT_MET, "No ODI on file", "outcome-measure",
    facts={"instruments": ["ODI", "PHQ-9"], "forms": {"PHQ-9": "phq-9|1.0.0"}, "current_on_file": False},
)  # fmt: skip
UNSCORED = replace(UNMEASURED, result=Result.UNKNOWN, facts={"ask_for": {"NPRS": "nprs|1.0.0"}})
BEYOND = CriterionResult("within", "Within the authorization", False, Result.NOT_MET, "beyond it", "authorization")
DRAFT: Json = {
    "resourceType": "ServiceRequest",
    "id": "o",
    "status": "draft",
    "intent": "order",
    "code": {"text": "Physical therapy"},
    "subject": {"reference": "Patient/p"},
}


def order(**changes: Any) -> Order:
    return Order(
        reference="ServiceRequest/o", resource=DRAFT | changes, concept=Concept(text="Physical therapy"),
        lines=(Line(Code("cpt", "97110")), Line(Code("hcpcs", "G0283")), Line(Code("cpt", "97110"))),
        discipline=Discipline.PHYSICAL_THERAPY, is_therapy=True, reasons=(), sites=(Site("hip", "left"),),
        requested=None, requested_why="", proposed=(), period=None, timing=None, authored=None, patient="p",
    )  # fmt: skip


def assessed(outcome: Outcome = Outcome.CRITERIA_MET, **changes: Any) -> Assessment:
    given_ = {"policy": None if outcome is Outcome.NO_POLICY else SAMPLE, "coverage": COVERAGE} | changes
    return Assessment(given_.pop("order", order()), TODAY, outcome, "Criteria met: all of them", **given_)


def informing(version: str = "2.2", **changes: Any) -> Informing:
    made = Informing(
        tools=Tools(TODAY, lambda: "not used", "https://cds.example.org"),
        assertion_id=lambda reference: f"assertion of {reference}",
        policies={policy.id: policy for policy in policies()},
        version=version,
        payer="Example Plan",
    )
    return replace(made, **changes)


def informed(assessment: Assessment, version: str = "2.2", **changes: Any) -> Json:
    extension = coverage_information(assessment, informing(version, **changes))
    assert extension is not None
    return extension


def codes(extension: Json) -> list[Any]:
    """`covered`, `pa-needed` (or None), `doc-needed`, `doc-purpose`, `info-needed`."""
    (covered,) = values(extension, "covered")
    authorization = values(extension, "pa-needed")
    rest = [values(extension, url) for url in ("doc-needed", "doc-purpose", "info-needed")]
    return [covered, authorization[0] if authorization else None, *rest]


def details(extension: Json) -> dict[str, Json]:
    """Each detail by its code: the members of its parts."""
    found = {}
    for detail in values(extension, "detail"):
        parts = {part["url"]: part for part in detail}
        found[parts["code"]["valueCodeableConcept"]["coding"][0]["code"]] = parts
    return found


# --------------------------------------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    ("outcome", "policy", "expected"),
    [
        (Outcome.CRITERIA_MET, SAMPLE, ["covered", "auth-needed", ["clinical"], ["withpa"], []]),
        (Outcome.CRITERIA_NOT_MET, SAMPLE, ["conditional", "auth-needed", ["clinical"], ["withpa"], ["OTH"]]),
        (Outcome.INSUFFICIENT_INFORMATION, SAMPLE, ["conditional", "auth-needed", ["clinical"], ["withpa"], ["OTH"]]),
        (Outcome.CRITERIA_MET, "of-somebody-else", ["covered", "auth-needed", [], [], []]),
        (
            Outcome.CRITERIA_NOT_MET,
            "of-somebody-else",
            ["conditional", "auth-needed", ["clinical"], ["withpa"], ["OTH"]],
        ),
        (Outcome.NO_POLICY, None, ["indeterminate", "indeterminate", [], [], []]),
    ],
)
def test_the_policy_or_what_is_safe_is_said_when_an_order_was_weighed(
    outcome: Outcome, policy: str | None, expected: list[Any]
) -> None:
    assert codes(informed(assessed(outcome, policy=policy))) == expected


def test_a_stance_of_the_policy_is_said_when_it_has_one_for_the_outcome() -> None:
    stance = Stance("covered", "no-auth", ("clinical", "admin"), ("retain-doc",))
    mine = replace(informing().policies[SAMPLE], stances={"criteria-not-met": stance})
    said = informed(assessed(Outcome.CRITERIA_NOT_MET), policies={SAMPLE: mine})
    assert codes(said) == ["covered", "no-auth", ["clinical", "admin"], ["retain-doc"], []]
    assert codes(informed(assessed(Outcome.CRITERIA_MET), policies={SAMPLE: mine}))[:2] == ["covered", "auth-needed"]


@pytest.mark.parametrize(
    ("standing", "code"),
    [
        (Standing.LAPSED, "no-active-coverage"),
        (Standing.NOT_FOUND, "coverage-not-found"),
        (Standing.MEMBER_UNKNOWN, "no-member-found"),
    ],
)
def test_not_covered_is_said_with_its_code_when_the_coverage_pays_for_nothing(standing: Standing, code: str) -> None:
    lapsed = replace(COVERAGE, reference="Coverage/old", period=LAPSED)
    said = informed(assessed(Outcome.NO_POLICY, coverage=None, lapsed=lapsed, standing=standing))
    assert codes(said) == ["not-covered", None, [], [], []]
    assert values(said, "coverage") == [{"reference": "Coverage/old"}]
    (reason,) = values(said, "reason")
    assert (reason["coding"][0]["code"], bool(reason["text"])) == (code, True)
    assert not values(said, "detail") + values(said, "expiry-date")


@pytest.mark.parametrize("outcome", [Outcome.NO_POLICY, Outcome.INSUFFICIENT_INFORMATION])
def test_indeterminate_is_said_when_a_failure_left_the_outcome_open(outcome: Outcome) -> None:
    said = informed(assessed(outcome, technical=True, criteria=(LIMITED,)))
    assert codes(said) == ["indeterminate", "indeterminate", [], [], []]
    (reason,) = values(said, "reason")
    assert reason["coding"][0]["code"] == "technical"
    assert "technical reasons" in reason["text"]
    assert not values(said, "expiry-date")


@pytest.mark.parametrize("outcome", [Outcome.CRITERIA_MET, Outcome.CRITERIA_NOT_MET])
def test_the_outcome_is_said_when_a_failure_left_it_certain(outcome: Outcome) -> None:
    assert codes(informed(assessed(outcome, technical=True))) == codes(informed(assessed(outcome)))


@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_more_information_is_asked_for_when_an_older_version_has_no_word_for_indeterminate(version: str) -> None:
    said = informed(assessed(Outcome.NO_POLICY, technical=True), version)
    assert codes(said) == ["conditional", "conditional", [], [], ["OTH"]]
    (reason,) = values(said, "reason")
    assert set(reason) == {"text"}


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        (("clinical", "admin"), ["both"]),
        (("patient",), ["clinical"]),
        (("conditional",), ["conditional"]),
        (("admin", "conditional"), ["admin"]),
    ],
)
def test_one_code_stands_for_all_documents_when_2_0_is_asked_for(
    documents: tuple[str, ...], expected: list[str]
) -> None:
    mine = replace(informing().policies[SAMPLE], stances={"criteria-met": Stance("covered", "auth-needed", documents)})
    assert values(informed(assessed(), "2.0", policies={SAMPLE: mine}), "doc-needed") == expected
    assert values(informed(assessed(), "2.1", policies={SAMPLE: mine}), "doc-needed") == list(documents)


@pytest.mark.parametrize(
    ("purposes", "expected"),
    [(("withpa",), [[], []]), (("withpa", "withclaim"), [["clinical"], ["withclaim"]])],
)
def test_no_document_goes_with_an_authorization_when_none_is_needed(
    purposes: tuple[str, ...], expected: list[list[str]]
) -> None:
    mine = replace(
        informing().policies[SAMPLE], stances={"criteria-met": Stance("covered", "no-auth", ("clinical",), purposes)}
    )
    assert codes(informed(assessed(), policies={SAMPLE: mine}))[2:4] == expected


# --------------------------------------------------------------------------------------------- authorizations


def test_an_authorization_satisfies_when_it_is_in_force() -> None:
    said = informed(assessed(Outcome.CRITERIA_NOT_MET, authorization=NUMBER))
    assert codes(said) == ["covered", "satisfied", [], [], []]
    assert values(said, "satisfied-pa-id") == ["AUTH-1"]
    assert details(said)["allowed-period"]["value"]["valuePeriod"] == {"start": "2025-03-01", "end": "2025-05-30"}
    assert values(said, "expiry-date") == ["2025-05-30"]


def test_documents_that_are_not_for_an_authorization_stay_when_there_is_one() -> None:
    stance = Stance("covered", "auth-needed", ("clinical",), ("withpa", "retain-doc"))
    mine = replace(informing().policies[SAMPLE], stances={"criteria-met": stance})
    said = informed(assessed(authorization=NUMBER), policies={SAMPLE: mine})
    assert codes(said) == ["covered", "satisfied", ["clinical"], ["retain-doc"], []]


@pytest.mark.parametrize(
    "changes",
    [{"authorization": replace(NUMBER, number="")}, {"authorization": NUMBER, "criteria": (BEYOND,)}],
)
def test_an_authorization_does_not_satisfy_when_it_has_no_number_or_ends_too_early(changes: Mapping[str, Any]) -> None:
    said = informed(assessed(**changes))
    assert values(said, "pa-needed") == ["auth-needed"]
    assert not values(said, "satisfied-pa-id")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.CRITERIA_MET, "Authorization AUTH-1 is in force until 2025-05-30; Criteria met: all of them"),
        (Outcome.CRITERIA_NOT_MET, "Authorization AUTH-1 is in force until 2025-05-30"),
        (Outcome.INSUFFICIENT_INFORMATION, "Authorization AUTH-1 is in force until 2025-05-30"),
    ],
)
def test_the_reason_is_the_authorization_when_that_settles_the_matter(outcome: Outcome, expected: str) -> None:
    said = informed(assessed(outcome, authorization=NUMBER, criteria=(LIMITED,), would_change=LIMITED.would_change))
    assert codes(said)[:2] == ["covered", "satisfied"]
    assert values(said, "reason") == [{"text": expected}]
    assert "instructions" not in details(said)


def test_the_authorization_is_named_when_it_cannot_be_told_what_it_is_for() -> None:
    unsure = replace(NUMBER, services=(Concept((Code("cpt", "92507"),)),))
    said = informed(assessed(unsure_authorization=unsure))
    assert codes(said)[:2] == ["covered", "auth-needed"]
    assert not values(said, "satisfied-pa-id")
    (reason,) = values(said, "reason")
    assert reason["text"].endswith(
        "Whether authorization AUTH-1 is for all of this therapy cannot be told (it names 92507)"
    )


# ------------------------------------------------------------------------------------------- codes off the list

UNLISTED = CriterionResult(
    "lines", "Every line is listed", False, Result.NOT_MET, "line G0283 not on the plan's list", "lines",
    facts={"unlisted": ["G0283"], "listed": ["97110"]},
)  # fmt: skip
NONE_LISTED = replace(UNLISTED, facts={"unlisted": ["97110", "G0283"], "listed": []})


def billed(extension: Json) -> list[str]:
    return [coding["code"] for coding in values(extension, "billingCode")]


@pytest.mark.parametrize("authorization", [None, NUMBER])
def test_a_code_is_left_out_of_what_is_covered_when_it_is_not_on_the_list(authorization: Authorization | None) -> None:
    said = informed(assessed(criteria=(UNLISTED,), authorization=authorization))
    assert (values(said, "covered"), billed(said)) == (["covered"], ["97110"])
    assert "Line G0283 is not on the plan's list: that it is covered is not said" in values(said, "reason")[0]["text"]


def test_every_code_is_named_when_nothing_is_said_to_be_covered() -> None:
    assert billed(informed(assessed(Outcome.CRITERIA_NOT_MET, criteria=(UNLISTED,)))) == ["97110", "G0283"]


@pytest.mark.parametrize(
    ("version", "covered"), [("2.0", "conditional"), ("2.1", "conditional"), ("2.2", "indeterminate")]
)
def test_nothing_is_covered_for_certain_when_no_code_is_on_the_list(version: str, covered: str) -> None:
    said = informed(assessed(criteria=(NONE_LISTED,)), version)
    assert (values(said, "covered"), billed(said)) == ([covered], ["97110", "G0283"])
    text = "Lines 97110 and G0283 are not on the plan's list: whether they are covered cannot be told"
    assert text in values(said, "reason")[0]["text"]
    assert broken(said, version) == []


@pytest.mark.parametrize(
    ("version", "covered"), [("2.0", "conditional"), ("2.1", "conditional"), ("2.2", "indeterminate")]
)
def test_codes_off_the_list_have_a_statement_of_their_own_when_the_policy_says_so(version: str, covered: str) -> None:
    mine = replace(informing().policies[SAMPLE], unlisted_apart=True)
    made = informing(version, policies={SAMPLE: mine}, contact=contact_points(["+1 555 010 0100"]))
    weighed = assessed(criteria=(UNLISTED,), order=order(extension=[OTHER]))
    (action,) = system_actions([weighed], made)
    kept, first, second = action["resource"]["extension"]
    assert (kept, billed(first), billed(second)) == (OTHER, ["97110"], ["G0283"])
    assert (values(first, "covered"), values(second, "covered")) == (["covered"], [covered])
    assert values(first, "coverage-assertion-id") == values(second, "coverage-assertion-id")
    assert values(first, "coverage") == values(second, "coverage")
    assert broken(first, version) + broken(second, version) == []
    again = replace(weighed, order=replace(weighed.order, resource=action["resource"]))
    assert system_actions([again], made) == []
    (back,) = system_actions([replace(again, criteria=())], made)
    assert [each["url"] for each in back["resource"]["extension"]] == [OTHER["url"], URL]


# --------------------------------------------------------------------------------------------------- its parts


def test_every_part_is_said_when_there_is_something_to_say_of_it() -> None:
    contact = contact_points(["+1 555 010 0100", "pa@plan.example", "https://plan.example/pa"])
    based = order(
        basedOn=[{"reference": "https://ehr.example.org/fhir/ServiceRequest/surgery"}, {"reference": "CarePlan/x"}]
    )
    weighed = assessed(
        Outcome.CRITERIA_NOT_MET, order=based, criteria=(LIMITED, UNMEASURED, UNSCORED),
        would_change=LIMITED.would_change, policy_source={"url": "https://plan.example/policy#3"},
    )  # fmt: skip
    said = informed(weighed, contact=contact)
    with_number = informed(replace(weighed, authorization=NUMBER), contact=contact)
    assert values(said, "billingCode") == [
        {"system": "http://www.ama-assn.org/go/cpt", "code": "97110"},
        {"system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "G0283"},
    ]
    assert values(said, "dependency") == [{"reference": "https://ehr.example.org/fhir/ServiceRequest/surgery"}]
    forms = [f"https://cds.example.org/fhir/Questionnaire/{form}" for form in ("phq-9|1.0.0", "nprs|1.0.0")]
    assert values(said, "questionnaire") == forms
    assert values(said, "coverage-assertion-id") == ["assertion of Coverage/c"]
    assert values(said, "date") == ["2025-03-10"]
    assert values(said, "expiry-date") == ["2025-12-31"]
    (whom,) = values(said, "contact")
    assert (whom["name"], [point["system"] for point in whom["telecom"]]) == ("Example Plan", ["phone", "email", "url"])
    (reason,) = values(said, "reason")
    assert reason["text"] == "Criteria met: all of them; 20 of 14 visits: 18 completed; No ODI on file; No ODI on file"
    named = {part["url"] for part in (*said["extension"], *with_number["extension"])}
    assert len(named) == 16


def test_a_limit_is_a_quantity_of_visits_when_the_policy_has_one() -> None:
    twice = (LIMITED, replace(LIMITED, id="projected"), replace(LIMITED, facts={"limit": 14, "share": 80}))
    elsewhere = replace(LIMITED, policy="statute")
    dropped = replace(LIMITED, policy="other", facts={"limit": 9}, result=Result.NOT_APPLICABLE)
    said = informed(assessed(criteria=(*twice, elsewhere, dropped)))
    limits = [{part["url"]: part for part in detail} for detail in values(said, "detail")]
    assert [limit["value"]["valueQuantity"]["value"] for limit in limits] == [14, 14]
    assert limits[0]["category"]["valueCode"] == "cat-limitation"
    assert limits[0]["value"]["valueQuantity"] == {
        "value": 14, "unit": "visits", "system": "http://unitsofmeasure.org", "code": "{visit}",
    }  # fmt: skip
    assert limits[0]["qualification"]["valueString"] == "20 of 14 visits: 18 completed (Plan, page 3)"


@pytest.mark.parametrize(
    ("version", "system", "named"),
    [
        ("2.0", "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp", {"allowed-quantity"}),
        (
            "2.1",
            "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp",
            {"allowed-quantity", "policy-link", "instructions"},
        ),
        (
            "2.2",
            "http://terminology.hl7.org/CodeSystem/crd-coverage-detail",
            {"allowed-quantity", "policy-link", "instructions"},
        ),
    ],
)
def test_details_are_those_that_the_version_knows_when_it_is_asked_for(
    version: str, system: str, named: set[str]
) -> None:
    source = {"url": "https://plan.example/policy"}
    said = informed(assessed(Outcome.CRITERIA_NOT_MET, criteria=(LIMITED,), policy_source=source), version)
    found = details(said)
    assert set(found) == named
    for parts in found.values():
        assert parts["code"]["valueCodeableConcept"]["coding"][0]["system"] == system
        assert ("category" in parts) == (version == "2.2")
    assert bool(values(said, "expiry-date")) == (version != "2.0")


@pytest.mark.parametrize(
    ("coverage_ends", "policy_ends", "expected"),
    [
        ("2025-12-31", "2026-01-01", ["2025-12-31"]),
        ("2025-12-31", "2025-07-01", ["2025-06-30"]),
        (None, "2025-07-01", ["2025-06-30"]),
        (None, None, []),
    ],
)
def test_it_holds_until_the_first_of_its_ends_when_there_is_one(
    coverage_ends: str | None, policy_ends: str | None, expected: list[str]
) -> None:
    period = Days(None, date.fromisoformat(coverage_ends)) if coverage_ends else None
    mine = replace(informing().policies[SAMPLE], end=date.fromisoformat(policy_ends) if policy_ends else None)
    weighed = assessed(coverage=replace(COVERAGE, period=period))
    assert values(informed(weighed, policies={SAMPLE: mine}), "expiry-date") == expected


@pytest.mark.parametrize(("today", "expected"), [("2025-05-30", ["2025-05-30"]), ("2025-05-31", [])])
def test_no_end_is_told_when_it_is_past(today: str, expected: list[str]) -> None:
    tools = Tools(date.fromisoformat(today), lambda: "not used", "https://cds.example.org")
    assert values(informed(assessed(authorization=NUMBER), tools=tools), "expiry-date") == expected


def test_no_form_is_named_when_the_measure_is_already_asked_for() -> None:
    asked = replace(UNMEASURED, facts={**UNMEASURED.facts, "already_asked": True})
    assert values(informed(assessed(Outcome.CRITERIA_NOT_MET, criteria=(UNMEASURED,))), "questionnaire")
    assert not values(informed(assessed(Outcome.CRITERIA_NOT_MET, criteria=(asked,))), "questionnaire")


@pytest.mark.parametrize("coverage", [None, replace(COVERAGE, reference="Coverage/")])
def test_nothing_is_said_when_there_is_no_coverage_to_name(coverage: Coverage | None) -> None:
    weighed = assessed(Outcome.NO_POLICY, coverage=coverage)
    assert coverage_information(weighed, informing()) is None
    assert system_actions([weighed], informing()) == []


# ------------------------------------------------------------------------------------------------- the actions


def test_the_order_goes_back_as_it_was_sent_when_coverage_information_is_added() -> None:
    sent = order(extension=[OTHER], note=[{"text": "as sent"}])
    before = copy.deepcopy(sent.resource)
    (action,) = system_actions([assessed(order=sent)], informing())
    assert (action["type"], set(action)) == ("update", {"type", "description", "resource"})
    assert action["description"] == "Add coverage information to the order: Physical therapy, left hip"
    *kept, added = action["resource"].pop("extension")
    assert (kept, added["url"]) == ([OTHER], URL)
    assert action["resource"] == {name: value for name, value in before.items() if name != "extension"}
    assert sent.resource == before


@pytest.mark.parametrize("prefix", ["", "https://ehr.example.org/fhir/"])
def test_no_action_is_returned_when_the_order_says_it_already(prefix: str) -> None:
    said = informed(assessed(), assertion_id=lambda _: "of last week")
    said["extension"] = [
        {"url": "coverage", "valueReference": {"reference": f"{prefix}Coverage/c"}},
        *(part for part in reversed(said["extension"]) if part["url"] not in ("coverage", "date")),
        {"url": "date", "valueDate": "2025-03-03"},
    ]
    assert system_actions([assessed(order=order(extension=[OTHER, said]))], informing()) == []


def test_what_was_said_is_replaced_when_it_is_not_so_any_more() -> None:
    earlier = informed(assessed())
    elsewhere = informed(assessed(coverage=replace(COVERAGE, reference="Coverage/second")))
    weighed = assessed(Outcome.CRITERIA_NOT_MET, order=order(extension=[earlier, OTHER, elsewhere]))
    (action,) = system_actions([weighed], informing())
    assert action["resource"]["extension"] == [OTHER, elsewhere, informed(weighed)]


@pytest.mark.parametrize(
    "sent", ["x", {"url": URL}, [None, 7, {"url": URL}, {"url": URL, "extension": ["x", {"url": "coverage"}]}]]
)
def test_coverage_information_is_added_when_extensions_were_sent_wrongly(sent: object) -> None:
    (action,) = system_actions([assessed(order=order(extension=sent))], informing())
    assert action["resource"]["extension"][-1] == informed(assessed())


def test_one_identifier_is_asked_for_when_orders_share_a_coverage() -> None:
    asked: list[str] = []

    def new(reference: str) -> str:
        asked.append(reference)
        return f"{reference} {len(asked)}"

    second = replace(COVERAGE, reference="Coverage/second")
    actions = system_actions([assessed(), assessed(coverage=second), assessed()], informing(assertion_id=new))
    ids = [values(action["resource"]["extension"][0], "coverage-assertion-id")[0] for action in actions]
    assert ids == ["Coverage/c 1", "Coverage/second 2", "Coverage/c 1"]
    assert asked == ["Coverage/c", "Coverage/second"]


# --------------------------------------------------------------------------------------------- a payer's errors

NO_COVERAGE = assessed(Outcome.NO_POLICY, coverage=None, standing=Standing.NONE)


@pytest.mark.parametrize(
    ("weighed", "says"),
    [
        (NO_COVERAGE, "No coverage"),
        (replace(NO_COVERAGE, standing=Standing.SEVERAL), "Several coverages"),
        (assessed(coverage=replace(COVERAGE, payers=())), "names no payer"),
        (assessed(coverage=replace(COVERAGE, payers=("another",))), "another payer"),
    ],
)
def test_a_payer_refuses_when_there_is_no_coverage_of_its_own(weighed: Assessment, says: str) -> None:
    with pytest.raises(UnusableCoverage, match=says):
        check_coverages([weighed], frozenset(("plan",)))


def test_a_payer_asks_for_the_coverage_when_it_could_not_be_read() -> None:
    with pytest.raises(MissingData, match=r"prefetch\.coverage"):
        check_coverages([replace(NO_COVERAGE, technical=True)], frozenset())


@pytest.mark.parametrize(
    "weighed",
    [
        [],
        [assessed()],
        [assessed(), NO_COVERAGE],
        [assessed(Outcome.NO_POLICY, coverage=None, lapsed=COVERAGE, standing=Standing.LAPSED)],
        [assessed(Outcome.NO_POLICY, coverage=replace(COVERAGE, payers=()), technical=True)],
    ],
)
def test_a_payer_answers_when_one_order_has_a_coverage_of_its_own(weighed: list[Assessment]) -> None:
    check_coverages(weighed, frozenset(("plan",)))


def test_the_payers_of_the_policies_are_meant_when_none_are_set() -> None:
    assert "sample-health-plan" in payers_of(policies(), ())
    assert payers_of(policies(), ("me",)) == {"me"}


# --------------------------------------------------------------------------------------------------- invariants

_WHOLE = informed(assessed(Outcome.CRITERIA_NOT_MET, criteria=(UNMEASURED,)))


def _without(*urls: str) -> Json:
    return {"url": URL, "extension": [part for part in _WHOLE["extension"] if part["url"] not in urls]}


def _with(url: str, member: str, value: object) -> Json:
    return {"url": URL, "extension": [*_without(url)["extension"], {"url": url, member: value}]}


@pytest.mark.parametrize(
    ("extension", "version", "rule"),
    [
        (_without("doc-needed"), "2.2", "q1"),
        (_with("covered", "valueCode", "not-covered"), "2.2", "q2"),
        (_without("pa-needed"), "2.0", "q2 of 2.0.1"),
        (_without("info-needed"), "2.2", "q3"),
        (_with("covered", "valueCode", "covered"), "2.2", "q3"),
        (_with("pa-needed", "valueCode", "no-auth"), "2.2", "q4"),
        (_with("pa-needed", "valueCode", "satisfied"), "2.1", "q5"),
        (_with("satisfied-pa-id", "valueString", "1"), "2.2", "q5"),
        (_without("reason"), "2.2", "q6"),
        (_with("reason", "valueCodeableConcept", {"coding": [{"code": "own"}]}), "2.2", "q7"),
        (_without("reason"), "2.2", "q8"),
        (_with("date", "valueString", "x"), "2.2", "part date"),
        (_with("doc-needed", "valueCode", "both"), "2.2", "code both of doc-needed"),
        (_with("covered", "valueCode", "indeterminate"), "2.1", "code indeterminate of covered"),
        (_with("expiry-date", "valueDate", "2025-01-01"), "2.0", "part expiry-date"),
        (_without("date"), "2.2", "date 0 times"),
        (_with("detail", "extension", [{"url": "code"}, {"url": "value"}]), "2.2", "parts of a detail"),
    ],
)
def test_a_rule_is_broken_when_it_is_broken_on_purpose(extension: Json, version: str, rule: str) -> None:
    assert rule in broken(extension, version)


def test_a_reason_is_missed_when_something_is_indeterminate_without() -> None:
    extension = {"url": URL, "extension": [{"url": "covered", "valueCode": "indeterminate"}]}
    assert "q9" in broken(extension, "2.2")


_PURPOSES = st.lists(st.sampled_from(("withpa", "withclaim", "withorder", "retain-doc", "OTH")), unique=True)
_DOCUMENTS = st.lists(st.sampled_from(("clinical", "admin", "patient", "conditional")), unique=True)
_INFORMATION = st.lists(
    st.sampled_from(("performer", "location", "timeframe", "contract-window", "detail-code", "OTH")), unique=True
)
STANCES = st.builds(
    Stance,
    covered=st.sampled_from(("covered", "conditional")),
    pa_needed=st.sampled_from(("no-auth", "auth-needed", "performpa", "conditional")),
    doc_needed=_DOCUMENTS.map(tuple),
    doc_purpose=_PURPOSES.map(tuple),
    info_needed=_INFORMATION.map(tuple),
)
PERIODS = st.builds(Days, st.none() | st.dates(), st.none() | st.dates())
COVERAGES = st.builds(replace, st.just(COVERAGE), period=st.none() | PERIODS, payers=st.sampled_from(((), ("plan",))))


@st.composite
def assessments(draw: st.DrawFn) -> Assessment:
    outcome = draw(st.sampled_from(tuple(Outcome)))
    standing = draw(st.sampled_from(tuple(Standing)))
    lapsed = standing in (Standing.LAPSED, Standing.NOT_FOUND, Standing.MEMBER_UNKNOWN)
    criteria = draw(
        st.lists(st.sampled_from((LIMITED, UNMEASURED, UNSCORED, BEYOND, UNLISTED, NONE_LISTED)), max_size=3)
    )
    results = draw(st.lists(st.sampled_from(tuple(Result)), min_size=3, max_size=3))
    based_on = draw(st.sampled_from(([], [{"reference": "ServiceRequest/x"}], "x", [7, {"reference": 5}])))
    return assessed(
        Outcome.NO_POLICY if standing is not Standing.IN_FORCE else outcome,
        order=order(extension=[OTHER], **({"basedOn": based_on} if based_on else {})),
        coverage=draw(COVERAGES) if standing is Standing.IN_FORCE else None,
        lapsed=draw(COVERAGES) if lapsed else None,
        standing=standing,
        technical=draw(st.booleans()),
        criteria=tuple(replace(each, result=result) for each, result in zip(criteria, results, strict=False)),
        would_change=tuple(draw(st.lists(st.sampled_from(("met if this", "met if that")), max_size=2))),
        authorization=draw(st.none() | st.builds(replace, st.just(NUMBER), period=PERIODS)),
        unsure_authorization=draw(st.sampled_from((None, NUMBER))),
        policy_source=draw(st.sampled_from(({}, {"url": "https://plan.example/policy"}))),
    )


@given(
    st.lists(assessments(), max_size=3),
    st.dictionaries(st.sampled_from(("criteria-met", "criteria-not-met", "insufficient-information")), STANCES),
    st.sampled_from(VERSIONS),
    st.sampled_from(([], ["+1 555 010 0100", "pa@plan.example"])),
    st.booleans(),
)
def test_every_invariant_holds_when_anything_is_said(
    weighed: list[Assessment], stances: dict[str, Stance], version: str, contact: list[str], apart: bool
) -> None:
    mine = {SAMPLE: replace(informing().policies[SAMPLE], stances=stances, unlisted_apart=apart)}
    made = informing(version, policies=mine, contact=contact_points(contact))
    for action in system_actions(weighed, made):
        kept, *extensions = action["resource"]["extension"]
        assert kept == OTHER
        assert len(extensions) <= 1 + apart
        for extension in extensions:
            assert broken(extension, version) == []
            assert "text" in values(extension, "reason")[0]
            assert all(end >= TODAY.isoformat() for end in values(extension, "expiry-date"))


@given(assessments(), st.sampled_from(VERSIONS))
def test_not_covered_is_never_said_when_the_coverage_is_in_force(weighed: Assessment, version: str) -> None:
    extension = coverage_information(weighed, informing(version))
    if extension is not None and weighed.standing is Standing.IN_FORCE:
        assert values(extension, "covered") != ["not-covered"]


@given(
    assessments().filter(lambda weighed: isinstance(weighed.order.resource.get("basedOn", []), list)),
    st.sampled_from(VERSIONS),
)
def test_the_order_is_valid_when_it_goes_back(weighed: Assessment, version: str) -> None:
    based_on = [each for each in weighed.order.resource.get("basedOn", []) if isinstance(each, dict)]
    clean = [each for each in based_on if isinstance(each["reference"], str)]
    sent = {name: value for name, value in weighed.order.resource.items() if name != "basedOn"}
    sent |= {"basedOn": clean} if clean else {}
    contact = contact_points(["+1 555 010 0100"])
    for action in system_actions(
        [replace(weighed, order=replace(weighed.order, resource=sent))], informing(version, contact=contact)
    ):
        ServiceRequest.model_validate(action["resource"])


@given(assessments(), st.sampled_from(VERSIONS))
def test_nothing_is_sent_twice_when_the_order_comes_again(weighed: Assessment, version: str) -> None:
    for action in system_actions([weighed], informing(version)):
        again = replace(weighed, order=replace(weighed.order, resource=action["resource"]))
        assert system_actions([again], informing(version, assertion_id=lambda _: "another")) == []
