"""Coverage resources become one Coverage; a payer is never guessed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date

from cds.fhir import shapes
from cds.fhir.elements import PayorReference, local_reference
from cds.fhir.reading import Reading
from cds.model import Coverage, Fact, Resource, Standing

ACTIVE = ("active", "")
CANCELLED = ("cancelled",)
NOT_KNOWN = "no active coverage of the patient is on file, so it cannot be told whose policy applies"


def read_coverages(
    reading: Reading,
    resources: Sequence[Resource],
    organizations: Sequence[Resource],
    statuses: Sequence[str] = ACTIVE,
) -> tuple[tuple[Coverage, int | None], ...]:
    """Every Coverage of the patient that is active (or of other `statuses`) with its order (1 is primary)."""
    payers = {
        resource.reference: organization
        for resource, organization in reading.each(organizations, shapes.OrganizationShape, Fact.COVERAGE)
    }
    payers |= {each.url: payers[each.reference] for each in organizations if each.url and each.reference in payers}
    found: list[tuple[Coverage, int | None]] = []
    for resource, shape in reading.each(resources, shapes.Coverage, Fact.COVERAGE):
        if shape.status not in statuses or _of_another(reading, resource, shape):
            continue
        contained = {f"#{each.id}": each for each in shape.contained if each.resourceType in ("", "Organization")}
        identifiers: list[str] = []
        names: list[str] = []
        for payor in shape.payor:
            organization = contained.get(payor.reference) or payers.get(reading.ref(payor))
            identifiers += [payor.identifier.value] if payor.identifier and payor.identifier.value else []
            identifiers += [i.value for i in organization.identifier if i.value] if organization else []
            # Who pays for himself has no name that anybody needs to know.
            display = "" if is_person(payor) else payor.display
            names += [name for name in (organization.name if organization else "", display) if name]
        found.append((_coverage(reading, resource, shape, tuple(dict.fromkeys(identifiers)), names), shape.order))
    return tuple(found)


def is_person(payor: PayorReference) -> bool:
    """Whether a payer is the patient, or somebody of theirs."""
    persons = ("Patient", "RelatedPerson")
    return payor.type in persons or local_reference(payor.reference).split("/")[0] in persons


def unresolved_payers(reading: Reading, resources: Sequence[Resource]) -> tuple[str, ...]:
    """References to payers that no Coverage identifies by itself, so that they have to be read."""
    wanted: list[str] = []
    for _, shape in reading.each(resources, shapes.Coverage, Fact.COVERAGE):
        for payor in shape.payor:
            reference = reading.ref(payor)
            if payor.identifier is None and reference.startswith(("Organization/", "urn:uuid:")):
                wanted.append(reference)
    return tuple(dict.fromkeys(wanted))


def choose_coverage(coverages: Sequence[tuple[Coverage, int | None]], day: date) -> tuple[Coverage | None, str]:
    """The one coverage in force on a day, or None and why it cannot be told which."""
    if not coverages:
        return None, NOT_KNOWN
    valid = [(c, order) for c, order in coverages if c.period is None or c.period.within_reach(day)]
    if not valid:
        return None, f"no coverage of the patient is in force on {day.isoformat()}"
    first = min((order for _, order in valid if order is not None), default=None)
    chosen = [c for c, order in valid if order == first] if first is not None else [c for c, _ in valid]
    same = {(c.payers, c.plan, c.line_of_business) for c in chosen}
    if len(same) > 1:
        named = " and ".join(sorted(c.payer_name or c.reference for c in chosen))
        return None, f"several coverages are active and none is marked as primary ({named})"
    return chosen[0], ""


def named_among(
    coverages: Sequence[tuple[Coverage, int | None]], named: Collection[str]
) -> tuple[tuple[Coverage, int | None], ...]:
    """Those coverages that an order names by reference; all of them where it names none."""
    return tuple(each for each in coverages if not named or each[0].reference in named)


def why_not_named(named: Collection[str], standing: Standing, day: date, *, unread: bool) -> str:
    """Why a coverage that an order names is not the one; empty where several that it names could be."""
    if standing is Standing.SEVERAL:
        return ""
    which = f"the coverage that the order names ({', '.join(named)})"
    if standing is Standing.LAPSED:
        return f"{which} is not in force on {day.isoformat()}"
    return f"{which} {'could not be read' if unread else 'is not on file'}"


def standing_of(
    coverages: Sequence[tuple[Coverage, int | None]], cancelled: Sequence[tuple[Coverage, int | None]], day: date
) -> tuple[Standing, Coverage | None]:
    """Whether one coverage is in force on a day, and the one that is not in force where it was all there is.

    Of several that are not, the one that ended last is meant.
    """
    if choose_coverage(coverages, day)[0] is not None:
        return Standing.IN_FORCE, None
    if any(c.period is None or c.period.within_reach(day) for c, _ in coverages):
        return Standing.SEVERAL, None
    lapsed = [coverage for coverage, _ in (*coverages, *cancelled)]
    if not lapsed:
        return Standing.NONE, None
    ended = [((c.period.last if c.period else None) or date.min, c.reference, c) for c in lapsed]
    return Standing.LAPSED, max(ended, key=lambda each: each[:2])[2]


def _of_another(reading: Reading, resource: Resource, shape: shapes.Coverage) -> bool:
    whose = shape.beneficiary
    if whose is None or not whose.reference or reading.is_patient(whose.reference):
        return False
    reading.note_others(resource)
    return True


def _coverage(
    reading: Reading,
    resource: Resource,
    shape: shapes.Coverage,
    identifiers: tuple[str, ...],
    names: list[str],
) -> Coverage:
    plan = next((c for c in shape.class_ if "plan" in {k.code for k in reading.concept(c.type).codes}), None)
    kind = reading.concept(shape.type)
    lines = reading.terms.lines_of_business
    coverage = Coverage(
        reference=resource.reference,
        payers=identifiers,
        payer_name=names[0] if names else "",
        plan=(plan.value or plan.name) if plan else None,
        line_of_business=next((lines[code.code] for code in kind.codes if code.code in lines), None),
        period=reading.period(resource.reference, shape.period),
        payer_references=tuple(sorted(ref for ref in reading.refs(shape.payor) if not ref.startswith("#"))),
    )
    return _with_extensions(reading, resource, shape, coverage)


def _with_extensions(reading: Reading, resource: Resource, shape: shapes.Coverage, coverage: Coverage) -> Coverage:
    """Jurisdiction and date of injury of a workers' compensation claim (this project's own extensions)."""
    for extension in shape.extension:
        name = extension.url.rsplit("/", 1)[-1]
        if name == "jurisdiction":
            concept = reading.concept(extension.valueCodeableConcept)
            value = extension.valueCode or extension.valueString or next((c.code for c in concept.codes), "")
            coverage = replace(coverage, jurisdiction=value or None)
        if name == "date-of-injury":
            days = reading.days(resource.reference, extension.valueDate or extension.valueDateTime, what=name)
            coverage = replace(coverage, injury=days.exact if days else None)
    return coverage
