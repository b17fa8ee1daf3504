"""Errors become a status and an OperationOutcome (CRD 2.2.1 hook-9 to hook-14, CDS Hooks 3.0 errors).

Nothing becomes an empty list of cards: a failure is said as a failure.
"""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, Response, g, jsonify
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from cds.errors import (
    CdsError,
    InputError,
    MalformedRequest,
    MissingData,
    TechnicalError,
    TooLarge,
    TooMany,
    UnknownService,
    UnsupportedVersion,
    UnusableCoverage,
    UnusableOrder,
)

log = logging.getLogger(__name__)
STATUS: tuple[tuple[type[CdsError], int, str], ...] = (
    (MalformedRequest, 400, "invalid"),
    (UnknownService, 404, "not-found"),
    (MissingData, 412, "required"),
    (TooLarge, 413, "too-long"),
    (UnusableOrder, 422, "business-rule"),
    (TooMany, 422, "too-costly"),
    (UnsupportedVersion, 422, "not-supported"),
    (UnusableCoverage, 400, "business-rule"),
    (InputError, 400, "invalid"),
    (TechnicalError, 503, "transient"),
    (CdsError, 500, "exception"),
)
_HTTP_CODES = {
    404: "not-found",
    405: "not-supported",
    413: "too-long",
    415: "not-supported",
    401: "login",
    403: "forbidden",
}


def operation_outcome(code: str, text: str, where: str = "", cds_code: str = "") -> dict[str, Any]:
    """An OperationOutcome with one error (hl7.org/fhir/R4/operationoutcome.html)."""
    issue: dict[str, Any] = {
        "severity": "error",
        "code": code,
        "details": {"text": text},
        "diagnostics": text,
    }
    if cds_code:
        system = "https://therapy-cds.example/CodeSystem/errors"
        issue["details"] = {"coding": [{"system": system, "code": cds_code}], "text": text}
    if where:
        issue["expression"] = [where]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def register(app: Flask) -> None:
    """Map every exception of a request to its answer, in one place."""

    @app.errorhandler(CdsError)
    def _cds_error(error: CdsError) -> tuple[Response, int]:
        g.error = error
        status, code = next((status, code) for kind, status, code in STATUS if isinstance(error, kind))
        log.info("answered %d: %s %s", status, error.code, error.what if status >= 500 else type(error).__name__)
        return jsonify(operation_outcome(code, str(error), error.where, error.code)), status

    @app.errorhandler(RequestEntityTooLarge)
    def _too_large(error: RequestEntityTooLarge) -> tuple[Response, int]:
        most = app.config["MAX_CONTENT_LENGTH"] // 2**20
        problem = TooLarge(
            f"The body is larger than {most} MiB",
            where="body",
            remedy="Send less prefetch; the service fetches what it needs",
        )
        return _cds_error(problem)

    @app.errorhandler(HTTPException)
    def _http_error(error: HTTPException) -> tuple[Response, int]:
        status = error.code or 500
        text = {404: "There is nothing at this address", 405: "This address does not take this method"}
        outcome = operation_outcome(_HTTP_CODES.get(status, "processing"), text.get(status, error.name))
        response = jsonify(outcome)
        for name, value in error.get_headers():
            if name not in ("Content-Type", "Content-Length"):
                response.headers[name] = value
        return response, status

    @app.errorhandler(Exception)
    def _unexpected(error: Exception) -> tuple[Response, int]:
        log.exception("a call failed")
        text = "The service failed on this call; nothing was decided. The operator finds the cause in the log"
        return jsonify(operation_outcome("exception", text, cds_code=CdsError.code)), 500
