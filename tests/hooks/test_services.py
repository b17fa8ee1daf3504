"""`POST /cds-services/{id}` as real clients call it, as careless ones do, and as hostile ones do."""

from __future__ import annotations

import io
import json
import logging
import random
import string
import time
from copy import deepcopy
from typing import Any

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hooks.app import create_app
from hooks.settings import Settings
from tests.cds.ehr.misbehaving import Handler, misbehaving
from tests.cds.ehr.misbehaving import searchset as page
from tests.hooks.calls import (
    HOOK_INSTANCE,
    ORIGIN,
    TOKEN,
    URL,
    Json,
    answered,
    assessment,
    draft,
    post,
    refused,
    request,
    resources,
    searchset,
    with_context,
    with_prefetch,
)

OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "security"}]}
DEEP = "[" * 100_000 + "]" * 100_000
GOOD = json.dumps(request())
LAB = draft(
    code={"coding": [{"system": "http://loinc.org", "code": "2093-3"}], "text": "Cholesterol"},
    orderDetail=None,
    category=None,
    performerType=None,
)
MEDICINE = {  # As the public sandbox sends one before a drug is chosen: category is no list, intent is missing.
    "resourceType": "MedicationRequest",
    "id": "m1",
    "status": "draft",
    "category": {"coding": [{"code": "community"}]},
    "subject": {"reference": "Patient/f000"},
}


def order_with(**changes: Any) -> Json:
    return request(draft(**changes))


def drafts(value: object) -> Json:
    body = request()
    return body | {"context": body["context"] | {"draftOrders": value}}


# ------------------------------------------------------------------------------------------------- bad requests


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "body"),
        (b"hello", "body"),
        (b"<xml/>", "body"),
        (GOOD[:-60].encode(), "body"),
        (GOOD.encode() + b"x", "body"),
        (GOOD.encode() * 2, "body"),
        (GOOD.encode("utf-16"), "body"),
        (GOOD.replace("Physical therapy", "Physioth\u00e9rapie").encode("latin-1"), "body"),
        (GOOD.replace('"value": 2', '"value": NaN').encode(), "body"),
        (b"[]", "body"),
        (b'"order-sign"', "body"),
        (b"7", "body"),
        (b"null", "body"),
        (b"true", "body"),
        (b"{}", "body"),
        (DEEP.encode(), "body"),
        (GOOD.replace('"Practitioner/example"', DEEP).encode(), "body"),
        (GOOD.replace('"prefetch": {', f'"prefetch": {{"x": {DEEP}, ').encode(), "body"),
        (f'{{"x": {DEEP}}}'.encode(), "body"),
        (GOOD.replace('"context": {', '"context": null, "x": {').encode(), "context"),
        (request(hook=None), "body"),
        (request(hook=7), "hook"),
        (request(hook="order-select"), "hook"),
        (request(hookInstance=None), "body"),
        (request(hookInstance="1"), "hookInstance"),
        (request(hookInstance=f"{HOOK_INSTANCE}x"), "hookInstance"),
        (request(context=[]), "context"),
        (request(context={}), "context"),
        (request(extension=5), "extension"),
        (request(prefetch=[]), "prefetch"),
        (request(prefetch="x"), "prefetch"),
        (with_prefetch(request(), encounters=[]), "prefetch.encounters"),
        (with_prefetch(request(), encounters="x"), "prefetch.encounters"),
        (with_prefetch(request(), encounters=5), "prefetch.encounters"),
        (with_context(request(), userId=None), "context"),
        (with_context(request(), patientId=None), "context"),
        (with_context(request(), patientId="../x?y=z"), "context.patientId"),
        (with_context(request(), patientId="x" * 65), "context.patientId"),
        (with_context(request(), draftOrders=None), "context"),
        (drafts(None), "context.draftOrders"),
        (drafts([]), "context.draftOrders"),
        (drafts({"resourceType": "Patient", "id": "f000"}), "context.draftOrders"),
        (drafts({"resourceType": "Bundle"}), "context.draftOrders"),
        (drafts({"resourceType": "Bundle", "entry": []}), "context.draftOrders.entry"),
        (drafts({"resourceType": "Bundle", "entry": [{}]}), "context.draftOrders.entry[0]"),
        (drafts({"resourceType": "Bundle", "entry": [{"resource": {}}]}), "context.draftOrders.entry[0].resource"),
        (order_with(subject=None), "context.draftOrders.entry[0].resource.subject"),
        (order_with(subject={}), "context.draftOrders.entry[0].resource.subject"),
        (order_with(subject={"reference": "Patient/f001"}), "context.draftOrders.entry[0].resource.subject"),
        (request(draft(), draft(subject=None)), "context.draftOrders.entry[1].resource.subject"),
        (order_with(id=5), "context.draftOrders.entry[0].resource.id"),
        (request(fhirServer="ftp://ehr.example.org/fhir"), "fhirServer"),
        (request(fhirServer=""), "fhirServer"),
        (request(fhirServer=7), "fhirServer"),
        (request(fhirAuthorization={"access_token": TOKEN}), "fhirServer"),
        (request(fhirServer="http://localhost/", fhirAuthorization={"access_token": 5}),
         "fhirAuthorization.access_token"),
        (request(fhirServer="http://localhost/", fhirAuthorization={"access_token": f"{TOKEN}\u2192"}),
         "fhirAuthorization.access_token"),
        (request(fhirServer="http://localhost/", fhirAuthorization={"access_token": f"{TOKEN}\r\nX-Evil: 1"}),
         "fhirAuthorization.access_token"),
        (request(fhirServer="http://localhost/", fhirAuthorization=TOKEN), "fhirAuthorization"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_it_is_said_what_is_wrong_and_where_when_the_request_is_malformed(
    client: FlaskClient, body: object, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = post(client, body)
    issue = refused(response, 400, "CDS-101")
    assert issue["expression"] == [where]
    assert TOKEN not in caplog.text
    OperationOutcome.model_validate(response.get_json())


@pytest.mark.parametrize(
    "changes",
    [
        {"code": None},
        {"code": {}},
        {"code": {"coding": [{}]}},
        {"code": {"coding": []}},
        {"code": [1]},
        {"code": 5},
    ],
)
def test_the_order_cannot_be_used_when_it_has_no_code(client: FlaskClient, changes: Json) -> None:
    issue = refused(post(client, order_with(**changes)), 422, "CDS-105")
    assert issue["expression"] == ["context.draftOrders.entry[0].resource.code"]
    assert issue["details"]["text"].count("context.draftOrders") == 1


def test_patient_words_are_not_repeated_when_a_request_is_refused(client: FlaskClient) -> None:
    response = post(client, with_context(request(), patientId="Jane Doe 1970-01-01"))
    refused(response, 400)
    assert "Jane" not in response.get_data(as_text=True)


@pytest.mark.parametrize("body", [request(prefetch=None), request(prefetch={}), request(prefetch={"x": None})])
def test_data_is_asked_for_when_nothing_was_sent_and_nothing_can_be_fetched(client: FlaskClient, body: Json) -> None:
    issue = refused(post(client, body), 412, "CDS-103")
    assert "coverage" in issue["details"]["text"]
    assert issue["expression"] == ["prefetch"]


@pytest.mark.parametrize(
    "server",
    [
        "https://evil.example.org/fhir",
        "http://localhost.evil.example.org/",
        "http://127.0.0.1@evil.example.org/",
        "http://user:pass@127.0.0.1/",
        "http://127.0.0.1/fhir?x=",
        "http://127.0.0.1/#",
        "http://[::1",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest",
    ],
)
def test_no_server_is_asked_when_it_is_not_allowed(client: FlaskClient, server: str) -> None:
    authorization = {"access_token": TOKEN, "token_type": "Bearer"}
    began = time.monotonic()
    refused(post(client, request(prefetch=None, fhirServer=server, fhirAuthorization=authorization)), 412, "CDS-103")
    assert time.monotonic() - began < 0.5


def test_prefetch_is_used_when_the_server_is_not_allowed(client: FlaskClient) -> None:
    answer = answered(client, request(fhirServer="https://evil.example.org/fhir"))
    assert assessment(answer)["visits"]["total"] == 20


def test_only_the_listed_servers_are_asked_when_there_is_a_list() -> None:
    with misbehaving(lambda handler: handler.reply(page())) as listed, misbehaving(lambda h: h.reply(page())) as other:
        app = create_app(Settings(fhir_servers=(listed.base,)))
        post(app.test_client(), request(prefetch=None, fhirServer=other.base))
        assert other.seen == []
        post(app.test_client(), request(prefetch=None, fhirServer=f"{listed.base}/"))
        assert listed.seen != []


# --------------------------------------------------------------------------------------------- odd addresses


@pytest.mark.parametrize("url", ["/cds-services/nope", "/cds-services/%3Cscript%3E%0A", f"/cds-services/{'x' * 300}"])
def test_there_is_no_service_when_its_name_is_unknown(client: FlaskClient, url: str) -> None:
    response = post(client, request(), url)
    assert refused(response, 404, "CDS-102")["code"] == "not-found"
    assert "script" not in response.get_data(as_text=True)


def test_nothing_is_found_when_the_address_is_wrong(client: FlaskClient) -> None:
    refused(client.get("/nothing", headers={"Origin": ORIGIN}), 404)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_the_method_is_refused_when_it_is_wrong(client: FlaskClient, method: str) -> None:
    response = client.open(URL, method=method, headers={"Origin": ORIGIN})
    assert refused(response, 405)["code"] == "not-supported"
    assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize("url", [f"{URL}/", "http://localhost//cds-services//order-sign-therapy"])
def test_the_call_is_found_when_the_address_has_a_slash_more(client: FlaskClient, url: str) -> None:
    assert post(client, request(), url).status_code in (200, 308, 404)


def test_nobody_else_is_answered_when_the_caller_is_not_on_this_machine(client: FlaskClient) -> None:
    headers = {"Origin": ORIGIN}
    response = client.post(URL, data=GOOD, headers=headers, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert refused(response, 401)["code"] == "login"


@pytest.mark.parametrize("path", [URL, "/cds-services"])
def test_a_browser_may_call_when_it_asks_first(client: FlaskClient, path: str) -> None:
    asking = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    response = client.options(path, headers=asking)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    allowed = response.headers["Access-Control-Allow-Headers"].lower()
    assert {"authorization", "content-type"} <= set(allowed.replace(" ", "").split(","))
    assert "POST" in response.headers["Access-Control-Allow-Methods"]


def test_no_credentials_are_taken_when_every_origin_may_call(client: FlaskClient) -> None:
    assert "Access-Control-Allow-Credentials" not in post(client, request()).headers


# --------------------------------------------------------------------------------------------- large bodies


def test_a_body_is_refused_when_it_is_too_large(client: FlaskClient) -> None:
    assert refused(post(client, b" " * (17 * 2**20)), 413, "CDS-104")["code"] == "too-long"


PAGE = {"Origin": ORIGIN, "Content-Type": "application/json"}


def test_a_body_is_refused_when_it_is_too_large_and_names_no_length(client: FlaskClient) -> None:
    # Right JSON for as long as the limit, so that a body cut off at the limit would pass.
    stream = io.BytesIO(GOOD.encode().ljust(17 * 2**20))
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    response = client.post(URL, input_stream=stream, headers=PAGE, environ_overrides=environ)
    assert refused(response, 413, "CDS-104")["expression"] == ["body"]
    assert stream.read() == b""


def test_a_body_is_read_when_it_names_no_length(client: FlaskClient) -> None:
    environ = {"wsgi.input_terminated": True}
    response = client.post(URL, input_stream=io.BytesIO(GOOD.encode()), environ_overrides=environ)
    assert response.status_code == 200


def test_the_body_is_read_when_its_media_type_is_another(client: FlaskClient) -> None:
    assert client.post(URL, data=GOOD, content_type="text/plain").status_code == 200


def test_the_last_one_counts_when_a_key_stands_twice(client: FlaskClient) -> None:
    refused(post(client, GOOD[:-1].encode() + b', "hook": "order-select"}'), 400)
    assert post(client, b'{"hook": "order-select", ' + GOOD[1:].encode()).status_code == 200


# ------------------------------------------------------------------------------------- prefetch that is not whole


@pytest.mark.parametrize(
    "sent",
    [
        None,
        OUTCOME,
        {},
        {"resourceType": "Patient", "id": "f000"},
        {"resourceType": 5},
        searchset(OUTCOME),
        searchset({"resourceType": "Goal", "id": "g"}),
        {"resourceType": "Bundle", "entry": None},
        {"resourceType": "Bundle", "entry": "x"},
        {"resourceType": "Bundle", "entry": [None]},
        {"resourceType": "Bundle", "entry": [{"resource": None}]},
        searchset({"resourceType": "Bundle"}),
    ],
)
def test_no_visit_is_invented_and_none_is_denied_when_a_prefetch_value_is_no_answer(
    client: FlaskClient, sent: object
) -> None:
    record = [resource for resource in resources() if resource["resourceType"] != "Procedure"]
    body = with_prefetch(request(record=record), encounters=sent, procedures=searchset())
    found = assessment(answered(client, body))
    assert found["criteria"]["visits-within-benchmark"] == "unknown"
    assert found["outcome"] != "criteria-met"
    assert "completed" not in found["visits"]


@pytest.mark.parametrize(
    "change", [{"total": 99}, {"link": [{"relation": "next", "url": "https://ehr.example.org/2"}]}]
)
def test_the_count_is_a_lower_bound_when_a_prefetch_value_is_one_page_of_more(
    client: FlaskClient, change: Json
) -> None:
    body = request()
    body["prefetch"]["encounters"] |= change
    answer = answered(client, body)
    assert "completed" not in assessment(answer)["visits"]
    assert "at least 20 of 14" in answer["cards"][0]["summary"]


@pytest.mark.parametrize("sent", [None, OUTCOME, {"resourceType": "Goal", "id": "g"}])
def test_it_is_said_when_the_coverage_cannot_be_read(client: FlaskClient, sent: object) -> None:
    answer = answered(client, with_prefetch(request(), coverage=sent))
    assert assessment(answer)["outcome"] == "no-policy"
    assert "coverage could not be read" in answer["cards"][0]["detail"] + answer["cards"][0]["summary"]


# ------------------------------------------------------------------------------------------------ real clients


def test_the_order_is_weighed_when_the_public_sandbox_sends_it(client: FlaskClient) -> None:
    body = request(draft(intent="plan", authoredOn=None, requester=None, meta=None))
    body["context"]["draftOrders"].pop("type", None)
    body["context"]["selections"] = ["ServiceRequest/f000-order"]
    body["fhirServer"] = "http://127.0.0.1:9/fhir"
    body["fhirAuthorization"] = {
        "access_token": TOKEN,
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "patient/*.* user/*.*",
        "subject": "cds",
    }
    assert assessment(answered(client, body))["visits"]["total"] == 20


def test_the_order_cannot_be_used_when_the_sandbox_has_no_code_chosen(client: FlaskClient) -> None:
    body = request(draft(intent="plan", code={"coding": [{}]}, reasonCode=[], orderDetail=None))
    refused(post(client, body), 422, "CDS-105")


def test_it_is_said_that_no_policy_applies_when_the_order_names_no_reason(client: FlaskClient) -> None:
    answer = answered(client, request(draft(reasonCode=[])))
    assert assessment(answer)["outcome"] == "no-policy"
    assert len(answer["cards"]) == 1


def test_there_is_nothing_to_say_when_the_sandbox_prescribes_a_medicine(client: FlaskClient) -> None:
    assert answered(client, request(MEDICINE)) == {"cards": []}


def test_the_request_is_refused_when_healthchain_drops_the_orders(client: FlaskClient) -> None:
    body = request()
    body["context"] = {"userId": "Practitioner/1", "patientId": "f000", "encounterId": "e1"}
    assert "draftOrders" in refused(post(client, body), 400, "CDS-101")["details"]["text"]


def test_data_is_asked_for_when_the_crd_request_generator_sends_its_own_keys_only(client: FlaskClient) -> None:
    coverage = [resource for resource in resources() if resource["resourceType"] == "Coverage"]
    body = request(prefetch={"coverageBundle": searchset(*coverage), "serviceRequestBundle": searchset(draft())})
    body["fhirServer"] = "https://unknown.example.org/fhir"
    body["fhirAuthorization"] = {"access_token": "", "token_type": "Bearer"}
    body["extension"] = {"davinci-crd.configuration": {"no-such-code": True}}
    body["context"]["encounterId"] = "none"
    refused(post(client, body), 412, "CDS-103")


def test_no_authorization_is_sent_when_the_crd_request_generator_has_an_empty_token(app: Flask) -> None:
    def answer(handler: Handler) -> None:
        handler.reply(page())

    with misbehaving(answer) as server:
        body = request(prefetch={}, fhirServer=server.base, fhirAuthorization={"access_token": ""})
        assert post(app.test_client(), body).status_code == 200
        assert server.seen
        assert not any("Authorization" in seen.headers for seen in server.seen)


def test_the_same_is_answered_when_everything_is_fetched(client: FlaskClient) -> None:
    record = [resource for resource in resources() if resource != draft()]

    def answer(handler: Handler) -> None:
        kind, _, name = handler.path.partition("?")[0].removeprefix("/fhir/").partition("/")
        mine = [resource for resource in record if resource["resourceType"] == kind]
        handler.reply(next(resource for resource in mine if resource["id"] == name) if name else page(*mine))

    with misbehaving(answer) as server:
        body = request(prefetch=None, fhirServer=server.base, fhirAuthorization={"access_token": TOKEN})
        fetched = answered(client, body)
        assert {seen.headers["Authorization"] for seen in server.seen} == {f"Bearer {TOKEN}"}
    assert assessment(fetched) == assessment(answered(client, request()))


# ----------------------------------------------------------------------------------------------- several orders


def test_each_order_has_its_own_cards_when_there_are_several(client: FlaskClient) -> None:
    answer = answered(client, request(draft(id="one"), draft(id="two")))
    about = [card["extension"]["davinci-crd.associated-resource"][0]["reference"] for card in answer["cards"]]
    assert about == ["ServiceRequest/one"] * 3 + ["ServiceRequest/two"] * 3
    assert [found["order"] for found in answer["extension"]["example.therapy-cds.assessments"]] == [
        "ServiceRequest/one",
        "ServiceRequest/two",
    ]


@pytest.mark.parametrize("order", [LAB, MEDICINE, draft(doNotPerform=True)])
def test_there_is_nothing_to_say_when_an_order_is_no_therapy(client: FlaskClient, order: Json) -> None:
    assert answered(client, request(order))["cards"] == []


def test_therapy_alone_is_weighed_when_the_basket_is_mixed(client: FlaskClient) -> None:
    answer = answered(client, request(LAB, MEDICINE, draft()))
    assert len(answer["extension"]["example.therapy-cds.assessments"]) == 1
    assert len(answer["cards"]) == 3


def test_the_others_are_weighed_and_it_is_said_when_one_order_has_no_code(client: FlaskClient) -> None:
    answer = answered(client, request(draft(code=None), draft()))
    assert len(answer["cards"]) == 4
    assert "has no code" in answer["cards"][-1]["summary"]


# ----------------------------------------------------------------------------------------------------- faults


def test_one_order_fails_alone_when_a_criterion_has_a_fault(
    tampered: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from cds.rules.criteria import KINDS

    kind = KINDS["visits-within"]

    def faulty(case: Any, params: Any) -> Any:
        if case.order.reference == "ServiceRequest/one":
            raise ZeroDivisionError
        return kind.test(case, params)

    monkeypatch.setitem(KINDS, "visits-within", type(kind)(kind.name, faulty, kind.facts))
    answer = answered(tampered, request(draft(id="one"), draft(id="two")))
    first, second = (assessment(answer, index) for index in (0, 1))
    assert (first["outcome"], second["outcome"]) == ("insufficient-information", "criteria-not-met")
    told = [card for card in answer["cards"] if "one" in json.dumps(card["extension"])]
    assert len(told) == 1
    assert "fault" in told[0]["summary"] + told[0]["detail"]
    assert "ZeroDivisionError" in caplog.text


def test_the_call_fails_with_an_outcome_when_the_service_has_a_fault(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def faulty(*_: Any) -> Any:
        raise KeyError(TOKEN)

    monkeypatch.setattr("hooks.callers.ordering.read_orders", faulty)
    issue = refused(post(client, request()), 500, "CDS-000")
    assert issue["code"] == "exception"
    assert any(record.levelno == logging.ERROR for record in caplog.records)


# -------------------------------------------------------------------------------------------------- mutations

_ATOMS: list[Any] = [
    None, "", "x", 0, -1, 1e300, 10**30, True, [], {}, [None], [{}], [[]], "2025-02-30", "0001-01-01", "9999-12-31",
    "2025", "\u202e\x00<script>", {"coding": [{}]}, {"coding": [None]}, {"coding": {}}, {"reference": 5},
    {"resourceType": "Bundle"}, [{"resource": {"resourceType": "ServiceRequest"}}], "Patient/f000", {"value": "x"},
]  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        found += _places(member, (*path, key))
    return found


def _small() -> Json:
    record = [r for r in resources() if r["resourceType"] not in ("Encounter", "Procedure")]
    record += [r for r in resources() if r["resourceType"] in ("Encounter", "Procedure")][:4]
    return request(record=record)


BASE = _small()
PLACES = _places(BASE)
IN_CONTEXT = [place for place in PLACES if place[0] != "prefetch"]


def _mutated(body: Json, changes: list[tuple[tuple[Any, ...], Any]]) -> Json:
    copy: Json = json.loads(json.dumps(body))
    for path, value in changes:
        target: Any = copy
        try:
            for key in path[:-1]:
                target = target[key]
            if value == "(gone)":
                del target[path[-1]]
            else:
                target[path[-1]] = deepcopy(value)  # later changes may reach into it
        except (KeyError, IndexError, TypeError):
            continue
    return copy


CHANGE = st.tuples(
    st.one_of(st.sampled_from(PLACES), st.sampled_from(IN_CONTEXT)), st.one_of(st.sampled_from([*_ATOMS, "(gone)"]))
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGE, min_size=1, max_size=4))
def test_it_is_cards_or_a_clear_refusal_when_a_request_is_changed_at_random(
    client: FlaskClient, changes: list[tuple[tuple[Any, ...], Any]]
) -> None:
    response = post(client, _mutated(BASE, changes))
    body = response.get_json()
    assert response.status_code in (200, 400, 404, 412, 422), response.get_data(as_text=True)
    if response.status_code == 200:
        assert isinstance(body["cards"], list)
        assert all(0 < len(card["summary"]) < 140 for card in body["cards"])
    else:
        refused(response, response.status_code)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_a_clear_answer_when_bytes_are_changed_at_random(client: FlaskClient, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test's dice
    raw = bytearray(GOOD.encode())
    for _ in range(chance.randrange(1, 8)):
        raw[chance.randrange(len(raw))] = ord(chance.choice(string.printable))
    response = post(client, bytes(raw))
    assert response.status_code in (200, 400, 412, 422)
    assert "cards" in response.get_json() or response.get_json()["resourceType"] == "OperationOutcome"
