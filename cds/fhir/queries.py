"""Needs become FHIR searches and prefetch templates: by one table and one function, so that they cannot differ.

Searches are plain (`patient`, `category`, `code`, `status`), one parameter each: real clients and servers
stumble over repeated parameters, and dates are filtered again by the rules anyway. Templates use
first-level tokens only, as CDS Hooks 2.0.1 demands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from cds.model import Fact, Need, Query
from cds.terminology import Terminology

PATIENT_TOKEN = "{{context.patientId}}"  # noqa: S105 - a prefetch token, no secret

# Without these there is no answer at all, only guesses: neither sent nor to be had means 412.
INDISPENSABLE = frozenset(("coverage", "encounters", "conditions", "observations"))

_OBSERVATION_CATEGORIES = "survey,exam,functional-status,disability-status,therapy,activity,social-history"


def _query(key: str, path: str, *facts: Fact, essential: bool = True) -> Query:
    return Query(key, path.split("?")[0].split("/")[0], path, frozenset(facts), essential)


_TABLE = (
    _query("patient", "Patient/{patient}", Fact.PATIENT, essential=False),
    _query("coverage", "Coverage?patient={patient}&status=active", Fact.COVERAGE),
    _query("encounters", "Encounter?patient={patient}", Fact.VISITS, Fact.SCHEDULE),
    _query("procedures", "Procedure?patient={patient}", Fact.VISITS, Fact.PROCEDURES, Fact.IMAGING),
    # Claims tell of visits elsewhere, but EHRs seldom hold them: their absence leaves the EHR's own count whole.
    _query(
        "explanationOfBenefits", "ExplanationOfBenefit?patient={patient}", Fact.VISITS, Fact.AMOUNTS, essential=False
    ),
    _query("claims", "Claim?patient={patient}", Fact.AMOUNTS, essential=False),
    _query("episodesOfCare", "EpisodeOfCare?patient={patient}", Fact.VISITS, essential=False),
    _query("appointments", "Appointment?patient={patient}", Fact.SCHEDULE),
    _query("conditions", "Condition?patient={patient}", Fact.CONDITIONS),
    _query("observations", "Observation?patient={patient}&category={categories}", Fact.MEASURES, Fact.STATEMENTS),
    _query("measures", "Observation?patient={patient}&code={measures}", Fact.MEASURES),
    _query("questionnaireResponses", "QuestionnaireResponse?patient={patient}", Fact.MEASURES, Fact.STATEMENTS),
    _query("goals", "Goal?patient={patient}", Fact.GOALS),
    _query("carePlans", "CarePlan?patient={patient}", Fact.PLANS),
    _query("imagingStudies", "ImagingStudy?patient={patient}", Fact.IMAGING),
    _query("diagnosticReports", "DiagnosticReport?patient={patient}", Fact.IMAGING),
    _query("medicationRequests", "MedicationRequest?patient={patient}", Fact.TREATMENTS),
    _query("medicationStatements", "MedicationStatement?patient={patient}", Fact.TREATMENTS, essential=False),
    _query("documents", "DocumentReference?patient={patient}", Fact.DOCUMENTS),
    _query("tasks", "Task?patient={patient}", Fact.TASKS, essential=False),
    _query("claimResponses", "ClaimResponse?patient={patient}", Fact.AUTHORIZATIONS, essential=False),
)


def queries_for(needs: Iterable[Need], terms: Terminology) -> dict[str, Query]:
    """The queries that answer these needs, by prefetch key, each once.

    Whether a query is essential is for its row to say: a criterion that only advises must not take a failed
    search for an empty record either.
    """
    return dict(_queries_for(frozenset(need.fact for need in needs), terms))


@lru_cache(maxsize=64)
def _queries_for(wanted: frozenset[Fact], terms: Terminology) -> Mapping[str, Query]:
    """Made once for each set of facts: calls ask for few different ones."""
    queries: dict[str, Query] = {}
    for row in _TABLE:
        if row.facts & wanted:
            path = row.path.replace("{categories}", _OBSERVATION_CATEGORIES)
            path = path.replace("{measures}", measure_codes(terms))
            queries[row.key] = Query(row.key, row.resource, path, row.facts, row.essential)
    return queries


@lru_cache(maxsize=4)
def measure_codes(terms: Terminology) -> str:
    """The LOINC codes under which outcome measures may be filed, as one `code` parameter."""
    return ",".join(sorted({code for system, code in terms.measure_codes if system == "loinc"}))


def read_of(reference: str) -> Query:
    """The read of one resource (`Organization/1`): who pays, by which coverage, or who orders."""
    kind = reference.split("/")[0]
    fact = Fact.COVERAGE if kind in ("Coverage", "Organization") else Fact.REQUESTER
    return Query(reference, kind, reference, frozenset((fact,)), essential=kind == "Organization")


def search_of(query: Query, patient: str) -> str:
    """The search, relative to the FHIR base: `Encounter?patient=f000`."""
    return query.path.replace("{patient}", patient)


def template_of(query: Query) -> str:
    """The prefetch template: `Encounter?patient={{context.patientId}}`."""
    return query.path.replace("{patient}", PATIENT_TOKEN)
