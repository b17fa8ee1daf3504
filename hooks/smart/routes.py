"""`/smart/…`: the way in, the page, and the public keys. Every failure is a page with a status, never a redirect."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    g,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from cds.errors import CdsError, TechnicalError
from hooks.smart.app import Smart
from hooks.smart.cookie import new_browser
from hooks.smart.errors import LaunchRefused, NotShown, SmartError
from hooks.smart.record import Shown, linked, others
from hooks.smart.registration import Ehr, origin_of
from hooks.smart.session import Session
from hooks.smart.story.pages import story_page
from hooks.smart.view import limits_of, view_of

if TYPE_CHECKING:
    from hooks.app import Deployment

log = logging.getLogger(__name__)
HERE = Path(__file__).resolve().parent.parent
JWKS_SECONDS = 3600
blueprint = Blueprint(
    "smart",
    __name__,
    url_prefix="/smart",
    template_folder=str(HERE / "templates"),
    static_folder=str(HERE / "static" / "smart"),
    static_url_path="/static",
)
_POLICY = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'"


def _deployment() -> Deployment:
    found: Deployment = current_app.extensions["therapy-cds"]
    return found


def _smart() -> Smart:
    """The app; 404 where no EHR may launch it."""
    smart = _deployment().smart
    if smart is None:
        abort(404)
    return smart


@blueprint.app_template_global("address")
def address(endpoint: str, **values: Any) -> str:  # noqa: ANN401 - as url_for has it
    """The path of a page as browsers see it: below that of the base URL, whatever a proxy takes off."""
    return urlsplit(_deployment().settings.base_url).path + url_for(endpoint, **values)


# -------------------------------------------------------------------------------------------------- the way in


@blueprint.get("/launch")
def launch() -> ResponseReturnValue:
    """Send the browser to the EHR that opened this page: with its `launch` (EHR launch), or without (standalone)."""
    smart = _smart()
    iss, token = _once("iss"), _once("launch")
    if not iss:
        raise LaunchRefused("Nobody said which EHR opens this page", remedy="Open it from a card, or with ?iss=…")
    known = smart.cookie.read(request)
    # A browser keeps its id: windows that are opened side by side must not end one another's launch.
    browser = known or new_browser()
    response = make_response(redirect(smart.launcher.begin(iss, token, browser), 302))
    if known is None:
        smart.cookie.write(response, browser)
    return response


@blueprint.get("/callback")
def callback() -> ResponseReturnValue:
    """Take the EHR's answer, and show the page at an address of its own, which holds no code."""
    smart = _smart()
    answer = {name: value for name in ("state", "code", "error") if (value := _once(name))}
    session = smart.launcher.finish(answer, smart.cookie.read(request))
    return redirect(f"{_deployment().settings.base_url}/smart/{session.handle}", 303)


def _once(name: str) -> str | None:
    """A parameter; LaunchRefused where it is there twice (RFC 6749, 3.1)."""
    found = request.args.getlist(name)
    if len(found) > 1:
        raise LaunchRefused(f"The address holds '{name}' twice", remedy="Open it again from the patient's chart")
    return found[0] if found else None


# -------------------------------------------------------------------------------------------------- the page


def _is_from_elsewhere() -> bool:
    """Whether another site's page sent a form: the cookie travels from there too where an EHR holds the app in a frame.

    The app's own forms may say `Origin: null`, since its pages give no referrer (Fetch standard, Origin header).
    """
    own = ("", "null", origin_of(_deployment().settings.base_url))
    fetched = request.headers.get("Sec-Fetch-Site", "same-origin")
    return request.headers.get("Origin", "") not in own or fetched not in ("same-origin", "none")


def current(handle: str) -> tuple[Session, Ehr]:
    """The session of a page's address in this browser, and its EHR; SessionOver where there is none.

    Every page begins with this: it also says which EHR's pages may hold the answer in a frame.
    """
    smart = _smart()
    if request.method == "POST" and _is_from_elsewhere():
        raise LaunchRefused("This was sent from another site's page", remedy="Open the app from the EHR")
    session = smart.launcher.session(handle, smart.cookie.read(request))
    g.ehr = smart.launcher.ehr(session.iss)
    return session, g.ehr


def shown_in(session: Session, ehr: Ehr) -> Shown | None:
    """What a page shows: the session's assessment, or another one of its patient (`?assessment=`); None without any."""
    wanted = request.args.get("assessment", "") or session.assessment
    return linked(_deployment().ledger, wanted, ehr, session.patient) if wanted else None


@blueprint.get("/<handle>")
def page(handle: str) -> str:
    """The assessment: its outcome, criterion by criterion, what would change it, and what could not be read."""
    session, ehr = current(handle)
    shown = shown_in(session, ehr)
    if shown is None:
        limits = limits_of(session)
        return render_template("smart/empty.html", session=session, ehr=ehr, limits=limits)
    try:
        return story_page(session, ehr, shown)
    except NotShown:  # its grounds are past their retention; what was said still stands
        view = view_of(shown, session)
        return render_template("smart/assessment.html", session=session, ehr=ehr, view=view, others=others(shown))


@blueprint.post("/<handle>/end")
def end(handle: str) -> str:
    """Forget the session and its tokens at once, as on a shared machine."""
    session, _ = current(handle)
    _smart().launcher.end(session)
    return render_template("smart/ended.html")


# -------------------------------------------------------------------------------------------------- the keys


@blueprint.get("/.well-known/jwks.json")
def jwks() -> Response:
    """The public keys by which authorization servers know this app (RFC 7517)."""
    response = jsonify(_smart().keys.jwks())
    response.headers["Cache-Control"] = f"public, max-age={JWKS_SECONDS}"
    return response


# -------------------------------------------------------------------------------------------------- every answer


@blueprint.after_request
def _with_headers(response: Response) -> Response:
    smart = _deployment().smart
    # Which EHR holds this in a frame is known once there is a session; a page of an error may be in any's.
    ehrs = [g.ehr] if "ehr" in g else list(smart.ehrs) if smart else []
    origins = " ".join(sorted({origin for ehr in ehrs for origin in ehr.frame_ancestors})) or "'none'"
    response.headers["Content-Security-Policy"] = f"{_POLICY}; frame-ancestors {origins}"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request.endpoint not in ("smart.jwks", "smart.static"):
        response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.errorhandler(CdsError)
def _failed(error: CdsError) -> Response:
    status = error.status if isinstance(error, SmartError) else 503 if isinstance(error, TechnicalError) else 500
    log.info("answered %d: %s %s", status, error.code, error.what)
    return _problem(error.what, error.remedy, error.code, status)


@blueprint.errorhandler(HTTPException)
def _http_failed(error: HTTPException) -> Response:
    what = {404: "There is nothing at this address", 405: "This address does not take this method"}
    return _problem(what.get(error.code or 500, "This cannot be done"), "", "", error.code or 500)


@blueprint.errorhandler(Exception)
def _unexpected(error: Exception) -> Response:
    log.exception("a page of the app failed")
    remedy = "The operator finds the cause in the log"
    return _problem("This page failed", remedy, CdsError.code, 500)


def _problem(what: str, remedy: str, code: str, status: int) -> Response:
    return make_response(render_template("smart/error.html", what=what, remedy=remedy, code=code), status)
