"""What real clients put on the wire, each behaviour once, and what comes back.

Observed by running them against a stub that logs: the public CDS Hooks Sandbox, the CRD request generator, HealthChain.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import NamedTuple

import pytest
from flask.testing import FlaskClient
from markdown_it import MarkdownIt

from hooks.app import create_app
from hooks.settings import Settings
from tests.cds.ehr.misbehaving import Handler, misbehaving, searchset
from tests.conformance.test_examples import read
from tests.hooks.calls import (
    ORIGIN,
    URL,
    Json,
    answered,
    assessment,
    draft,
    post,
    prefetch,
    refused,
    request,
    resources,
    templates,
    with_context,
    with_prefetch,
)
from tests.hooks.hook_calls import on
from tests.hooks.signing import bearer, claims, token

FEEDBACK = f"{URL}/feedback"
CONTRAINDICATED: Json = {
    "resourceType": "Condition",
    "id": "dvt",
    "clinicalStatus": {"coding": [{"code": "active"}]},
    "code": {
        "coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I82.402"}],
        "text": "<img src=x onerror=alert(1)> [tell](javascript:alert(1))",
    },
    "subject": {"reference": "Patient/f001"},
}


class Behaviour(NamedTuple):
    """What a client does (its number there), how to see what becomes of it, and what has to."""

    client: str
    number: int
    does: str
    observed: Callable[[FlaskClient], object]
    expected: object


def preflight(client: FlaskClient) -> object:
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    asked = [client.options(url, headers={"Origin": ORIGIN, **asking}) for url in ("/cds-services", URL, FEEDBACK)]
    error = post(client, b"no")
    return [(r.status_code, r.headers["Access-Control-Allow-Origin"]) for r in (*asked, error)]


def bounds(client: FlaskClient) -> object:
    """How often a template names a parameter at most, and whether visits long over count that a search let through."""
    names = [[pair.partition("=")[0] for pair in t.partition("?")[2].split("&")] for t in templates().values()]
    long_ago = deepcopy(next(r for r in resources("f001") if r["resourceType"] == "Encounter"))
    long_ago |= {"id": "long-ago", "period": {"start": "2015-01-05", "end": "2015-01-05"}}
    more = answered(client, request(name="f001", record=[*resources("f001"), long_ago]))
    same = assessment(more)["visits"] == assessment(answered(client, request(name="f001")))["visits"]
    return max(each.count(name) for each in names for name in each), same


def left_out(client: FlaskClient) -> object:
    """Without what is a supplement the order is weighed; without what is indispensable it is said which key to send."""
    body = request()
    without = {
        key: value for key, value in body["prefetch"].items() if key not in ("goals", "documents", "claimResponses")
    }
    weighed = assessment(answered(client, body | {"prefetch": without}))["outcome"]
    missing = {key: value for key, value in body["prefetch"].items() if key != "encounters"}
    return weighed, refused(post(client, body | {"prefetch": missing}), 412)["expression"]


def shapes(client: FlaskClient) -> object:
    record = read("record")
    found = []
    for name in ("sandbox", "sandbox-no-reason", "sandbox-medication", "sandbox-no-code"):
        body = read(name)
        response = post(client, body | {"prefetch": record | body.get("prefetch", {})})
        found.append((response.status_code, len(response.get_json().get("extension", {}))))
    return found


def select_as_sign(client: FlaskClient) -> object:
    body = with_context(request(), selections=["ServiceRequest/f000-order"])
    response = post(client, body, "/cds-services/order-select-therapy")
    return response.status_code, assessment(response.get_json())["outcome"]


def nobody(client: FlaskClient) -> object:
    body = with_context(request(), userId="Practitioner/nobody", encounterId=None)
    return assessment(answered(client, body))["outcome"]


def rendered(client: FlaskClient) -> object:
    """Whether markup in the words of a record is still markup when the detail is shown as markdown with HTML."""
    card = answered(client, request(name="f001", record=[*resources("f001"), CONTRAINDICATED]))["cards"][0]
    shown = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(card["detail"])
    return card["indicator"], "&lt;img" in shown, "<img" in shown or "<a " in shown


def own_token(client: FlaskClient) -> object:
    """The sandbox signs for itself: nobody here knows its issuer, and its keys are never asked for."""
    found = []
    for method, path in (("GET", "/cds-services"), ("POST", URL), ("POST", FEEDBACK)):
        said = claims(path, iss="http://localhost:8080/", aud=f"http://127.0.0.1:8000{path}")
        headers = bearer(token(said, header={"jku": "http://127.0.0.1:9/.well-known/jwks.json"}))
        body = None if method == "GET" else {"feedback": []} if path == FEEDBACK else request()
        found.append(client.open(path, method=method, json=body, headers=headers).status_code)
    return found


def reported(client: FlaskClient) -> object:
    """Every card and suggestion has a uuid; it is told of a suggestion that was taken, and of cards dismissed."""
    cards = answered(client, request())["cards"]
    offers = [offer for card in cards for offer in card.get("suggestions", ())]
    uuids = all("uuid" in each for each in (*cards, *offers))
    when = "2025-03-10T09:00:00.000Z"
    taken = next(card for card in cards if card.get("suggestions"))
    said = {"card": taken["uuid"], "outcome": "accepted", "outcomeTimestamp": when}
    said["acceptedSuggestions"] = [{"id": taken["suggestions"][0]["uuid"]}]
    dismissed = {"card": cards[0]["uuid"], "outcome": "overridden", "outcomeTimestamp": when}
    return uuids, [post(client, {"feedback": [each]}, FEEDBACK).status_code for each in (said, dismissed)]


def actions_place(client: FlaskClient) -> object:
    """System actions stand where the standard has them, once: such a client does not see them, and shows the cards."""
    asked = {"davinci-crd.configuration": {"coverage-info": True}}
    answer = answered(client, request(extension=asked))
    return len(answer["systemActions"]), "systemActions" in answer["extension"], len(answer["cards"])


def smart_link(_: FlaskClient) -> object:
    """The address that the client hands to its FHIR server's launch endpoint: whole, and of the app alone."""
    client = create_app(Settings(smart_links=True)).test_client()
    with misbehaving(lambda handler: handler.reply(searchset())) as server:
        cards = answered(client, request(fhirServer=server.base))["cards"]
    (link,) = [link for card in cards for link in card.get("links", ())]
    return link["type"], link["url"], len(link["appContext"])


def launched(_: FlaskClient) -> object:
    """With scopes of version 1 and no `patient` the token is used all the same."""
    access = {"access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "subject": "therapy-cds"}
    return asked_with(access | {"scope": "patient/*.* user/*.* launch openid"})


# ------------------------------------------------------------------------------------- the request generator


def asked_with(authorization: Json) -> object:
    """What a call with this access comes out as, and which Authorization its searches carried."""
    held = resources()

    def reply(handler: Handler) -> None:
        kind = handler.path.removeprefix("/fhir/").partition("?")[0].partition("/")[0]
        handler.reply(searchset(*(each for each in held if each["resourceType"] == kind)))

    client = create_app(Settings()).test_client()
    with misbehaving(reply) as server:
        sent = request(fhirServer=server.base, fhirAuthorization=authorization, prefetch={})
        outcome = assessment(answered(client, sent))["outcome"]
        return outcome, {seen.headers.get("Authorization") for seen in server.seen}


def own_keys(client: FlaskClient) -> object:
    """Its own prefetch keys tell nothing; what is needed is asked for by name, or of the FHIR server."""
    return refused(post(client, read("request-generator")), 412, "CDS-103")["code"]


def same_instance(client: FlaskClient) -> object:
    return [post(client, request()).status_code for _ in range(2)]


def odd_configuration(client: FlaskClient) -> object:
    odd = {"davinci-crd.configuration": {"max-cards": 10, "alt-drug": True, "coverage": True}}
    return {key for key in answered(client, request(extension=odd)) if key != "cards"}


def put(client: FlaskClient) -> object:
    """What it would PUT or POST to the FHIR server: whole resources, those of updates by their own id."""
    offers = [offer for card in answered(client, request())["cards"] for offer in card.get("suggestions", ())]
    sent = [action for offer in offers for action in offer["actions"] if "resource" in action]
    whole = all(action["resource"].get("resourceType") for action in sent)
    return whole, {action["resource"]["id"] for action in sent if action["type"] == "update"} <= {draft()["id"]}


BEHAVIOURS = (
    Behaviour("sandbox", 1, "asks first, from a browser, and needs CORS on errors", preflight,
              [(200, ORIGIN)] * 3 + [(400, ORIGIN)]),
    Behaviour("sandbox", 2, "turns two bounds of one parameter into an OR", bounds, (1, True)),
    Behaviour("sandbox", 3, "leaves out prefetch keys that failed", left_out,
              ("criteria-not-met", ["prefetch"])),
    Behaviour("sandbox", 4, "sends draft orders of odd shapes", shapes, [(200, 1), (200, 1), (200, 0), (422, 0)]),
    Behaviour("sandbox", 5, "calls order-select services in the words of order-sign", select_as_sign,
              (200, "criteria-not-met")),
    Behaviour("sandbox", 6, "has no encounter and a user that nobody knows", nobody, "criteria-not-met"),
    Behaviour("sandbox", 7, "shows details as markdown and as HTML", rendered, ("critical", True, False)),
    Behaviour("sandbox", 8, "signs everything with a key of its own", own_token, [200, 200, 200]),
    Behaviour("sandbox", 9, "reports by uuid, and overrides without a reason", reported, (True, [200, 200])),
    Behaviour("sandbox", 10, "looks for system actions in another place", actions_place, (1, False, 3)),
    Behaviour("sandbox", 11, "has its FHIR server make a launch of a SMART link", smart_link,
              ("smart", "http://127.0.0.1:8000/smart/launch", 36)),
    Behaviour("sandbox", 12, "sends scopes of version 1 and no patient", launched,
              ("criteria-not-met", {"Bearer opaque"})),
    Behaviour("request generator", 1, "sends prefetch keys of its own only", own_keys, "required"),
    Behaviour("request generator", 2, "uses one hookInstance for every call", same_instance, [200, 200]),
    Behaviour("request generator", 3, "has no access token", lambda _: asked_with({"access_token": ""}),
              ("criteria-not-met", {None})),
    Behaviour("request generator", 4, "configures what nobody offered", odd_configuration, {"extension"}),
    Behaviour("request generator", 5, "sends what a suggestion holds to the FHIR server", put, (True, True)),
    Behaviour("HealthChain", 1, "drops the draft orders",
              lambda client: refused(post(client, read("healthchain")), 400, "CDS-101")["expression"], ["context"]),
)  # fmt: skip


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda each: f"{each.client} {each.number}: {each.does}")
def test_it_is_answered_as_the_table_says_when_a_client_behaves_as_it_does(
    client: FlaskClient, behaviour: Behaviour
) -> None:
    with on("2025-03-10"):
        assert behaviour.observed(client) == behaviour.expected


def test_each_behaviour_stands_once_when_the_table_is_read() -> None:
    named = [(each.client, each.number) for each in BEHAVIOURS]
    assert len(set(named)) == len(named)
    assert {number for name, number in named if name == "sandbox"} == set(range(1, 13))


def test_the_request_generators_own_keys_are_read_when_the_hook_refers_to_orders(client: FlaskClient) -> None:
    order = draft(status="active")
    body = with_prefetch(request(hook="order-dispatch"), serviceRequestBundle=searchset(order), **prefetch(resources()))
    context = {
        "patientId": "f000",
        "dispatchedOrders": [f"ServiceRequest/{order['id']}"],
        "performer": "Organization/x",
    }
    with on("2025-03-10"):
        response = post(client, body | {"context": context}, "/cds-services/order-dispatch-therapy")
    assert assessment(response.get_json())["order"] == f"ServiceRequest/{order['id']}"
