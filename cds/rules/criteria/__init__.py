"""One module for each family of test. Importing this package fills the vocabulary (`KINDS`)."""

from cds.rules.criteria import (
    conditions,
    documentation,
    imaging,
    outcome_measures,
    programme,
    progress,
    scores,
    services,
    timing,
    treatments,
    visits,
)
from cds.rules.criteria.kinds import KINDS

__all__ = [
    "KINDS",
    "conditions",
    "documentation",
    "imaging",
    "outcome_measures",
    "programme",
    "progress",
    "scores",
    "services",
    "timing",
    "treatments",
    "visits",
]
