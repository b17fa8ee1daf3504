"""`GET /insights`: what the ledger tells, for those who answer for the policies. No script, nothing from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, current_app, g, make_response, render_template, request

from cds.errors import CdsError, InputError, LedgerUnavailable
from cds.reporting.of_ledger import Reported, choice_of, report_of
from cds.reporting.render import words
from hooks.auth import DEVELOPMENT
from hooks.pictures import cards_picture, days_picture, outcomes_picture, prefetch_picture

if TYPE_CHECKING:
    from hooks.app import Deployment

HERE = Path(__file__).resolve().parent.parent
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
# How far back the page looks unless it is told otherwise: the whole ledger of a busy service takes long to count.
USUAL_DAYS = 30
MOST_CLIENTS = 3
blueprint = Blueprint(
    "insights", __name__, url_prefix="/insights", template_folder=str(HERE / "templates"),
    static_folder=str(HERE / "static" / "insights"), static_url_path="/static",
)  # fmt: skip


@blueprint.after_request
def _with_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response


@blueprint.get("")
def page() -> Response:
    """The page of a period (`since`, `until`: days) and perhaps of one policy (`policy`).

    A client that comes with its token sees its own figures only.
    400 where a parameter cannot be used, 503 where the ledger is away, each as a page that says so.
    """
    deployment: Deployment = current_app.extensions["therapy-cds"]
    today = datetime.now(UTC).date()
    known = sorted(policy.id for policy in deployment.policies)
    asked = {name: request.args.get(name, "").strip() for name in ("since", "until", "policy")}
    if not set(asked) & set(request.args):
        asked["since"] = (today - timedelta(days=USUAL_DAYS - 1)).isoformat()
    view: dict[str, Any] = {"asked": asked, "known": known, "words": words, "days": USUAL_DAYS}
    status = 200
    try:
        choice = choice_of(_day(asked, "since"), _day(asked, "until"), asked["policy"] or None)
        if g.client is not DEVELOPMENT:
            choice = replace(choice, client=g.client.name)
        view |= _shown(report_of(deployment.ledger, choice, deployment.terms.override_reasons, known))
    except (InputError, LedgerUnavailable) as problem:
        view["problem"] = f"{problem.what}. {problem.remedy}."
        status = _status(problem)
    return make_response(render_template("insights/page.html", **view), status)


def _status(problem: CdsError) -> int:
    return 503 if isinstance(problem, LedgerUnavailable) else 400


def _day(asked: dict[str, str], name: str) -> date | None:
    """A day that was asked for. What is none is not put back into the form: a browser takes days only."""
    text = asked[name]
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        asked[name] = ""
        raise InputError("This is no day", where=name, remedy="Write days like 2026-11-22") from None


def _shown(reported: Reported) -> dict[str, Any]:
    report = reported.report
    view: dict[str, Any] = {"report": report, "table": reported.table}
    if not report.calls:
        return view
    clients = sorted(report.clients, key=lambda name: -report.clients[name].calls.total())[:MOST_CLIENTS]
    return view | {
        "days_picture": days_picture(report),
        "outcomes_picture": outcomes_picture(report),
        "cards_picture": cards_picture(report) if report.cards.shown else "",
        "prefetch_pictures": [prefetch_picture(report, name) for name in clients],
    }
