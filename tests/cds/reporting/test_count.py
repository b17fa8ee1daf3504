"""Entries of the ledger become figures."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cds.ledger.ledger import CALL, Entry
from cds.reporting.count import NO_POLICY, Choice, count, general
from cds.reporting.figures import Report
from tests.cds.reporting.entries import (
    SYSTEM,
    WILL_DO,
    WRONG,
    Json,
    accepted,
    assessed,
    call,
    card,
    overridden,
    row,
    said,
)

EVERYTHING = Choice()


def counted(*entries: Entry, choice: Choice = EVERYTHING) -> Report:
    return count(entries, choice, false_alarms={WRONG})


# ----------------------------------------------------------------------------------------- cards and criteria


def test_results_are_counted_by_policy_and_criterion_when_orders_are_assessed() -> None:
    report = counted(
        call(1, assessed(row("visits"), row("measure", "unknown", missing=("a score",)))),
        call(2, assessed(row("visits", "not-met"), row("cap", "met", policy="statute"), adding=["statute"])),
    )
    assert report.criteria["hip", "visits"].results == {"met": 1, "not-met": 1}
    assert report.criteria["statute", "cap"].results == {"met": 1}
    assert report.criteria["hip", "measure"].why_unknown == {"a score": 1}
    assert report.policies["hip"].assessments == 2
    assert report.policies["statute"].assessments == 1


def test_what_it_says_tells_why_when_an_unknown_criterion_names_nothing_missing() -> None:
    assert counted(call(1, assessed(row("visits", "unknown")))).criteria["hip", "visits"].why_unknown == {
        "unknown so": 1
    }


def test_same_reason_is_one_when_it_names_resources_and_days_of_patients() -> None:
    reasons = ("visits in full (DocumentReference/note-1)", "visits in full (DocumentReference/n2)")
    report = counted(*(call(1, assessed(row("visits", "unknown", missing=(reason,)))) for reason in reasons))
    assert report.criteria["hip", "visits"].why_unknown == {"visits in full": 2}
    assert general("a score since 2025-03-10") == "a score since"


def test_card_counts_for_each_of_its_criteria_and_once_for_all_when_it_is_shown() -> None:
    entry = call(1, assessed(row("visits"), row("plan")), cards=(card("a", "visits", "plan"), card("b", "visits")))
    report = counted(entry)
    assert report.criteria["hip", "visits"].shown == 2
    assert report.criteria["hip", "plan"].shown == 1
    assert report.cards.shown == 2


def test_card_belongs_to_its_own_order_when_several_orders_have_the_same_criterion() -> None:
    first = assessed(row("visits", policy="hip"), order="ServiceRequest/a")
    second = assessed(row("visits", policy="knee"), policy="knee", order="ServiceRequest/b")
    report = counted(call(1, first, second, cards=(card("c", "visits", order="ServiceRequest/b"),)))
    assert report.criteria["knee", "visits"].shown == 1
    assert report.criteria["hip", "visits"].shown == 0


@pytest.mark.parametrize(
    ("extension", "where"),
    [
        ({"davinci-crd.associated-resource": ["ServiceRequest/o"], "example.therapy-cds.criteria": ["visits"]}, "hip"),
        ({"example.therapy-cds.criteria": ["visits"]}, "hip"),
        ({"example.therapy-cds.criteria": ["phq-9-safety-item"]}, NO_POLICY),
    ],
    ids=["references as text", "no reference", "no criterion"],
)
def test_card_is_joined_as_far_as_it_can_be_when_it_tells_less(extension: Json, where: str) -> None:
    shown = {"uuid": "a", "extension": extension}
    (name,) = extension["example.therapy-cds.criteria"]
    assert counted(call(1, assessed(row("visits")), cards=(shown,))).criteria[where, name].shown == 1


def test_card_without_criteria_counts_among_all_when_it_speaks_of_no_order() -> None:
    report = counted(call(1, cards=({"uuid": "a"},)), said(2, accepted("a")))
    assert (report.cards.shown, report.cards.accepted) == (1, 1)
    assert report.criteria == {}


# -------------------------------------------------------------------------------------------------- feedback


def test_false_alarm_rate_is_over_cards_with_feedback_when_some_have_none() -> None:
    cards = tuple(card(name, "visits") for name in "abcde")
    report = counted(
        call(1, assessed(row("visits")), cards=cards),
        said(2, accepted("a", "visits"), overridden("b", "visits"), overridden("c", "visits", reason=WILL_DO)),
        said(3, overridden("d", "visits", reason=None)),
    )
    figures = report.criteria["hip", "visits"]
    assert (figures.shown, figures.accepted, figures.overridden, figures.no_feedback) == (5, 1, 3, 1)
    assert (figures.false_alarms, figures.with_feedback, figures.false_alarm_rate) == (1, 4, 0.25)
    assert figures.overrides == {WRONG: 1, WILL_DO: 1, ("", ""): 1}


def test_last_report_counts_when_a_card_is_reported_again() -> None:
    report = counted(
        call(1, assessed(row("visits")), cards=(card("a", "visits"),)),
        said(2, overridden("a", "visits")),
        said(3, accepted("a", "visits")),
    )
    figures = report.criteria["hip", "visits"]
    assert (figures.accepted, figures.overridden, figures.false_alarms) == (1, 0, 0)


def test_no_rate_is_told_when_nobody_said_anything() -> None:
    report = counted(call(1, assessed(row("visits")), cards=(card("a", "visits"),)))
    assert report.criteria["hip", "visits"].false_alarm_rate is None


def test_words_of_a_reason_are_those_of_the_client_when_it_is_none_of_ours() -> None:
    item = overridden("a", "visits") | {
        "overrideReason": {"reason": {"system": "urn:other", "code": "x", "display": "Not today"}}
    }
    report = count([said(1, item)], EVERYTHING, reasons={WRONG: "The record is wrong"})
    assert report.reasons == {WRONG: "The record is wrong", ("urn:other", "x"): "Not today"}
    assert (SYSTEM, "x") not in report.reasons


# ------------------------------------------------------------------------------------------------- the period


def test_feedback_counts_by_when_its_card_was_shown_when_a_period_is_chosen() -> None:
    choice = Choice(datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 11, tzinfo=UTC))
    late = overridden("a", "visits")
    before = overridden("b", "visits", shown="2026-03-09T23:59:59.999999Z")
    after = overridden("c", "visits", shown="2026-03-11T00:00:00.000000Z")
    report = counted(
        call(1, assessed(row("visits")), cards=(card("a", "visits"),)),
        call(2, assessed(row("visits")), cards=(card("c", "visits"),), day="2026-03-11", time="00:00"),
        said(3, late, before, after),
        choice=choice,
    )
    assert report.calls == 1
    assert (report.cards.shown, report.cards.overridden) == (1, 1)


def test_only_its_figures_are_counted_when_a_policy_is_chosen() -> None:
    entry = call(
        1, assessed(row("visits"), gaps=[{"fact": "visits", "state": "late", "reason": "late"}]),
        assessed(row("cap", policy="knee"), policy="knee", order="ServiceRequest/b"),
        cards=(card("a", "visits"), card("b", "cap", order="ServiceRequest/b")),
    )  # fmt: skip
    report = counted(entry, said(2, accepted("a", "visits")), choice=Choice(policy="knee"))
    assert set(report.criteria) == {("knee", "cap")}
    assert set(report.policies) == {"knee"}
    assert (report.cards.shown, report.cards.accepted) == (1, 0)
    assert report.days["2026-03-10"].policies == {"knee": 1}


def test_every_day_is_told_when_some_days_have_no_call() -> None:
    report = counted(call(1, assessed(), day="2026-02-27"), call(2, assessed(), assessed(), day="2026-03-02"))
    assert [(day, figures.calls, figures.policies["hip"]) for day, figures in report.days.items()] == [
        ("2026-02-27", 1, 1), ("2026-02-28", 0, 0), ("2026-03-01", 0, 0), ("2026-03-02", 1, 2),
    ]  # fmt: skip


def test_call_is_counted_and_nothing_else_when_its_retention_is_over() -> None:
    gone = Entry(1, "call-1", CALL, "2026-03-10T12:00:00.000000Z", None, "hash")
    report = counted(gone)
    assert (report.calls, report.expired, report.days["2026-03-10"].calls) == (1, 1, 1)


def test_report_is_empty_when_there_is_no_entry() -> None:
    report = count([], EVERYTHING, known=["hip"])
    assert (report.calls, report.begins, report.days) == (0, "", {})
    assert not report.policies["hip"].is_silent


# ------------------------------------------------------------------------------------- silence, clients, gaps


@pytest.mark.parametrize(
    ("with_it", "without", "silent"),
    [(1, 9, False), (1, 10, True), (8, 3, False), (8, 4, True), (0, 500, False)],
)
def test_policy_is_silent_when_chance_hardly_explains_that_it_is_not_applied(
    with_it: int, without: int, silent: bool
) -> None:
    applied = [call(n, assessed()) for n in range(with_it)]
    others = [call(n, assessed(policy="knee")) for n in range(without)]
    report = count([*applied, *others], EVERYTHING, known=["hip"])
    assert report.policies["hip"].is_silent is silent
    assert report.policies["hip"].calls_since == without
    assert list(report.silent) == (["hip"] if silent else [])


def test_habits_and_times_are_counted_by_client_when_calls_come() -> None:
    def asked(state: str, milliseconds: float) -> Json:
        return {"resource": "Encounter", "state": state, "milliseconds": milliseconds}

    report = counted(
        call(1, prefetch={"encounters": "sent"}, evidence=[asked("supplied", 0.0)], milliseconds=10.0),
        call(2, prefetch={"encounters": "null"}, evidence=[asked("fetched", 80.0)], milliseconds=90.0),
        call(3, prefetch={"encounters": "absent", "(not asked for)": "2"}, evidence=[asked("late", 400.0)]),
        call(4, client="other", prefetch={"encounters": "empty"}),
    )
    ehr = report.clients["ehr"]
    assert ehr.calls == {"order-sign-therapy": 3}
    assert ehr.prefetch["encounters"] == {"sent": 1, "null": 1, "absent": 1}
    assert ehr.prefetch["(not asked for)"] == {"sent": 1}
    assert ehr.evidence["Encounter"] == {"supplied": 1, "fetched": 1, "late": 1}
    assert (ehr.searches["Encounter"].count, ehr.searches["Encounter"].percentile(0.5)) == (2, 80.0)
    assert ehr.milliseconds.percentile(0.5) == 20.0
    assert report.clients["other"].prefetch["encounters"] == {"empty": 1}


def test_gaps_and_outcomes_are_counted_by_policy_when_evidence_is_not_whole() -> None:
    gap = {"fact": "visits", "state": "refused", "reason": "Encounter could not be read: 403"}
    report = counted(
        call(1, assessed(gaps=[gap, gap], outcome="insufficient-information")),
        call(2, assessed(policy=None, outcome="no-policy")),
    )
    assert report.policies["hip"].gaps == {("visits", "refused", "Encounter could not be read: 403"): 1}
    assert report.policies["hip"].outcomes == {"insufficient-information": 1}
    assert report.policies["hip"].versions == {"1": 1}
    assert report.policies[NO_POLICY].outcomes == {"no-policy": 1}
