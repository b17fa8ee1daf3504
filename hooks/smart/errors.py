"""Why the app cannot be shown. Each becomes a page with a status; none holds a token, a code, or who the patient is.

    CdsError
    └── SmartError              the app cannot be shown
        ├── LaunchRefused       what came does not belong to a launch that this service may go on with   (403)
        ├── EhrFailed           the EHR's authorization server refused or failed                         (502)
        ├── NotShown            the link is for another patient or EHR, or nothing is on record          (403)
        └── SessionOver         no session, or one that has ended                                        (401)

Codes (`CDS-…`) are stable: docs/errors.md explains each.
"""

from __future__ import annotations

from cds.errors import CdsError


class SmartError(CdsError):
    """The app cannot be shown. `status` is the HTTP status of the page that says so."""

    code = "CDS-500"
    status = 400


class LaunchRefused(SmartError):
    """A launch or an answer to one that cannot be trusted: foreign issuer, wrong state, wrong id_token."""

    code = "CDS-501"
    status = 403


class EhrFailed(SmartError):
    """The EHR's authorization server said no, or failed: configuration, authorization or token."""

    code = "CDS-502"
    status = 502


class NotShown(SmartError):
    """An assessment that is not for this patient at this EHR, or is not on record."""

    code = "CDS-503"
    status = 403


class SessionOver(SmartError):
    """The browser has no session here, or it has ended."""

    code = "CDS-504"
    status = 401
