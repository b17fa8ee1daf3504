"""The pages behind the page: measures to fill in, and the letter. They belong to the blueprint of the app."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from flask import Response, redirect, render_template, request
from flask.typing import ResponseReturnValue

from cds.errors import InputError
from cds.story import is_whole
from hooks.smart.errors import NotShown
from hooks.smart.record import Shown
from hooks.smart.registration import Ehr
from hooks.smart.routes import address, blueprint, current, shown_in
from hooks.smart.session import Session
from hooks.smart.story import forms
from hooks.smart.story.letter import Kind, Letter, letter_of
from hooks.smart.story.letter_fhir import document_of
from hooks.smart.story.letter_pdf import pdf_of
from hooks.smart.story.mending import Saved, cannot_save, mend, offers_of, save
from hooks.smart.story.pages import deployment, story_in
from hooks.smart.story.view import criteria_of, proofs_of
from hooks.smart.story.writing import poster

__all__ = ["blueprint"]
Json = dict[str, Any]
_SIGN = "Sign a therapy order in the EHR"
_REFERENCE = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64}")
_USERS = ("Practitioner/", "PractitionerRole/", "Patient/", "RelatedPerson/")


# ------------------------------------------------------------------------------------------------ measures


@blueprint.get("/<handle>/measures")
def measures(handle: str) -> str:
    """The outcome measures that can be filled in, those first that the criteria ask for."""
    session, ehr, shown = _opened(handle)
    offers = offers_of(story_in(shown))
    return render_template(
        "smart/story_measures.html", session=session, ehr=ehr, page=shown, offers=offers, saved=_told_saved()
    )


@blueprint.get("/<handle>/measures/<name>")
def measure(handle: str, name: str) -> str:
    """The form of one outcome measure."""
    session, ehr, shown = _opened(handle)
    return _form_page(session, ehr, shown, _form(name), {forms.DAY: _today().isoformat()}, {})


@blueprint.post("/<handle>/measures/<name>")
def fill(handle: str, name: str) -> ResponseReturnValue:
    """The assessment done anew with what was filled in; saved to the record where that was asked for."""
    session, ehr, shown = _opened(handle)
    form, place = _form(name), deployment()
    filled, problems = forms.read_form(form, request.form, _today())
    if filled is None:
        return _form_page(session, ehr, shown, form, request.form.to_dict(), problems)
    story = story_in(shown)
    base_url = place.settings.base_url
    resources = forms.resources_of(filled, place.terms, session.patient, _author(session), base_url)
    refused = cannot_save(resources, session.granted)
    wanted = request.form.get("action") == "save" and not refused
    saved = _save(session, resources) if wanted else None
    if saved is not None and not saved.problem:
        # To an address of its own: whoever loads that page again saves nothing twice.
        return _to("smart.measures", handle, shown, saved)
    mended = mend(story, resources)
    return render_template(
        "smart/story_filled.html",
        session=session,
        ehr=ehr,
        page=shown,
        form=form,
        filled=filled,
        scores=[_score(each) for each in resources if each["resourceType"] == "Observation"],
        mended=mended,
        is_whole=story.is_whole,
        safety=criteria_of(mended.after["safety"], proofs_of(story), ""),
        refused=refused,
        saved=saved,
    )


def _form(name: str) -> forms.Form:
    try:
        return forms.form_of(deployment().terms, name)
    except InputError as problem:
        raise NotShown(problem.what, remedy=problem.remedy) from None


def _form_page(
    session: Session, ehr: Ehr, shown: Shown, form: forms.Form, values: Json, problems: dict[str, str]
) -> str:
    return render_template(
        "smart/form.html",
        session=session,
        ehr=ehr,
        page=shown,
        form=form,
        values=values,
        problems=problems,
        today=_today(),
        as_of=date.fromisoformat(shown.assessment["asOf"]),
    )


def _score(observation: Json) -> Json:
    """A score as it is told: its name, its value and the instrument's word for it."""
    band = next((each["text"] for each in observation.get("interpretation", ())), "")
    return {"name": observation["code"]["text"], "value": observation["valueQuantity"]["value"], "band": band}


# ------------------------------------------------------------------------------------------------ the letter


@blueprint.get("/<handle>/letter")
def letter(handle: str) -> str:
    """The letter as a page to print."""
    session, ehr, shown = _opened(handle)
    return _letter_page(session, ehr, shown, "")


@blueprint.get("/<handle>/letter.pdf")
def letter_pdf(handle: str) -> Response:
    """The letter as PDF."""
    _, _, shown = _opened(handle)
    pdf = pdf_of(_letter(shown), datetime.now(UTC))
    disposition = {"Content-Disposition": f'inline; filename="{_kind().value}-letter.pdf"'}
    return Response(pdf, content_type="application/pdf", headers=disposition)


@blueprint.post("/<handle>/letter")
def save_letter(handle: str) -> ResponseReturnValue:
    """Save the letter to the record as a DocumentReference, where the user's token may."""
    session, ehr, shown = _opened(handle)
    made, written = datetime.now(UTC), _letter(shown)
    # A draft that is only being signed is not at the EHR under this reference yet, so the document does not name it.
    document = document_of(written, pdf_of(written, made), session.patient, "", made, _author(session))
    refused = cannot_save([document], session.granted)
    if refused:
        return _letter_page(session, ehr, shown, "")
    saved = _save(session, [document])
    if saved.problem:
        return _letter_page(session, ehr, shown, saved.problem)
    return _to("smart.letter", handle, shown, saved, kind=written.kind.value)


def _letter_page(session: Session, ehr: Ehr, shown: Shown, problem: str) -> str:
    refused = cannot_save([{"resourceType": "DocumentReference"}], session.granted)
    return render_template(
        "smart/letter.html",
        session=session,
        ehr=ehr,
        page=shown,
        letter=_letter(shown),
        kinds=list(Kind),
        refused=refused,
        problem=problem,
        saved=_told_saved(),
    )


def _letter(shown: Shown) -> Letter:
    if not is_whole(shown.entry.body or {}):
        raise NotShown("Only a part of the criteria was weighed, which is no ground for a letter", remedy=_SIGN)
    return letter_of(shown.assessment, shown.id, _kind())


def _kind() -> Kind:
    """Which letter: as asked for, else that of who runs the service."""
    wanted = request.values.get("kind", "")
    if wanted in set(Kind):
        return Kind(wanted)
    return Kind.REVIEW if deployment().settings.is_payer else Kind.NECESSITY


# ------------------------------------------------------------------------------------------------ for all of them


def _opened(handle: str) -> tuple[Session, Ehr, Shown]:
    """The session, its EHR and the assessment of an address; NotShown where nothing is on record."""
    session, ehr = current(handle)
    shown = shown_in(session, ehr)
    if shown is None:
        raise NotShown("No therapy order of this patient has been checked", remedy=_SIGN)
    return session, ehr, shown


def _save(session: Session, resources: Sequence[Json]) -> Saved:
    return save(resources, poster(deployment().session, session.iss, session.access_token))


def _to(endpoint: str, handle: str, shown: Shown, saved: Saved, **more: str) -> ResponseReturnValue:
    """On to a page that tells what was saved."""
    told = ",".join(saved.references)
    return redirect(address(endpoint, handle=handle, assessment=shown.id, saved=told, **more), 303)


def _told_saved() -> list[str]:
    """What an address says was saved, as far as these are references."""
    return [each for each in request.args.get("saved", "").split(",") if _REFERENCE.fullmatch(each)]


def _author(session: Session) -> str:
    """The user as a relative reference, where the EHR said who it is; absolute ones only of the same EHR."""
    user = session.user.removeprefix(f"{session.iss}/")
    return user if user.startswith(_USERS) else ""


def _today() -> date:
    """Today where the site is."""
    zone = deployment().settings.time_zone
    return datetime.now(zone).astimezone(zone).date()
