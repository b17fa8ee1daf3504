from __future__ import annotations

import pytest

from cds.errors import CatalogueError
from cds.model import Code, Concept, Discipline, Site
from tests.cds.build import terms


def icd(code: str) -> Concept:
    return Concept((Code("icd-10-cm", code),))


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("http://snomed.info/sct", "snomed"),
        ("https://snomed.info/sct", "snomed"),
        ("http://loinc.org/", "loinc"),
        ("urn:oid:2.16.840.1.113883.6.12", "cpt"),
        ("http://hl7.org/fhir/sid/icd-10-cm", "icd-10-cm"),
        ("urn:oid:1.2.3", "urn:oid:1.2.3"),
        ("", ""),
    ],
)
def test_a_system_has_one_name_when_senders_write_it_in_several_ways(uri: str, name: str) -> None:
    assert terms().system(uri) == name


@pytest.mark.parametrize(
    ("concept", "sites"),
    [
        (icd("M25.552"), (Site("hip", "left"),)),
        (icd("M25552"), (Site("hip", "left"),)),
        (icd("M25.559"), (Site("hip"),)),
        (icd("M16.0"), (Site("hip", "bilateral"),)),
        (icd("M25.562"), (Site("knee", "left"),)),
        (icd("I10"), ()),
        (Concept((Code("snomed", "287679003"),)), (Site("hip", "left"),)),
        (Concept((Code("snomed", "287579007"),)), (Site("hip", "right"),)),
        (Concept(text="pain in the RIGHT hip"), (Site("hip", "right"),)),
        (Concept(text="both hips"), (Site("hip", "bilateral"),)),
        (Concept(text="left and right hip"), (Site("hip", "bilateral"),)),
        (Concept(text="whiplash"), ()),
        (Concept(text="relationship problems"), ()),
    ],
)
def test_region_and_side_are_told_when_code_or_words_name_them(concept: Concept, sites: tuple[Site, ...]) -> None:
    assert terms().sites(concept) == sites


@pytest.mark.parametrize(
    ("code", "discipline"),
    [
        (Code("nucc", "225100000X"), Discipline.PHYSICAL_THERAPY),
        (Code("nucc", "2251X0800X"), Discipline.PHYSICAL_THERAPY),
        (Code("nucc", "225XH1200X"), Discipline.OCCUPATIONAL_THERAPY),
        (Code("revenue", "0427"), Discipline.PHYSICAL_THERAPY),
        (Code("revenue", "0439"), Discipline.OCCUPATIONAL_THERAPY),
        (Code("revenue", "0450"), None),
        (Code("cpt", "97110"), None),
        (Code("cpt", "97161"), Discipline.PHYSICAL_THERAPY),
    ],
)
def test_the_discipline_is_told_when_a_code_or_its_branch_has_one(code: Code, discipline: Discipline | None) -> None:
    assert terms().discipline(Concept((code,))) is discipline


@pytest.mark.parametrize(
    ("name", "instrument"),
    [
        ("iHOT-12", "ihot-12"),
        ("IHOT 12", "ihot-12"),
        ("ihot12", "ihot-12"),
        ("HAGOS", "hagos"),
        ("", None),
        ("hip", None),
    ],
)
def test_an_instrument_is_known_by_name_when_case_and_punctuation_differ(name: str, instrument: str | None) -> None:
    found = terms().measure_for_name(name)
    assert (found[0].id if found else None) == instrument


def test_the_known_sets_are_named_when_there_is_no_such_value_set() -> None:
    with pytest.raises(CatalogueError, match="therapy-services"):
        terms().valueset("nowhere")
