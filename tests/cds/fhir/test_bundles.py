from __future__ import annotations

import json

import pytest

from cds.fhir.bundles import Answer, parse_answer
from tests.cds.build import Json, bundle, encounter

OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "forbidden", "diagnostics": "Nora Hale may not be read"}],
}
WARNING = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "informational"}]}


def parse(data: object) -> Answer:
    return parse_answer(json.dumps(data).encode())


def test_every_resource_comes_out_when_the_answer_is_a_bundle() -> None:
    answer = parse(bundle(encounter("2025-03-05"), encounter("2025-03-06"), kind="searchset", total=2))
    assert [r.reference for r in answer.resources] == ["Encounter/e-2025-03-05", "Encounter/e-2025-03-06"]
    assert (answer.cut, answer.outcome, answer.problems, answer.next_url) == (False, None, (), None)


def test_an_answer_of_one_comes_out_when_it_is_a_single_resource() -> None:
    assert [r.reference for r in parse(encounter("2025-03-05")).resources] == ["Encounter/e-2025-03-05"]


@pytest.mark.parametrize("payload", [b"null", b" null ", b"null\n"])
def test_null_is_told_apart_when_the_ehr_says_nothing(payload: bytes) -> None:
    assert parse_answer(payload).is_null


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"<html/>",
        b"[]",
        b"42",
        b"{}",
        b'{"id": "x"}',
        b'{"resourceType": 5}',
        b'{"resourceType": "Bundle", "entry": 5}',
        b'{"resourceType": "Bundle", "total": "five"}',
        b"\xff\xfe{",
        b'{"resourceType": "Bundle", "entry": [' + b"[" * 50_000,
    ],
)
def test_a_value_error_is_raised_when_it_is_no_fhir_json(payload: bytes) -> None:
    with pytest.raises(ValueError, match="it is"):
        parse_answer(payload)


def test_nested_lists_without_end_are_no_crash_when_somebody_sends_them() -> None:
    deep = b'{"resourceType": "Bundle", "entry": [{"resource": {"x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}]}"
    with pytest.raises(ValueError, match="it is"):
        parse_answer(deep)


def test_an_outcome_is_a_failure_when_it_is_the_whole_answer() -> None:
    answer = parse(OUTCOME)
    assert answer.outcome == "error forbidden"
    assert answer.resources == ()
    assert "Nora" not in str(answer)


def test_the_answer_is_marked_when_an_entry_is_an_outcome_with_an_error() -> None:
    answer = parse(bundle(encounter("2025-03-05"), OUTCOME, kind="searchset"))
    assert answer.outcome == "error forbidden"
    assert len(answer.resources) == 1


def test_advice_is_no_failure_when_an_entry_is_an_outcome_with_a_warning() -> None:
    answer = parse(bundle(encounter("2025-03-05"), WARNING, kind="searchset", total=1))
    assert answer.outcome is None
    assert not answer.cut


def test_it_is_still_a_failure_when_an_outcome_has_no_issue() -> None:
    assert parse({"resourceType": "OperationOutcome"}).outcome


def test_a_resource_counts_once_when_a_server_repeats_its_entry() -> None:
    answer = parse(bundle(encounter("2025-03-05"), encounter("2025-03-05")))
    assert len(answer.resources) == 1


def test_there_is_more_when_a_next_link_is_given() -> None:
    link = [{"relation": "self", "url": "http://x/1"}, {"relation": "next", "url": "http://x/2"}]
    answer = parse(bundle(encounter("2025-03-05"), kind="searchset", link=link))
    assert answer.next_url == "http://x/2"
    assert answer.cut


def test_there_is_more_when_the_total_is_larger_than_what_was_sent() -> None:
    assert parse(bundle(encounter("2025-03-05"), kind="searchset", total=2)).cut
    assert not parse(bundle(encounter("2025-03-05"), kind="searchset", total=1)).cut
    assert not parse(bundle(encounter("2025-03-05"), kind="searchset", total=0)).cut


def test_included_resources_do_not_fill_the_total_when_matches_are_missing() -> None:
    sent = bundle(encounter("2025-03-05"), {"resourceType": "Practitioner", "id": "x"}, kind="searchset", total=2)
    sent["entry"][1]["search"] = {"mode": "include"}
    assert parse(sent).cut


def test_an_entry_is_named_when_it_holds_no_resource_or_cannot_be_read() -> None:
    sent: Json = bundle(encounter("2025-03-05"))
    sent["entry"] += [{"fullUrl": "urn:uuid:1"}, {"resource": None}, {"resource": "x"}, 7, {"resource": {"id": 5}}]
    answer = parse(sent)
    assert len(answer.resources) == 1
    assert [problem.split(" ")[1] for problem in answer.problems] == ["1", "2", "3", "4", "5"]


def test_one_entry_only_is_lost_when_its_letters_are_broken() -> None:
    payload = json.dumps(bundle(encounter("2025-03-05"), encounter("2025-03-06"))).encode()
    answer = parse_answer(payload.replace(b"e-2025-03-06", b"\xe9-2025-03-06"))
    assert [r.id for r in answer.resources] == ["e-2025-03-05"]
    assert len(answer.problems) == 1


@pytest.mark.parametrize(
    ("url", "name"),
    [("urn:uuid:0c3151bd", "0c3151bd"), ("https://ehr.example.org/fhir/Encounter/7", "7"), ("", "")],
)
def test_the_entrys_url_names_the_resource_when_it_has_no_id(url: str, name: str) -> None:
    visit = {key: value for key, value in encounter("2025-03-05").items() if key != "id"}
    (found,) = parse({"resourceType": "Bundle", "entry": [{"fullUrl": url, "resource": visit}]}).resources
    assert (found.id, found.url) == (name, url)


def test_both_are_kept_when_two_resources_have_neither_id_nor_url() -> None:
    visit = {key: value for key, value in encounter("2025-03-05").items() if key != "id"}
    assert len(parse(bundle(visit, visit)).resources) == 2


def test_there_is_nothing_when_a_bundle_is_empty() -> None:
    answer = parse({"resourceType": "Bundle", "type": "searchset", "total": 0})
    assert answer == Answer()
