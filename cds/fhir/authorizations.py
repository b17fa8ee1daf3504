"""Pre-authorizations on file: what a payer granted, and not what it refused or has still to decide.

A payer's decision stands in the review action of Da Vinci PAS (STU 2, ClaimResponse.item.adjudication, codes of
X12 306), in R5's `decision`, or in an adjudication that says that a line was denied. Where no decision is sent,
an authorization with a number and days counts as given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from cds.fhir import shapes
from cds.fhir.elements import CodeableConcept
from cds.fhir.reading import Reading
from cds.model import Authorization, Concept, Fact, Resource

# X12 306: certified in total, certified in part, modified. Not: A3 not certified, A4 pended, C cancelled, CT contact
# the payer, NA no action required.
_GRANTED = frozenset(("A1", "A2", "A6"))
_REVIEW_CODES = "/306"
_ACTION = ("extension-reviewAction", "extension-reviewActionCode")
_AUTHORIZED = "extension-itemAuthorizedDetail"
_UNDECIDED = frozenset(("denied", "pending", "rejected", "denialreason"))
# Of HL7's types of claim those that no therapy is billed on.
_OTHER_TYPES = frozenset(("pharmacy", "vision", "oral"))


def read_authorizations(reading: Reading, by_type: Mapping[str, Sequence[Resource]]) -> tuple[Authorization, ...]:
    """Pre-authorizations with their number and days; not claims that were paid, and not what was refused or waits."""
    responses = by_type.get("ClaimResponse", ())
    if not responses:
        return ()
    organizations = reading.silent().each(by_type.get("Organization", ()), shapes.OrganizationShape, Fact.COVERAGE)
    payers = {resource.reference: organization for resource, organization in organizations}
    found: list[Authorization] = []
    for resource, shape in reading.each(responses, shapes.ClaimResponse, Fact.AUTHORIZATIONS):
        if not _is_authorization(reading, shape):
            continue
        days = reading.period(resource.reference, shape.preAuthPeriod)
        given = [(item, _is_granted(reading, item)) for item in (*shape.item, *shape.addItem)]
        if days is None or (given and not any(granted for _, granted in given)):
            continue
        refused = [item for item, granted in given if not granted]
        reference = reading.ref(shape.insurer)
        found.append(
            Authorization(
                resource.reference,
                shape.preAuthRef,
                days,
                insurers=_identifiers(shape, payers.get(reference)),
                insurer_references=() if not reference or reference.startswith("#") else (reference,),
                services=_services(reading, [item for item, granted in given if granted]),
                refused=_services(reading, refused),
                partial=any(not _services(reading, [item]) for item in refused),
            )
        )
    return tuple(found)


def _is_authorization(reading: Reading, shape: shapes.ClaimResponse) -> bool:
    """Whether something was authorized at all, of a kind that therapy can be."""
    decided = _codes(reading, shape.decision) | _codes(reading, shape.type)
    actions = _actions(reading, shape.extension)
    return (
        shape.status == "active"
        and shape.use in ("", "preauthorization")
        and shape.outcome not in ("error", "queued")
        and bool(shape.preAuthRef)
        and not decided & (_UNDECIDED | _OTHER_TYPES)
        and actions <= _GRANTED
    )


def _identifiers(shape: shapes.ClaimResponse, organization: shapes.OrganizationShape | None) -> tuple[str, ...]:
    """By what the insurer is known: its own identifier, and those of its Organization."""
    own = [shape.insurer.identifier] if shape.insurer and shape.insurer.identifier else []
    known = [*own, *(organization.identifier if organization else ())]
    return tuple(dict.fromkeys(identifier.value for identifier in known if identifier.value))


def _is_granted(reading: Reading, item: shapes.ReviewedItem) -> bool:
    """Whether a line was granted, or nothing was said of it."""
    actions: set[str] = _actions(reading, item.extension)
    told: set[str] = set()
    for adjudication in item.adjudication:
        actions |= _actions(reading, adjudication.extension)
        for concept in (adjudication.category, adjudication.reason):
            told |= _codes(reading, concept)
            actions |= _reviewed(concept)
    return actions <= _GRANTED and not told & _UNDECIDED


def _actions(reading: Reading, extensions: Iterable[shapes.ReviewExtension]) -> set[str]:
    """The codes of review actions among extensions, and in those that they hold."""
    return {
        code.upper()
        for extension in _named(extensions, _ACTION)
        for code in _codes(reading, extension.valueCodeableConcept, lower=False)
    }


def _reviewed(concept: CodeableConcept | None) -> set[str]:
    """Codes of X12 306 that stand where a reason or a category does."""
    codings = concept.coding if concept else ()
    return {coding.code.upper() for coding in codings if coding.code and coding.system.endswith(_REVIEW_CODES)}


def _named(extensions: Iterable[shapes.ReviewExtension], names: Sequence[str]) -> Iterator[shapes.ReviewExtension]:
    """Extensions by the last part of their URL (PDex has its own of the same names), and those in them."""
    for extension in extensions:
        if extension.url.rsplit("/", 1)[-1] in names:
            yield extension
            yield from _named(extension.extension, names)


def _services(reading: Reading, items: Iterable[shapes.ReviewedItem]) -> tuple[Concept, ...]:
    """What lines are for: as authorized, else as asked for."""
    found: list[Concept] = []
    for item in items:
        details = [part for each in _named(item.extension, (_AUTHORIZED,)) for part in each.extension]
        changed = [part.valueCodeableConcept for part in details if part.url == "productOrServiceCode"]
        concept = reading.concept(next(filter(None, changed), item.productOrService))
        found += [concept] if concept.codes or concept.text else []
    return tuple(dict.fromkeys(found))


def _codes(reading: Reading, concept: CodeableConcept | None, *, lower: bool = True) -> set[str]:
    codes = (code.code for code in reading.concept(concept).codes)
    return {code.lower() if lower else code for code in codes if code}
