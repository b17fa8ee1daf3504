"""Evidence becomes a Record: what is known of the patient, and what could not be read and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from zoneinfo import ZoneInfo

from cds.fhir import clinical
from cds.fhir.authorizations import read_authorizations
from cds.fhir.measures import read_measures
from cds.fhir.reading import Reading
from cds.fhir.visits import read_visits
from cds.model import Evidence, EvidenceState, Gap, Record, Resource
from cds.terminology import Terminology

_MORE_EXISTS = (EvidenceState.CUT, EvidenceState.LATE)
ByType = Mapping[str, Sequence[Resource]]


def start_reading(
    terms: Terminology, patient: str, evidence: Iterable[Evidence], zone: ZoneInfo | None = None
) -> tuple[Reading, dict[str, list[Resource]]]:
    """A reading of one patient, and all resources by type, each once."""
    by_type: dict[str, list[Resource]] = defaultdict(list)
    seen: set[str] = set()
    urls: set[str] = set()
    aliases: dict[str, str] = {}
    for each in evidence:
        for resource in each.resources:
            reference = resource.reference
            if resource.url:
                aliases[resource.url] = reference
            if resource.type == "Patient" and resource.id == patient and resource.url:
                urls.add(resource.url)
            if resource.id and reference in seen:
                continue
            seen.add(reference)
            by_type[resource.type].append(resource)
    for several in by_type.values():
        several.sort(key=attrgetter("id"))  # the order of entries says nothing
    return Reading(terms, patient, frozenset(urls), zone, aliases=aliases), by_type


def gaps_of(evidence: Iterable[Evidence]) -> tuple[Gap, ...]:
    """What was asked for and did not come whole, one gap for each fact that it leaves in doubt.

    A search that is only a supplement (claims, bookings) leaves no doubt where the EHR has none: see
    `supplementary_gaps`. Where it answered with a part, too late, or failed, there may be more than was seen.
    """
    gaps: list[Gap] = []
    for each in evidence:
        if each.whole or not (each.query.essential or _may_hold_more(each)):
            continue
        reason = each.reason or f"{each.query.resource} could not be read ({each.state.value})"
        gaps += [Gap(fact, each.query.key, each.state, reason) for fact in sorted(each.query.facts)]
    return tuple(gaps)


def _may_hold_more(evidence: Evidence) -> bool:
    """Whether a supplementary search leaves a doubt: the server offers such resources, and did not give all."""
    return evidence.state in _MORE_EXISTS or (evidence.state is EvidenceState.FAILED and not evidence.absent)


def supplementary_gaps(evidence: Iterable[Evidence]) -> tuple[Gap, ...]:
    """Supplementary searches that did not come whole: shown to the reader, but they put nothing in doubt."""
    return tuple(
        Gap(
            min(each.query.facts),
            each.query.key,
            each.state,
            each.reason or f"{each.query.resource}: {each.state.value}",
        )
        for each in evidence
        if not each.whole
        and not each.query.essential
        and each.state is not EvidenceState.NOT_ASKED
        and not _may_hold_more(each)
    )


def read_record(reading: Reading, by_type: ByType, evidence: Iterable[Evidence]) -> Record:
    """All that is known of the patient. One unreadable resource never costs the others."""
    conditions = clinical.read_conditions(reading, by_type.get("Condition", ()))
    sites = {condition.source: condition.sites for condition in conditions}
    visits, appointments = read_visits(reading, by_type, sites)
    measures, statements = read_measures(reading, by_type)
    procedures = clinical.read_procedures(reading, by_type.get("Procedure", ()))
    return Record(
        patient=reading.patient,
        visits=visits,
        appointments=appointments,
        measures=measures,
        statements=statements,
        conditions=conditions,
        procedures=procedures,
        goals=clinical.read_goals(reading, by_type.get("Goal", ())),
        plans=clinical.read_plans(reading, by_type.get("CarePlan", ())),
        treatments=clinical.read_treatments(reading, by_type),
        images=clinical.read_images(reading, by_type),
        documents=clinical.read_documents(reading, by_type.get("DocumentReference", ())),
        tasks=clinical.read_tasks(reading, by_type.get("Task", ())),
        episodes=clinical.read_episodes(reading, by_type.get("EpisodeOfCare", ()), sites),
        authorizations=read_authorizations(reading, by_type),
        claim_lines=clinical.read_claim_lines(reading, by_type),
        people=clinical.read_people(reading, by_type),
        notes=tuple(dict.fromkeys(reading.notes)),
        gaps=gaps_of(evidence),
    )
