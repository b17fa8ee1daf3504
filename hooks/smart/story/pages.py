"""The page of a story, and the story behind every other page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app, render_template

from cds.errors import InputError
from cds.story import Bases, Story, story_of
from hooks.smart.errors import NotShown
from hooks.smart.record import Shown, others
from hooks.smart.registration import Ehr
from hooks.smart.session import Session
from hooks.smart.story.view import page_of
from hooks.smart.view import limits_of

if TYPE_CHECKING:
    from hooks.app import Deployment

_BASES = "therapy-cds-bases"


def story_page(session: Session, ehr: Ehr, shown: Shown) -> str:
    """The page of an assessment; NotShown where what it rested on is gone."""
    page = page_of(story_in(shown))
    return render_template(
        "smart/story.html", session=session, ehr=ehr, page=page, limits=limits_of(session), others=others(shown)
    )


def story_in(shown: Shown) -> Story:
    """The story of what a page shows; NotShown where what it rested on is gone."""
    place = deployment()
    fresh = Bases(place.basis, place.terms, place.policies)
    bases: Bases = current_app.extensions.setdefault(_BASES, fresh)
    body = shown.entry.body or {}
    try:
        return story_of(body, shown.entry.recorded, shown.id, place.ledger.content, bases)
    except InputError as problem:
        raise NotShown(problem.what, remedy=problem.remedy) from None


def deployment() -> Deployment:
    """What every call shares."""
    found: Deployment = current_app.extensions["therapy-cds"]
    return found
