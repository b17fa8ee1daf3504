"""The EHR's side of CDS Hooks over HTTP: discovery, prefetch, order-sign, feedback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hooks.sandbox.ehr import (
    assessments_of,
    cards_of,
    context_of,
    feedback_item,
    only_of,
    queries_of,
    references_of,
    sign_request,
)
from hooks.sandbox.errors import InputError, RefusalError, SandboxError
from hooks.sandbox.http import Answer, FhirServer, ask, outcome_text
from hooks.sandbox.identity import Identity

Json = dict[str, Any]
# From the request of a well-behaved EHR, and the service's prefetch templates, to the request that is posted.
Change = Callable[[Json, dict[str, str]], Json]
HTTP_OK = 200
NOT_FOUND = 404


@dataclass(frozen=True)
class Service:
    """A CDS service as discovery tells of it."""

    id: str
    hook: str
    title: str = ""
    prefetch: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Exchange:
    """One order-sign call: what was sent, and what came back.

    Attributes:
        service: the service's id.
        url: where the request was posted.
        request: the request's body.
        status: the HTTP status of the answer.
        response: the answer's body.
        seconds: how long the answer took.
        left_out: why each prefetch key that is not in the request was left out.
    """

    service: str
    url: str
    request: Json
    status: int
    response: Any
    seconds: float
    left_out: dict[str, str]

    @property
    def problem(self) -> RefusalError | None:
        """The refusal, when the answer is no list of cards."""
        where = f"the CDS service {self.service}"
        if self.status != HTTP_OK:
            return RefusalError(self.status, outcome_text(self.response), where)
        if not isinstance(self.response, dict) or not isinstance(self.response.get("cards"), list):
            return RefusalError(502, "the answer holds no list of cards", where)
        return None

    @property
    def cards(self) -> list[Json]:
        """The cards of the answer."""
        return cards_of(self.response)

    @property
    def assessments(self) -> list[Json]:
        """The assessments behind the cards, when the service tells them."""
        return assessments_of(self.response)


def discover(service_url: str, hook: str = "order-sign", identity: Identity | None = None) -> list[Service]:
    """List the services that answer a hook; the call is signed where there is an identity.

    Raises:
        InputError: there is no such service at that URL.
        RefusalError: discovery was refused.
    """
    url = f"{service_url.rstrip('/')}/cds-services"
    answer = ask("GET", url, token=identity.token(url) if identity else "")
    if answer.status != HTTP_OK:
        raise RefusalError(answer.status, outcome_text(answer.body), f"discovery at {service_url}")
    listed = answer.body.get("services") if isinstance(answer.body, dict) else None
    found = [_service(item) for item in listed or [] if isinstance(item, dict) and item.get("hook") == hook]
    if not found:
        raise InputError(f"{service_url} lists no {hook} service; give the base URL above /cds-services")
    return found


def _service(item: Json) -> Service:
    prefetch = item.get("prefetch")
    return Service(
        id=str(item.get("id", "")),
        hook=str(item.get("hook", "")),
        title=str(item.get("title", "")),
        prefetch={key: str(value) for key, value in prefetch.items()} if isinstance(prefetch, dict) else {},
    )


def prefetch_for(service: Service, fhir: FhirServer, context: Json) -> tuple[Json, dict[str, str]]:
    """Run the service's prefetch queries; what cannot be had is left out, and why is told beside it."""
    queries, left_out = queries_of(service.prefetch, context)
    results: dict[str, Json] = {}
    found: Json = {}
    for key, query in queries.items():
        try:
            if query not in results:
                results[query] = only_of(fhir.read(query), context["patientId"])
            found[key] = results[query]
        except SandboxError as error:
            left_out[key] = str(error)
    return found, left_out


def as_built(request: Json, templates: dict[str, str]) -> Json:
    """Change nothing: what an EHR does that behaves."""
    return request


def sign(
    service_url: str,
    fhir: FhirServer,
    patient_id: str,
    drafts: Sequence[Json],
    change: Change = as_built,
    identity: Identity | None = None,
) -> list[Exchange]:
    """Sign draft orders: ask each order-sign service what it thinks of them.

    Args:
        service_url: the base URL of the CDS service.
        fhir: the EHR's FHIR server.
        patient_id: whose orders these are.
        drafts: the draft orders.
        change: what an EHR that misbehaves makes of the request.
        identity: who signs the calls; they carry no token without one.

    Raises:
        SandboxError: a server cannot be reached, or discovery fails. That a service refuses the request
            is no exception: its exchange tells it.
    """
    context = context_of(patient_id, drafts)
    exchanges = []
    for service in discover(service_url, identity=identity):
        prefetch, left_out = prefetch_for(service, fhir, context)
        request = change(sign_request(fhir.base, context, prefetch), service.prefetch)
        url = f"{service_url.rstrip('/')}/cds-services/{service.id}"
        answer = ask("POST", url, request, token=identity.token(url) if identity else "")
        exchanges.append(Exchange(service.id, url, request, answer.status, answer.body, answer.seconds, left_out))
    return exchanges


def send_feedback(
    service_url: str,
    service: str,
    card: str,
    *,
    suggestion: str | None = None,
    reason: Json | None = None,
    comment: str = "",
) -> str:
    """Tell the service what became of a card; say in words how it took that."""
    when = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    item = feedback_item(card, when=when, suggestion=suggestion, reason=reason, comment=comment)
    url = f"{service_url.rstrip('/')}/cds-services/{service}/feedback"
    try:
        return _feedback_words(ask("POST", url, {"feedback": [item]}))
    except SandboxError as error:
        return f"The feedback did not arrive: {error}."


def _feedback_words(answer: Answer) -> str:
    if 200 <= answer.status < 300:
        return "The service has noted it."
    if answer.status == NOT_FOUND:
        return "Feedback is not taken by this service."
    return f"The service refused the feedback ({answer.status}): {outcome_text(answer.body)}."


def orders_to_sign(drafts: Sequence[Json], patient_id: str) -> list[Json]:
    """Pick the draft orders of one patient.

    Raises:
        InputError: none of them is this patient's.
    """
    wanted = f"Patient/{patient_id}"
    found = [draft for draft in drafts if _subject(draft).endswith(wanted)]
    if not found:
        others = ", ".join(references_of(drafts)) or "none at all"
        raise InputError(f"no draft order for {wanted} (found: {others}); give one with --order FILE")
    return found


def _subject(draft: Json) -> str:
    subject = draft.get("subject") or draft.get("patient") or {}
    reference = subject.get("reference") if isinstance(subject, dict) else ""
    return f"/{reference}"
