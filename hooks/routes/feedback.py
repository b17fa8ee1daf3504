"""`POST /cds-services/{id}/feedback`: what became of the cards (CDS Hooks 2.0.1, Feedback)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from flask import Blueprint, Response, current_app, g, jsonify, request
from flask.typing import ResponseReturnValue

from cds.errors import UnknownService
from cds.ledger.ledger import FEEDBACK
from hooks.body import read_body
from hooks.feedback import outcome_of, parse_feedback, read_feedback
from hooks.routes.discovery import HOOKS

if TYPE_CHECKING:
    from hooks.app import Deployment

log = logging.getLogger(__name__)
blueprint = Blueprint("feedback", __name__)


@blueprint.post("/cds-services/<service_id>/feedback")
def take(service_id: str) -> ResponseReturnValue:
    """Put feedback on record, all good items of a body in one entry.

    200 with an empty object; 400 with an OperationOutcome where an item is bad, the good ones being kept all the
    same; 404 for an unknown service; 503 where the ledger is away, and then nothing is kept.
    """
    if service_id not in HOOKS:
        raise UnknownService(
            "There is no such service to take feedback", where="URL", remedy="GET /cds-services lists the services"
        )
    deployment: Deployment = current_app.extensions["therapy-cds"]
    client = g.client.name
    read = read_feedback(parse_feedback(read_body(request)), service_id, client, deployment.ledger.find)
    if read.items:
        deployment.ledger.add(FEEDBACK, {"service": service_id, "client": client, "items": read.items})
    # Comments may name somebody: only numbers are logged.
    log.info("feedback on %s: %d kept, %d refused", service_id, len(read.items), len(read.issues))
    return _answer(outcome_of(read), 400) if read.issues else _answer({}, 200)


def _answer(body: dict[str, object], status: int) -> tuple[Response, int]:
    return jsonify(body), status
