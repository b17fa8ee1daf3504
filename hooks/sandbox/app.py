"""The sandbox EHR as a web page: one Flask application, which keeps no state of its own.

The draft orders live in the page, as an EHR's order form holds them. Each button sends them here; what
comes back are pieces of the page. The service and the FHIR server are asked from here, not by the browser.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, abort, current_app, make_response, render_template, request
from flask.typing import ResponseReturnValue

from hooks.sandbox import smart
from hooks.sandbox.actions import changes_between, take
from hooks.sandbox.chart import name_of
from hooks.sandbox.desk import Desk, edited, picture
from hooks.sandbox.errors import InputError, SandboxError
from hooks.sandbox.examples import Example
from hooks.sandbox.http import FhirServer, resources_in
from hooks.sandbox.markup import html_of
from hooks.sandbox.orders import form_of, title_of
from hooks.sandbox.show import visits_words
from hooks.sandbox.signing import Change, as_built, send_feedback, sign
from hooks.sandbox.smart import SmartEhr

Json = dict[str, Any]
HERE = Path(__file__).resolve().parent.parent
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
pages = Blueprint("sandbox", __name__)


def create_sandbox(
    service_url: str, fhir_url: str, examples: Sequence[Example], change: Change = as_built, iss: str = ""
) -> Flask:
    """Build the sandbox EHR.

    Args:
        service_url: the base URL of the CDS service that is to be tried.
        fhir_url: the base URL of the FHIR server that holds the patients.
        examples: the patients to choose from, with their draft orders.
        change: what an EHR that misbehaves makes of its requests.
        iss: the FHIR base URL at which the sandbox launches apps; it launches none without.
    """
    app = Flask(
        "hooks.sandbox",
        template_folder=str(HERE / "templates"),
        static_folder=str(HERE / "static" / "sandbox"),
        static_url_path="/static",
    )
    app.config["MAX_CONTENT_LENGTH"] = 5_000_000
    app.extensions["desk"] = Desk(
        service_url.rstrip("/"), FhirServer(fhir_url), {example.name: example for example in examples}, change
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters["markdown"] = html_of
    app.jinja_env.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    app.jinja_env.filters["name_of"] = name_of
    app.jinja_env.filters["resources_in"] = lambda bundle: len(resources_in(bundle))
    app.jinja_env.filters["title_of"] = title_of
    app.jinja_env.filters["form_of"] = form_of
    app.jinja_env.filters["visits_words"] = visits_words
    app.before_request(_only_from_here)
    app.after_request(_with_headers)
    app.register_error_handler(SandboxError, _failed)
    app.register_blueprint(pages)
    app.jinja_env.globals["launch_of"] = lambda link, patient: ""
    if iss:
        ehr = SmartEhr(iss, service_url.rstrip("/"), fhir_url.rstrip("/"))
        app.extensions["smart-ehr"] = ehr
        app.jinja_env.globals["launch_of"] = ehr.address_of
        app.register_blueprint(smart.pages)
    return app


def _desk() -> Desk:
    desk: Desk = current_app.extensions["desk"]
    return desk


def _only_from_here() -> None:
    # Another site's page may not reach the sandbox through a name that it points at this machine.
    if (request.host.rpartition(":")[0] or request.host) not in LOOPBACK:
        abort(421)


def _with_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response


def _failed(error: SandboxError) -> ResponseReturnValue:
    status = 400 if isinstance(error, InputError) else 502
    if request.method == "POST":
        return {"answer": render_template("sandbox/problem.html", problem=str(error))}, status
    return make_response(render_template("sandbox/page.html", desk=_desk(), problem=str(error)), status)


@pages.get("/")
def home() -> str:
    """Show the patients to choose from."""
    return render_template("sandbox/page.html", desk=_desk())


@pages.get("/patients/<name>")
def patient(name: str) -> str:
    """Show a patient's chart, and the order that waits to be signed."""
    desk = _desk()
    example = desk.example(name)
    chart = desk.chart(example)
    return render_template(
        "sandbox/page.html",
        desk=desk,
        example=example,
        chart=chart,
        timeline=picture(chart, example.drafts),
        drafts=example.drafts,
        changes={},
    )


@pages.post("/patients/<name>/sign")
def sign_order(name: str) -> Json:
    """Sign the order in the form: discovery, prefetch, order-sign; answer with the cards."""
    desk, body = _desk(), _body()
    example = desk.example(name)
    drafts = edited(_drafts(body), body.get("edits") or {})
    if not drafts:
        raise InputError("there is no order left to sign; start again with the example's order")
    exchanges = sign(desk.service_url, desk.fhir, example.patient_id, drafts, desk.change)
    return {
        "form": render_template("sandbox/form.html", example=example, drafts=drafts, changes={}),
        "answer": render_template("sandbox/answer.html", exchanges=exchanges),
    }


@pages.post("/patients/<name>/suggestion")
def take_suggestion(name: str) -> Json:
    """Take a suggestion: change the order, write what has to be written, tell the service."""
    desk, body = _desk(), _body()
    example, before, suggestion = desk.example(name), _drafts(body), body.get("suggestion")
    if not isinstance(suggestion, dict):
        raise InputError("suggestion: an object is wanted")
    taken = take(suggestion, before)
    done, failed = desk.confirm(taken)
    changes = changes_between(before, taken.drafts)
    feedback = ""
    if body.get("card") and suggestion.get("uuid"):
        feedback = send_feedback(
            desk.service_url, str(body.get("service")), str(body["card"]), suggestion=str(suggestion["uuid"])
        )
    notice = {"suggestion": suggestion, "changed": bool(changes), "done": done, "failed": failed}
    return {
        "changed": bool(changes),
        "form": render_template("sandbox/form.html", example=example, drafts=taken.drafts, changes=changes),
        "notice": render_template("sandbox/taken.html", **notice, feedback=feedback),
    }


@pages.post("/patients/<name>/override")
def override_card(name: str) -> Json:
    """Override a card, with the reason that was chosen, and tell the service."""
    desk, body = _desk(), _body()
    desk.example(name)
    reason = body.get("reason") if isinstance(body.get("reason"), dict) else None
    comment, feedback = str(body.get("comment") or ""), "This card has no uuid, so no feedback can name it."
    if body.get("card"):
        service, card = str(body.get("service")), str(body["card"])
        feedback = send_feedback(desk.service_url, service, card, reason=reason, comment=comment)
    said = {"reason": (reason or {}).get("display"), "comment": comment, "feedback": feedback}
    return {"notice": render_template("sandbox/overridden.html", **said)}


def _body() -> Json:
    # JSON only: a form on another site cannot send that without asking first, and nobody here answers.
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise InputError("a JSON object is wanted")
    return body


def _drafts(body: Json) -> list[Json]:
    drafts = body.get("drafts")
    if not isinstance(drafts, list) or not all(isinstance(draft, dict) for draft in drafts):
        raise InputError("drafts: a list of draft orders is wanted")
    return drafts
