"""What order-select fetched is at hand for order-sign: for the same token, user, patient and server, for a minute."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cds.model import Evidence, EvidenceState, Query, Resource
from hooks.app import create_app
from hooks.callers.warmth import MOST_BYTES, MOST_OF_ONE, SECONDS, Warmth
from hooks.settings import Settings
from tests.cds.ehr.misbehaving import Handler, misbehaving
from tests.cds.ehr.misbehaving import searchset as page
from tests.hooks.calls import TOKEN, Json, draft, request
from tests.hooks.hook_calls import body, bundle, record, told

STEADY = {"Coverage", "Encounter", "Patient", "Procedure"}


class Clock:
    """Seconds that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def evidence(key: str, size: int = 10, state: EvidenceState = EvidenceState.FETCHED) -> Evidence:
    resources = (Resource("Encounter", "1", b"x" * size),)
    return Evidence(Query(key, "Encounter", f"Encounter?{key}", frozenset()), state, resources)


# --------------------------------------------------------------------------------------------------- what is kept


def test_it_says_when_it_was_fetched_when_evidence_is_kept() -> None:
    warmth = Warmth()
    warmth.keep("a", [evidence("encounters")])
    assert warmth.at_hand("a")["encounters"].reason.startswith("fetched at 20")
    assert warmth.at_hand("b") == {}


@pytest.mark.parametrize("key", ["observations", "measures", "tasks", "questionnaireResponses", "conditions"])
def test_what_may_be_entered_while_signing_is_not_kept_when_it_was_fetched(key: str) -> None:
    warmth = Warmth()
    warmth.keep("a", [evidence(key)])
    assert warmth.at_hand("a") == {}


@pytest.mark.parametrize("state", [state for state in EvidenceState if state is not EvidenceState.FETCHED])
def test_it_is_not_kept_when_it_was_not_fetched_whole(state: EvidenceState) -> None:
    warmth = Warmth()
    warmth.keep("a", [evidence("encounters", state=state)])
    assert warmth.at_hand("a") == {}


def test_it_is_forgotten_when_a_minute_is_over() -> None:
    clock = Clock()
    warmth = Warmth(clock)
    warmth.keep("a", [evidence("encounters")])
    clock.now += SECONDS - 1
    assert warmth.at_hand("a")
    clock.now += 1
    assert not warmth.at_hand("a")


def test_the_oldest_is_forgotten_when_there_is_too_much() -> None:
    warmth = Warmth()
    many = MOST_BYTES // MOST_OF_ONE + 1
    for number in range(many):
        warmth.keep(str(number), [evidence("encounters", MOST_OF_ONE)])
    assert [bool(warmth.at_hand(str(number))) for number in range(many)] == [False] + [True] * (many - 1)


def test_it_is_not_kept_when_it_alone_is_too_much() -> None:
    warmth = Warmth()
    warmth.keep("a", [evidence("encounters", MOST_OF_ONE + 1)])
    assert warmth.at_hand("a") == {}


# ----------------------------------------------------------------------------------------------------- end to end


def answering(handler: Handler) -> None:
    """A FHIR server with the record of f000."""
    kind, _, rest = handler.path.removeprefix("/fhir/").partition("?")
    kind, _, name = kind.partition("/")
    mine = [r for r in record("f000") if r["resourceType"] == kind and name in ("", r["id"])]
    if rest or kind == "metadata":
        handler.reply(page(*mine))
    else:
        handler.reply(mine[0], 200)


def selecting(base: str, **changes: Any) -> Json:
    context = {"selections": ["ServiceRequest/f000-order"], "draftOrders": bundle(draft("f000"))}
    return body("order-select", "f000", context, **with_access(base)) | changes


def signing(base: str, token: str = TOKEN, **changes: Any) -> Json:
    return request(prefetch=None, **with_access(base, token)) | changes


def with_access(base: str, token: str = TOKEN) -> Json:
    return {"fhirServer": base, "fhirAuthorization": {"access_token": token, "token_type": "Bearer"} if token else None}


def kinds(seen: list[Any]) -> set[str]:
    return {each.path.removeprefix("/fhir/").partition("?")[0].partition("/")[0] for each in seen} - {"metadata"}


def of(answer: Json) -> str:
    """An answer without what is new in every answer."""
    found = answer["extension"]["example.therapy-cds.assessments"][0]
    return json.dumps([[c["summary"] for c in answer["cards"]], {k: v for k, v in found.items() if k != "id"}])


def test_the_same_is_answered_with_fewer_searches_when_the_order_was_selected_before() -> None:
    with misbehaving(answering) as server:
        client = create_app(Settings(fhir_servers=(server.base,))).test_client()
        cold = told(client, signing(server.base))
        asked = kinds(server.seen)
        assert asked >= STEADY
        told(client, selecting(server.base))
        before = len(server.seen)
        warm = told(client, signing(server.base))
        again = kinds(server.seen[before:])
    assert of(warm) == of(cold)
    assert not again & STEADY
    assert {"Observation", "Condition", "Task", "QuestionnaireResponse"} <= again


@pytest.mark.parametrize(
    ("token", "changes"),
    [
        ("another-token", {}),
        ("", {}),
        (TOKEN, {"context": request()["context"] | {"userId": "Practitioner/another"}}),
        (TOKEN, {"context": request()["context"] | {"patientId": "f001", "draftOrders": bundle(draft("f001"))}}),
    ],
)
def test_everything_is_asked_anew_when_anything_is_different(token: str, changes: Json) -> None:
    with misbehaving(answering) as server:
        client = create_app(Settings(fhir_servers=(server.base,))).test_client()
        told(client, selecting(server.base))
        before = len(server.seen)
        told(client, signing(server.base, token) | changes)
        assert {"Coverage", "Patient"} <= kinds(server.seen[before:])


def test_what_the_call_sends_comes_first_when_something_is_warm() -> None:
    with misbehaving(answering) as server:
        client = create_app(Settings(fhir_servers=(server.base,))).test_client()
        told(client, selecting(server.base))
        fewer = [r for r in record("f000") if r["resourceType"] not in ("Encounter", "Procedure")]
        sent = request(record=[*fewer, draft("f000")], **with_access(server.base))
        answer = told(client, sent)
    assert answer["extension"]["example.therapy-cds.assessments"][0]["visits"].get("completed") != 18


def test_no_token_shows_when_what_is_warm_is_printed() -> None:
    with misbehaving(answering) as server:
        app = create_app(Settings(fhir_servers=(server.base,)))
        told(app.test_client(), selecting(server.base))
        warmth = app.extensions["therapy-cds"].warmth
        assert warmth._kept
        assert TOKEN not in repr(warmth._kept)
