"""What a FHIR server says that it offers: learnt in the background, never waited for, never taken for "none"."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from cds.ehr import capability as capability_module
from cds.ehr.capability import read_offer
from cds.ehr.client import Deadline, FhirClient, pooled_session
from cds.ehr.gather import EhrSource
from cds.ehr.server import FhirServer, FhirServers
from cds.fhir.queries import queries_for
from cds.fhir.record import gaps_of, read_record, start_reading
from cds.model import Evidence, EvidenceState, Fact, Need
from cds.service import TECHNICAL
from cds.terminology import packaged
from tests.cds.ehr.misbehaving import TOKEN, Answer, Handler, misbehaving, replying, searchset

DOCUMENT = Path(__file__).parents[3] / "docs" / "fhir-servers.md"
TYPES = ("Patient", "Coverage", "Encounter", "Goal")


def statement(*types: str, **more: Any) -> dict[str, Any]:
    rest = {"mode": "server", "resource": [{"type": kind} for kind in types]} | more
    return {"resourceType": "CapabilityStatement", "status": "active", "rest": [rest]}


def answering(metadata: Answer) -> Answer:
    def answer(handler: Handler) -> None:
        if handler.path == "/fhir/metadata":
            metadata(handler)
        else:
            handler.reply(searchset())

    return answer


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with pooled_session(8) as shared:
        yield shared


def sources(session: requests.Session, base: str, pool: ThreadPoolExecutor) -> tuple[FhirServer, EhrSource]:
    server = FhirServers(session, [base]).at(base)
    client = FhirClient(session, base, TOKEN, server)
    return server, EhrSource("f000", {}, client, pool, Deadline.after(5))


def learnt(session: requests.Session, base: str, facts: tuple[Fact, ...]) -> tuple[Evidence, ...]:
    """The evidence of a call after the server's offer was learnt."""
    with ThreadPoolExecutor(4) as pool:
        _, source = sources(session, base, pool)
        source.learn()
        pool.submit(int).result()
        _wait_for_metadata(source)
        return source.gather(queries_for([Need(fact) for fact in facts], packaged()))


def _wait_for_metadata(source: EhrSource) -> None:
    client = source._client
    assert client is not None
    end = time.monotonic() + 5
    while client._server.capability._fetching and time.monotonic() < end:
        time.sleep(0.01)


def test_a_type_is_not_asked_for_when_the_server_does_not_offer_it(session: requests.Session) -> None:
    with misbehaving(answering(replying(statement(*TYPES)))) as running:
        found = learnt(session, running.base, (Fact.GOALS, Fact.PLANS, Fact.DOCUMENTS))
        paths = [seen.path.partition("?")[0] for seen in running.seen]
        assert "Authorization" not in running.seen[0].headers, "the statement is public"
    assert paths == ["/fhir/metadata", "/fhir/Goal"]
    by_key = {each.query.key: each for each in found}
    assert by_key["goals"].state is EvidenceState.FETCHED
    assert (
        by_key["carePlans"].reason == "CarePlan: the EHR did not send it, and its FHIR server does not offer CarePlan"
    )
    assert not by_key["carePlans"].whole
    gaps = {gap.key: gap for gap in gaps_of(found)}
    assert set(gaps) == {"carePlans", "documents"}, "it is unknown, not none"
    assert gaps["carePlans"].state not in TECHNICAL, "nothing has failed"


def test_what_is_indispensable_is_asked_for_when_the_server_does_not_offer_it(session: requests.Session) -> None:
    with misbehaving(answering(replying(statement("Patient")))) as running:
        found = learnt(session, running.base, (Fact.COVERAGE, Fact.CONDITIONS))
    assert {each.state for each in found} == {EvidenceState.FETCHED}


@pytest.mark.parametrize(
    "metadata",
    [
        replying({}, 404), replying(b"<html>"), replying([]), replying({"resourceType": "Bundle"}), replying(b"{"),
        replying(statement("Goal")), replying(statement()), replying({"resourceType": "CapabilityStatement"}),
        replying(statement(*TYPES, mode="client")),
    ],
)  # fmt: skip
def test_everything_is_asked_when_the_statement_tells_nothing(session: requests.Session, metadata: Answer) -> None:
    with misbehaving(answering(metadata)) as running:
        found = learnt(session, running.base, (Fact.GOALS, Fact.PLANS))
    assert {each.state for each in found} == {EvidenceState.FETCHED}


def test_no_call_waits_when_the_statement_is_slow(session: requests.Session) -> None:
    def slow(handler: Handler) -> None:
        handler.wait(1)

    with ThreadPoolExecutor(4) as pool, misbehaving(answering(slow)) as running:
        _, source = sources(session, running.base, pool)
        began = time.monotonic()
        source.learn()
        found = source.gather(queries_for([Need(Fact.PLANS)], packaged()))
        assert time.monotonic() - began < 0.3
        assert found[0].state is EvidenceState.FETCHED


@pytest.mark.parametrize(("status", "kept"), [(200, "KEPT_SECONDS"), (500, "FAILED_SECONDS")])
def test_it_is_fetched_once_when_many_calls_want_it(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch, status: int, kept: str
) -> None:
    monkeypatch.setattr(capability_module, kept, 0.3)
    with ThreadPoolExecutor(4) as pool, misbehaving(answering(replying(statement(*TYPES), status))) as running:
        _, source = sources(session, running.base, pool)
        for _ in range(5):
            source.learn()
            _wait_for_metadata(source)
        assert len(running.seen) == 1
        time.sleep(0.3)
        source.learn()
        _wait_for_metadata(source)
        assert len(running.seen) == 2, "and again later"


def test_nothing_is_learnt_when_the_server_is_not_listed(session: requests.Session) -> None:
    with misbehaving(answering(replying(statement(*TYPES)))) as running, ThreadPoolExecutor(4) as pool:
        FhirClient(session, running.base, TOKEN, FhirServers(session).at(running.base)).learn(pool)
        pool.submit(int).result()
        assert running.seen == []


def test_nothing_breaks_when_the_service_is_ending(session: requests.Session) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    FhirClient(session, "http://127.0.0.1:9/fhir", TOKEN, FhirServers(session, ["http://127.0.0.1:9/fhir"]).at(
        "http://127.0.0.1:9/fhir")).learn(pool)  # fmt: skip


def test_batches_are_known_when_the_statement_names_them() -> None:
    assert read_offer(json.dumps(statement(*TYPES, interaction=[{"code": "batch"}])).encode()).batch
    assert not read_offer(json.dumps(statement(*TYPES, interaction=[{"code": "transaction"}])).encode()).batch


# --------------------------------------------------------------------------------- what a server ignores or has


def test_no_more_searches_are_made_than_the_document_says_when_everything_is_needed() -> None:
    searches = queries_for([Need(fact) for fact in Fact], packaged())
    text = DOCUMENT.read_text(encoding="utf-8")
    assert f"at most {len(searches)} searches" in text
    assert not [query.resource for query in searches.values() if query.resource not in text]


@pytest.mark.integration
def test_other_patients_goals_are_left_out_when_a_real_server_ignores_whose_are_asked_for(
    session: requests.Session, fhir_server: str
) -> None:
    goals = queries_for([Need(Fact.GOALS)], packaged())
    with ThreadPoolExecutor(2) as pool:
        client = FhirClient(session, fhir_server, None)
        evidence = EhrSource("f000", {}, client, pool, Deadline.after(10)).gather(goals)
    reading, by_type = start_reading(packaged(), "f000", evidence)
    record = read_record(reading, by_type, evidence)
    owners = [json.loads(bytes(each.payload))["subject"]["reference"] for each in by_type["Goal"]]
    assert set(owners) > {"Patient/f000"}, "the server does not ignore it any more"
    assert len(record.goals) == owners.count("Patient/f000")
