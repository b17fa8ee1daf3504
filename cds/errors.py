"""The tree of errors. Every one says what is wrong, where, and what to do; none carries a token or a name.

    CdsError
    ├── InputError              what the caller sent cannot be used
    │   ├── MalformedRequest    not JSON, or not what CDS Hooks or FHIR say it must be   (400)
    │   ├── UnknownService      no service of that name                                  (404)
    │   ├── MissingData         needed data was neither sent nor can be fetched          (412)
    │   ├── TooLarge            more than this service takes in one call                 (413)
    │   ├── UnusableOrder       valid FHIR, but no order that can be weighed             (422)
    │   ├── UnsupportedVersion  a version of Da Vinci CRD that is not answered in        (422)
    │   ├── TooMany             more orders or visits than are weighed in one call          (422)
    │   ├── UnusableCoverage    a payer is asked about a coverage that is not its own    (400)
    │   └── UnreadableFile      a file given on the command line
    ├── PolicyError             a policy that cannot be used: file, line, key, remedy
    ├── CatalogueError          a value set or instrument that cannot be used
    ├── SettingsError           the service refuses to start
    └── TechnicalError          another system failed us                                 (503)
        └── LedgerUnavailable   what would be said cannot be put on record

Codes (`CDS-…`) are stable: docs/errors.md explains each.
"""

from __future__ import annotations


class CdsError(Exception):
    """The root: `what` happened, `where` (a path, file or key), and the `remedy`."""

    code = "CDS-000"

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        """Keep the three parts; the message is all of them in one line."""
        self.what = what
        self.where = where
        self.remedy = remedy
        place = f" at {where}" if where else ""
        then = f". {remedy}" if remedy else ""
        super().__init__(f"{what}{place}{then}")


class InputError(CdsError):
    """What the caller sent cannot be used."""

    code = "CDS-100"


class MalformedRequest(InputError):
    """Not JSON, or JSON that breaks the rules of CDS Hooks or FHIR."""

    code = "CDS-101"


class UnknownService(InputError):
    """No CDS service of that name."""

    code = "CDS-102"


class MissingData(InputError):
    """Data that is needed was neither prefetched nor can it be fetched (CDS Hooks 2.0.1, 412)."""

    code = "CDS-103"


class TooLarge(InputError):
    """More bytes than this service takes in one call."""

    code = "CDS-104"


class UnusableOrder(InputError):
    """Valid FHIR, but there is no order in it that can be weighed."""

    code = "CDS-105"


class UnreadableFile(InputError):
    """A file given on the command line cannot be read or is not what is expected."""

    code = "CDS-106"


class UnsupportedVersion(InputError):
    """A version of Da Vinci CRD in which this service does not answer (CRD 2.2.1, dev-1 to dev-3)."""

    code = "CDS-107"


class UnusableCoverage(InputError):
    """A payer's service is asked without one coverage that it handles (CRD 2.2.1, hook-13)."""

    code = "CDS-108"


class TooMany(InputError):
    """More therapy orders or visits than this service weighs in one call."""

    code = "CDS-109"


class PolicyError(CdsError):
    """A policy that cannot be used. `where` is `file:line, key`."""

    code = "CDS-200"


class CatalogueError(CdsError):
    """A value set, region or instrument file that cannot be used."""

    code = "CDS-201"


class SettingsError(CdsError):
    """The service refuses to start with these settings."""

    code = "CDS-300"


class TechnicalError(CdsError):
    """Another system (FHIR server, ledger) failed us."""

    code = "CDS-400"


class LedgerUnavailable(TechnicalError):
    """The ledger cannot be written or read. Nothing is said that is on no record."""

    code = "CDS-401"
