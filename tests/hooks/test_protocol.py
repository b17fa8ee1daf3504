"""A hook request as the service reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cds.errors import MalformedRequest
from hooks.protocol import HookRequest, parse_request
from tests.hooks.calls import TOKEN, Json, draft, request, with_context


def parsed(body: Json) -> HookRequest:
    return parse_request(json.dumps(body).encode(), "order-sign")


def test_each_member_is_read_when_a_request_is_whole() -> None:
    authorization = {"access_token": TOKEN, "token_type": "Bearer"}
    hook = parsed(
        request(fhirServer="https://ehr.example.org/fhir", fhirAuthorization=authorization, extension={"a": 1})
    )
    assert (hook.hook, hook.patient, hook.user) == ("order-sign", "f000", "Practitioner/example")
    assert (hook.fhir_server, hook.access_token) == ("https://ehr.example.org/fhir", TOKEN)
    assert hook.extension == {"a": 1}
    assert [where for where, _ in hook.drafts()] == ["context.draftOrders.entry[0].resource"]
    assert hook.drafts()[0][1] == draft()


def test_no_token_shows_when_a_request_is_printed() -> None:
    hook = parsed(request(fhirServer="https://e.example.org", fhirAuthorization={"access_token": TOKEN}))
    assert TOKEN not in repr(hook)
    assert "f000-encounter" not in repr(hook)


@pytest.mark.parametrize("authorization", [None, {}, {"access_token": ""}, {"token_type": "Bearer"}])
def test_there_is_no_token_when_none_was_sent(authorization: Json | None) -> None:
    body = request(fhirServer="https://ehr.example.org")
    body["fhirAuthorization"] = authorization
    assert parsed(body).access_token is None


def test_prefetch_stays_as_it_was_sent_when_a_request_is_read() -> None:
    hook = parsed(request(prefetch={"a": {"x": [1, 2]}, "b": None}))
    assert {key: json.loads(bytes(raw)) for key, raw in hook.prefetch.items()} == {"a": {"x": [1, 2]}, "b": None}


def test_members_that_nobody_knows_are_ignored_when_a_request_is_read() -> None:
    body = with_context(request(somethingNew={"a": 1}), selections=["x"], alsoNew=5)
    assert parsed(body).patient == "f000"


def test_the_patient_is_the_same_when_the_context_names_a_reference() -> None:
    assert parsed(with_context(request(), patientId="Patient/f000")).patient == "f000"


@pytest.mark.parametrize("optional", ["fhirServer", "fhirAuthorization", "prefetch", "extension"])
def test_a_member_is_as_good_as_missing_when_it_is_null(optional: str) -> None:
    body: dict[str, Any] = request()
    body[optional] = None
    assert parsed(body).hook == "order-sign"


def test_orders_are_known_by_their_url_when_entries_have_one() -> None:
    body = request()
    body["context"]["draftOrders"]["entry"][0]["fullUrl"] = "urn:uuid:1"
    assert parsed(body).aliases() == {"urn:uuid:1": "ServiceRequest/f000-order"}


def test_the_value_is_not_repeated_when_a_member_is_wrong() -> None:
    with pytest.raises(MalformedRequest) as caught:
        parsed(request(hookInstance="Jane Doe"))
    assert "Jane" not in str(caught.value)
    assert caught.value.where == "hookInstance"
    assert caught.value.remedy


def test_the_same_bytes_give_the_same_request_when_they_are_pretty_printed() -> None:
    body = request()
    pretty = parse_request(json.dumps(body, indent=3).encode(), "order-sign")
    assert pretty.context == parsed(body).context
    assert json.loads(bytes(pretty.prefetch["encounters"])) == body["prefetch"]["encounters"]
