"""Resources created at the EHR by the user's own token (FHIR R4, RESTful API, create). One request for each."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

from hooks.smart.discovery import whole_body
from hooks.smart.errors import EhrFailed

log = logging.getLogger(__name__)
Json = dict[str, Any]
CONNECT_SECONDS = 1.5
CREATE_SECONDS = 10.0
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_REMEDY = "Try again; if it lasts, tell your EHR's support"


class _Created(msgspec.Struct):
    id: str = ""


def poster(session: requests.Session, base: str, token: str) -> Callable[[Json], str]:
    """What creates a resource at the FHIR server at `base`, and gives its reference (`Observation/1`).

    EhrFailed where the EHR refuses or fails; what it said is not shown, since it may quote what was sent.
    """

    def post(resource: Json) -> str:
        kind = resource["resourceType"]
        try:
            with session.post(
                f"{base.rstrip('/')}/{kind}",
                data=msgspec.json.encode(resource),
                headers={
                    "Authorization": f"Bearer {token}",
                    "Content-Type": "application/fhir+json",
                    "Accept": "application/fhir+json",
                },
                timeout=(CONNECT_SECONDS, CREATE_SECONDS),
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code not in (200, 201):
                    log.warning("an EHR did not create a %s (%d)", kind, response.status_code)
                    what = f"The EHR did not save the {kind} ({response.status_code})"
                    raise EhrFailed(what, remedy=_REMEDY)
                return f"{kind}/{_id_of(response, kind)}"
        except requests.RequestException as problem:
            # The class only: a message may quote what the other side sent.
            log.warning("an EHR could not be reached to create a %s (%s)", kind, type(problem).__name__)
            what = f"Whether the EHR saved the {kind} is not known ({type(problem).__name__})"
            raise EhrFailed(what, remedy="Look in the chart before you try again") from None

    return post


def _id_of(response: requests.Response, kind: str) -> str:
    """The id that the server gave: from Location, else from the body."""
    parts = urlsplit(response.headers.get("Location", "")).path.split("/")
    if kind in parts[:-1] and _ID.fullmatch(found := parts[len(parts) - parts[::-1].index(kind)]):
        return found
    try:
        found = msgspec.json.decode(whole_body(response), type=_Created).id
    except (ValueError, RecursionError):
        found = ""
    if not _ID.fullmatch(found):
        raise EhrFailed(f"The EHR saved the {kind}, but did not say under which id", remedy="Look in the chart")
    return found
