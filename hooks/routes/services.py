"""`POST /cds-services/{id}`: one call, from body to cards."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec
from flask import Blueprint, Response, current_app, g, request

from cds.ehr.client import Deadline, FhirClient
from cds.ehr.gather import NO_SERVER, EhrSource
from cds.errors import UnknownService
from cds.ledger.evidence import RecordingSource
from cds.model import Assessment
from cds.service import Asked, Ports, assess_orders
from hooks.asking import Tools
from hooks.auth import DEVELOPMENT
from hooks.body import read_body
from hooks.callers import CALLERS, Remembered
from hooks.callers.warmth import Warmed
from hooks.cards import CardMaker, View
from hooks.configuration import Configuration, read_configuration
from hooks.coverage_information import Informing, contact_points, system_actions
from hooks.coverage_stance import check_coverages, payers_of
from hooks.protocol import HookRequest, parse_request
from hooks.recording import put_on_record
from hooks.routes.discovery import HOOKS, prefetch_templates
from hooks.smart.app import has_link

if TYPE_CHECKING:
    from hooks.app import Deployment

blueprint = Blueprint("services", __name__)
log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@blueprint.post("/cds-services/<service_id>")
def call(service_id: str) -> Response:
    """Answer one hook call with cards; every failure is an error status with an OperationOutcome."""
    deployment: Deployment = current_app.extensions["therapy-cds"]
    if service_id not in HOOKS:
        raise UnknownService(
            f"There is no service '{service_id}'" if _NAME.fullmatch(service_id) else "There is no such service",
            where="URL",
            remedy="GET /cds-services lists the services",
        )
    began = datetime.now(UTC)
    g.body = read_body(request)
    hook_request = parse_request(g.body, HOOKS[service_id])
    if hook_request.hook != HOOKS[service_id]:
        _tell_once(service_id, hook_request.hook)
    payload = answer(hook_request, deployment, _today(deployment), service_id, began)
    return Response(payload, content_type="application/json")


def answer(hook: HookRequest, deployment: Deployment, today: date, service_id: str, began: datetime) -> bytes:
    """The body of one call's response, which is on record when this returns, with the digest of these very bytes."""
    configuration = read_configuration(hook.extension, deployment.settings.role, g.client.configuration)
    caller = CALLERS[hook.hook]
    ehr = _source(hook, deployment)
    source = RecordingSource(Remembered(Warmed(ehr, hook, deployment.warmth)))
    policies = caller.part_of(deployment.policies)
    ports = Ports(deployment.terms, policies, source, deployment.settings.time_zone)
    question = caller.ask(hook, ports, today)
    asked = Asked(hook.patient, question.orders, today, question.as_of, days=question.days)
    assessments = tuple(replace(each, id=str(uuid4())) for each in assess_orders(asked, ports))
    ehr.learn()
    settings = deployment.settings
    if settings.is_payer:
        check_coverages(assessments, payers_of(deployment.policies, settings.payer_identifiers))
    reasons = deployment.terms.override_reasons
    maker = CardMaker(
        settings.base_url, reasons, today, _new_id, configuration, settings.payer_name, question.view,
        has_app=has_link(deployment.smart, settings, hook.fhir_server),
    )  # fmt: skip
    response = maker.response(assessments, question.told)
    # An assessment of a part of the criteria says nothing of coverage.
    told = _with_subjects(assessments, question.view) if question.view.whole and configuration.coverage_info else ()
    if actions := system_actions(told, _informing(deployment, today, configuration)):
        response["systemActions"] = actions  # left out where there is nothing to say: no member may be empty
    # Not jsonify: an order that is sent back keeps the order of its members, and this is quicker.
    payload = msgspec.json.encode(response)
    put_on_record(
        deployment, hook, service=service_id, client=g.client, began=began,
        milliseconds=(datetime.now(UTC) - began).total_seconds() * 1000, asked=asked, aliases=question.aliases,
        source=source, assessments=assessments, problems=question.told, response=response, payload=payload,
        templates=_templates(deployment, hook.hook), kinds=caller.kinds,
    )  # fmt: skip
    return payload


def _templates(deployment: Deployment, hook: str) -> Mapping[str, str]:
    """What discovery asks for, worked out once for each hook of this application."""
    known: dict[str, Mapping[str, str]] = current_app.extensions.setdefault("therapy-cds-templates", {})
    if hook not in known:
        known[hook] = prefetch_templates(deployment.policies, deployment.terms, hook)
    return known[hook]


def _new_id() -> str:
    return str(uuid4())


def _with_subjects(assessments: Sequence[Assessment], view: View) -> list[Assessment]:
    """Each assessment once for each resource of the context that coverage information is put on."""
    return [
        replace(each, order=replace(each.order, resource=resource))
        for each in assessments
        for resource in view.subjects(each)
    ]


def _informing(deployment: Deployment, today: date, configuration: Configuration) -> Informing:
    """What the coverage information of one answer is made with."""
    settings = deployment.settings
    return Informing(
        tools=Tools(today, _new_id, settings.base_url),
        assertion_id=lambda _: _new_id(),
        policies={policy.id: policy for policy in deployment.policies},
        version=configuration.version,
        payer=settings.payer_name,
        contact=contact_points(settings.payer_contact),
    )


@lru_cache(maxsize=64)
def _tell_once(service_id: str, said: str) -> None:
    """A client that mixes up hooks does so on every call: one line in the log is enough."""
    log.info("%s is called with bodies that say %s, and answers those", service_id, said)


def _today(deployment: Deployment) -> date:
    """Today where the site is; the clock is read here and nowhere below."""
    return datetime.now(deployment.settings.time_zone).astimezone(deployment.settings.time_zone).date()


def _source(hook: HookRequest, deployment: Deployment) -> EhrSource:
    """Where this call's evidence comes from. `fhirServer` is never trusted by itself: it must be allowed."""
    deadline = Deadline.after(deployment.settings.deadline_seconds)
    client = None
    why = NO_SERVER
    if hook.fhir_server is not None:
        if not deployment.settings.allows(hook.fhir_server):
            why = "the EHR did not send it, and its FHIR server is not on this service's list of allowed servers"
        elif not g.client.may_name(hook.fhir_server):
            why = "the EHR did not send it, and the FHIR server that it named is not on its own list"
        else:
            server = deployment.servers.at(hook.fhir_server)
            own_access = g.client is DEVELOPMENT or g.client.owns(hook.fhir_server)
            token = hook.access_token
            client = FhirClient(deployment.session, hook.fhir_server, token, server, own_access=own_access)
    return EhrSource(hook.patient, hook.prefetch, client, deployment.pool, deadline, why)
