"""encounter-start and encounter-discharge: quiet, and only for therapy visits."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from hooks.app import create_app
from hooks.settings import Settings
from tests.cds.ehr.misbehaving import Handler, misbehaving
from tests.cds.ehr.misbehaving import searchset as page
from tests.hooks.calls import Json, post, refused, resources
from tests.hooks.hook_calls import active, body, cards, offers, on, record, summaries, told, visit

HOOKS = ("encounter-start", "encounter-discharge")
NO_MEASURE = "Left hip: no outcome measure on file: HAGOS or iHOT is missing (none seen in this episode)"
RE_EVALUATION = (
    "Left hip: re-evaluation is due: an evaluation since 2025-08-08 is not on file (the last was on 2025-08-04)"
)
OFFICE: Json = {
    "type": [{"text": "Office visit"}],
    "serviceType": None,
    "participant": None,
}


def score(name: str, day: str, number: int = 1) -> Json:
    """A HAGOS score, by the generic panel's score and the instrument's name."""
    return {
        "resourceType": "Observation",
        "id": f"hagos-{number}",
        "status": "final",
        "category": [{"coding": [{"code": "survey"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "89194-5"}], "text": "HAGOS"},
        "subject": {"reference": f"Patient/{name}"},
        "effectiveDateTime": day,
        "valueQuantity": {"value": 50},
    }


def meeting(hook: str, name: str, day: str, *more: Json, order: bool = True, **changes: Any) -> Json:
    """A request at the start or end of a therapy visit of the example's patient."""
    ended = {"status": "finished"} if hook == "encounter-discharge" else {}
    now = visit(name, day, **(ended | changes))
    held = record(name, now, *([active(name)] if order else []), *more)
    return body(hook, name, {"encounterId": "now"}, held)


def of_visits(name: str, count: int) -> list[Json]:
    """The record with the last visits only, and what was done in them."""
    visits = sorted(
        (r for r in resources(name) if r["resourceType"] == "Encounter"), key=lambda r: r["period"]["start"]
    )
    gone = {f"Encounter/{v['id']}" for v in visits[: len(visits) - count]}
    return [
        r
        for r in record(name)
        if f"{r['resourceType']}/{r['id']}" not in gone and r.get("encounter", {}).get("reference") not in gone
    ]


def meeting_after(hook: str, visits: int, day: str, *more: Json, **changes: Any) -> Json:
    ended = {"status": "finished"} if hook == "encounter-discharge" else {}
    held = [*of_visits("f000", visits), visit("f000", day, **(ended | changes)), *more]
    return body(hook, "f000", {"encounterId": "now"}, held)


# ---------------------------------------------------------------------------------------------------- what is due


@pytest.mark.parametrize("order", [True, False], ids=["with an order on file", "without"])
@pytest.mark.parametrize("hook", HOOKS)
def test_the_number_of_the_visit_is_told_when_the_limit_is_passed(client: FlaskClient, hook: str, order: bool) -> None:
    with on("2025-03-10"):
        found = summaries(client, meeting(hook, "f000", "2025-03-10", order=order))
    indicator = "warning" if hook == "encounter-start" else "info"
    assert found == [(indicator, "Left hip: this is visit 19; the limit is 14"), ("info", NO_MEASURE)]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (9, []),
        (11, ["Left hip: this is visit 12; the limit is 14, so 2 are left after it"]),
        (12, ["Left hip: this is visit 13; the limit is 14, so 1 is left after it"]),
        (13, ["Left hip: this is visit 14; the limit is 14, so none are left after it"]),
        (14, ["Left hip: this is visit 15; the limit is 14"]),
    ],
)
def test_the_visits_left_are_told_when_most_are_used(
    client: FlaskClient, hook: str, before: int, expected: list[str]
) -> None:
    day = "2025-03-10"
    with on(day):
        found = summaries(client, meeting_after(hook, before, day))
    assert [summary for _, summary in found if "this is visit" in summary] == expected
    assert len(found) <= 2


def test_the_number_is_told_as_the_least_when_visits_are_one_page_of_more(client: FlaskClient) -> None:
    sent = meeting("encounter-start", "f000", "2025-03-10")
    sent["prefetch"]["encounters"]["link"] = [{"relation": "next", "url": "https://ehr.example.org/fhir?page=2"}]
    with on("2025-03-10"):
        found = summaries(client, sent)
    assert found[0] == ("warning", "Left hip: this is at least visit 19; the limit is 14")


def test_the_orders_own_number_is_told_when_it_leaves_fewer(client: FlaskClient) -> None:
    order = active("f000", occurrenceTiming=None, authoredOn="2025-03-04")
    with on("2025-03-10"):  # the visit of 5 March was the first of the order
        found = summaries(client, meeting_after("encounter-start", 3, "2025-03-10", order))
    assert found[1:] == [("info", "Left hip: this is visit 2; 2 were ordered, so none are left after it")]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_measure_and_a_re_evaluation_are_asked_for_when_they_are_due(client: FlaskClient, hook: str) -> None:
    with on("2025-09-05"):
        found = cards(client, meeting(hook, "f001", "2025-09-05", order=False))
    assert [(card["indicator"], card["summary"]) for card in found] == [("info", NO_MEASURE), ("info", RE_EVALUATION)]
    # The order was made of the encounter: nothing that changes an order can be offered.
    assert [offers(card) for card in found] == [["Ask for HAGOS", "Ask for iHOT-12"], []]
    assert {card["extension"]["davinci-crd.associated-resource"][0]["reference"] for card in found} == {"Encounter/now"}


@pytest.mark.parametrize("hook", HOOKS)
def test_there_is_silence_when_nothing_is_due(client: FlaskClient, hook: str) -> None:
    fresh = score("f001", "2025-09-01")
    with on("2025-09-05"):
        assert cards(client, meeting(hook, "f001", "2025-09-05", fresh)) == []


@pytest.mark.parametrize(
    ("hook", "before", "scored", "is_told"),
    [
        ("encounter-discharge", 13, "2025-02-14", True),
        ("encounter-discharge", 13, "2025-03-01", False),
        ("encounter-discharge", 10, "2025-02-14", False),
        ("encounter-start", 13, "2025-02-14", False),
    ],
)
def test_a_closing_score_is_asked_for_when_the_last_visit_ends(
    client: FlaskClient, hook: str, before: int, scored: str, is_told: bool
) -> None:
    with on("2025-03-10"):
        found = summaries(client, meeting_after(hook, before, "2025-03-10", score("f000", scored)))
    closing = ("info", f"Left hip: no visit is left and no score tells how therapy ended: the last is from {scored}")
    assert (closing in found) is is_told
    assert not any("no outcome measure" in summary for _, summary in found)


def test_no_outcome_is_told_when_only_what_is_due_is_weighed(client: FlaskClient) -> None:
    with on("2025-03-10"):
        answer = told(client, meeting("encounter-start", "f000", "2025-03-10"))
    (brief,) = answer["extension"]["example.therapy-cds.assessments"]
    assert (brief["asOf"], brief["order"]) == ("2025-03-10", "ServiceRequest/f000-order")
    assert not {"outcome", "says"} & brief.keys()


def test_the_day_is_the_encounters_when_it_ends_after_midnight(client: FlaskClient) -> None:
    with on("2025-03-11"):
        answer = told(client, meeting("encounter-discharge", "f000", "2025-03-10"))
    assert answer["extension"]["example.therapy-cds.assessments"][0]["asOf"] == "2025-03-10"


def test_the_day_is_today_when_the_encounter_names_none(client: FlaskClient) -> None:
    with on("2025-03-10"):
        answer = told(client, meeting("encounter-start", "f000", "2025-03-10", period=None))
    assert answer["extension"]["example.therapy-cds.assessments"][0]["asOf"] == "2025-03-10"


# -------------------------------------------------------------------------------------------------- other visits


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    "changes",
    [
        OFFICE,
        {"class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}},
        {"status": "entered-in-error"},
        {"status": "cancelled"},
    ],
)
def test_there_is_silence_when_the_encounter_is_no_therapy_visit(client: FlaskClient, hook: str, changes: Json) -> None:
    with on("2025-03-10"):
        assert cards(client, meeting(hook, "f000", "2025-03-10", **changes)) == []


def test_an_encounter_is_therapy_when_its_procedures_are(client: FlaskClient) -> None:
    done: Json = {
        "resourceType": "Procedure", "id": "p-now", "status": "completed", "subject": {"reference": "Patient/f000"},
        "code": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "97110"}]},
        "encounter": {"reference": "Encounter/now"}, "performedDateTime": "2025-03-10",
    }  # fmt: skip
    with on("2025-03-10"):
        found = cards(client, meeting("encounter-discharge", "f000", "2025-03-10", done, **OFFICE))
    assert len(found) == 2


# ------------------------------------------------------------------------------------------------------ failures


@pytest.mark.parametrize("hook", HOOKS)
def test_the_encounter_is_taken_from_the_others_when_its_own_key_was_not_sent(client: FlaskClient, hook: str) -> None:
    sent = meeting(hook, "f000", "2025-03-10")
    del sent["prefetch"]["encounter"]
    with on("2025-03-10"):
        assert len(cards(client, sent)) == 2


@pytest.mark.parametrize("hook", HOOKS)
def test_the_call_is_refused_with_412_when_the_encounter_cannot_be_had(client: FlaskClient, hook: str) -> None:
    sent = meeting(hook, "f000", "2025-03-10")
    sent["context"]["encounterId"] = "another"
    issue = refused(post(client, sent, f"/cds-services/{hook}-therapy"), 412)
    assert issue["expression"] == ["prefetch.encounter"]


@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_card_says_so_when_the_server_does_not_give_the_encounter(status: int) -> None:
    def failing(handler: Handler) -> None:
        handler.reply({"resourceType": "OperationOutcome", "issue": []}, status)

    with misbehaving(failing) as server:
        client = create_app(Settings(fhir_servers=(server.base,))).test_client()
        sent = meeting("encounter-start", "f000", "2025-03-10") | {"fhirServer": server.base}
        sent["context"]["encounterId"] = "another"
        ((indicator, summary),) = summaries(client, sent)
    assert indicator == "info"
    assert summary.startswith("This visit could not be checked: Encounter could not be read")


@pytest.mark.parametrize("key", ["coverage", "procedures", "observations"])
def test_a_card_says_so_when_what_matters_is_an_error_of_the_ehr(client: FlaskClient, key: str) -> None:
    error = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    sent = meeting("encounter-start", "f001", "2025-09-05", score("f001", "2025-09-01"))
    with on("2025-09-05"):
        found = summaries(client, sent | {"prefetch": sent["prefetch"] | {key: error}})
    assert [indicator for indicator, _ in found] == ["info"]


def test_a_card_says_so_when_only_procedures_could_tell_that_it_is_therapy() -> None:
    def failing(handler: Handler) -> None:
        broken = handler.path.startswith("/fhir/Procedure")
        handler.reply({"resourceType": "OperationOutcome", "issue": []} if broken else page(), 500 if broken else 200)

    with misbehaving(failing) as server:
        client = create_app(Settings(fhir_servers=(server.base,))).test_client()
        sent = meeting("encounter-start", "f000", "2025-03-10", **OFFICE) | {"fhirServer": server.base}
        del sent["prefetch"]["procedures"]
        ((_, summary),) = summaries(client, sent)
    assert summary.startswith("This visit could not be checked: it may be therapy; Procedure could not be read")


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    ("context", "where"),
    [
        ({"encounterId": None}, "context"),
        ({"encounterId": ""}, "context.encounterId"),
        ({"encounterId": "a/../b"}, "context.encounterId"),
        ({"encounterId": 7}, "context.encounterId"),
        ({"patientId": None}, "context"),
        ({"userId": None}, "context"),
    ],
)
def test_the_call_is_refused_when_its_context_is_malformed(
    client: FlaskClient, hook: str, context: Json, where: str
) -> None:
    sent = meeting(hook, "f000", "2025-03-10")
    sent["context"] = {k: v for k, v in (sent["context"] | context).items() if v is not None}
    issue = refused(post(client, sent, f"/cds-services/{hook}-therapy"), 400)
    assert issue["expression"] == [where]
