"""The value sets, code systems and body regions say what they claim, and say it in one form."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import simple_icd_10_cm as icd10
import yaml
from fhir.resources.R4B import get_fhir_model_class

ROOT = Path(__file__).parents[2] / "fhir_profiles"
FILES = sorted((ROOT / "valuesets").glob("*.yaml"))
OTHER_SHAPES = {"body-regions", "instruments-by-region"}
DISCIPLINES = {
    "physical-therapy",
    "occupational-therapy",
    "speech-therapy",
    "chiropractic",
    "behavioral-health",
}
SIDES = ("right", "left", "bilateral")


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


DOCUMENTS = {path.stem: read(path) for path in FILES}
SETS = {name: data for name, data in DOCUMENTS.items() if name not in OTHER_SHAPES}
SYSTEMS = read(ROOT / "codesystems" / "systems.yaml")["systems"]
REGIONS = DOCUMENTS["body-regions"]
INSTRUMENTS = {path.stem: read(path) for path in (ROOT / "instruments").glob("*.yaml")}
LEAVES = {code.replace(".", ""): code for code in icd10.get_all_codes() if icd10.is_leaf(code)}
CODE_SYSTEMS = sorted((ROOT / "codesystems").glob("*.json"))


def own_codes() -> dict[str, set[str]]:
    found = [json.loads(path.read_text(encoding="utf-8")) for path in CODE_SYSTEMS]
    return {resource["url"]: {concept["code"] for concept in resource["concept"]} for resource in found}


def in_branch(prefix: str) -> list[str]:
    return [code for bare, code in LEAVES.items() if bare.startswith(prefix.replace(".", ""))]


def icd10_prefixes() -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, entry) for name, data in SETS.items() for entry in data["prefixes"] if entry["system"] == "icd-10-cm"
    ]


def region_entries() -> list[tuple[str, dict[str, Any]]]:
    return [(region["id"], entry) for region in REGIONS["regions"] for entry in region["icd10"]]


def all_codes() -> list[tuple[str, dict[str, Any]]]:
    found = [(name, entry) for name, data in SETS.items() for entry in data["codes"]]
    for name, data in INSTRUMENTS.items():
        parts = [data, *data["subscales"]]
        found += [(name, code) for part in parts for code in part["codes"]]
    found += [(r["id"], site) for r in REGIONS["regions"] for site in r["body-sites"]]
    found += [(side, code) for side in REGIONS["sides"] for code in REGIONS["sides"][side]["qualifiers"]]
    return found


def side_in_words(code: str) -> str | None:
    words = icd10.get_description(code).lower()
    right, left = "right" in words, "left" in words
    if right != left:
        return "right" if right else "left"
    return "bilateral" if "bilateral" in words else None


def side_in_code(code: str, entry: dict[str, Any]) -> str | None:
    if "side" in entry:
        return str(entry["side"])
    bare, place = code.replace(".", ""), entry.get("side-character")
    mark = bare[place - 1] if place and len(bare) >= place else ""
    for side in SIDES:
        if mark and mark in entry.get(side, REGIONS["sides"][side]["icd10-characters"]):
            return side
    return None


@pytest.mark.parametrize("name", DOCUMENTS)
def test_header_is_whole_when_a_file_is_read(name: str) -> None:
    data = DOCUMENTS[name]
    assert data["id"] == name
    assert all(isinstance(data[key], str) and data[key].strip() for key in ("title", "purpose", "cite"))
    assert isinstance(data["checked_on"], date)
    assert isinstance(data["verified"], bool)


@pytest.mark.parametrize("name", SETS)
def test_entries_have_one_form_when_a_set_is_read(name: str) -> None:
    data = SETS[name]
    assert all(isinstance(data[key], list) for key in ("codes", "prefixes", "words"))
    assert data["codes"] or data["prefixes"] or data["words"]
    for entry in (*data["codes"], *data["prefixes"]):
        key = "code" if "code" in entry else "prefix"
        assert isinstance(entry[key], str), f"{entry} needs quotes"
        assert isinstance(entry["label"], str)
        assert entry["label"]
        assert entry["system"] in SYSTEMS
        assert entry.get("discipline", "physical-therapy") in DISCIPLINES
    assert all(isinstance(word, str) and word == word.lower() for word in data["words"])


@pytest.mark.parametrize("name", SETS)
def test_nothing_stands_twice_when_a_set_is_read(name: str) -> None:
    data = SETS[name]
    entries = [(e["system"], e.get("code"), e.get("prefix")) for e in (*data["codes"], *data["prefixes"])]
    assert not [entry for entry, times in Counter([*entries, *data["words"]]).items() if times > 1]


@pytest.mark.parametrize(("name", "entry"), icd10_prefixes())
def test_branch_exists_when_a_set_names_icd10_prefix(name: str, entry: dict[str, Any]) -> None:
    codes = in_branch(entry["prefix"])
    assert codes, f"{name}: {entry['prefix']} is no ICD-10-CM branch"
    endings = entry.get("only-ending", [])
    assert all(any(code.endswith(ending) for code in codes) for ending in endings)


@pytest.mark.parametrize(("region", "entry"), region_entries())
def test_side_agrees_with_description_when_region_names_branch(region: str, entry: dict[str, Any]) -> None:
    codes = in_branch(entry["prefix"])
    assert codes, f"{region}: {entry['prefix']} is no ICD-10-CM branch"
    wrong = {code for code in codes if side_in_code(code, entry) != side_in_words(code)}
    assert not wrong, f"{entry['prefix']} reads these otherwise than their descriptions: {sorted(wrong)[:5]}"


@pytest.mark.parametrize("code", ["G89.4", "G89.21", "M79.10", "M79.18", "R52", "F45.41"])
def test_code_is_in_no_region_when_it_names_no_joint(code: str) -> None:
    bare = code.replace(".", "")
    assert not [r for r, entry in region_entries() if bare.startswith(entry["prefix"].replace(".", ""))]


def test_branch_is_in_one_region_when_regions_are_compared() -> None:
    times = Counter(entry["prefix"] for _, entry in region_entries())
    assert not [prefix for prefix, count in times.items() if count > 1]


@pytest.mark.parametrize(
    ("code", "region", "side"),
    [
        ("M25.552", "hip", "left"),
        ("M16.11", "hip", "right"),
        ("M16.0", "hip", "bilateral"),
        ("M25.559", "hip", None),
        ("S72.045A", "hip", "left"),  # undisplaced, so 5 and not 2
        ("M17.12", "knee", "left"),
        ("M54.50", "low-back", None),
        ("M75.101", "shoulder", "right"),
        ("R10.22", "pelvis", "left"),
    ],
)
def test_region_and_side_are_told_when_a_diagnosis_has_them(code: str, region: str, side: str | None) -> None:
    bare = code.replace(".", "")
    fits = [(r, e) for r, e in region_entries() if bare.startswith(e["prefix"].replace(".", ""))]
    found, entry = max(fits, key=lambda fit: len(fit[1]["prefix"]))
    assert (found, side_in_code(code, entry)) == (region, side)


def test_all_regions_are_there_when_body_regions_are_read() -> None:
    assert [region["id"] for region in REGIONS["regions"]] == [
        "hip", "knee", "low-back", "neck", "shoulder",
        "elbow", "wrist-hand", "ankle-foot", "pelvis", "thorax",
    ]  # fmt: skip
    assert all(region["body-sites"] and region["words"] for region in REGIONS["regions"])


def test_uri_has_one_name_when_code_systems_are_read() -> None:
    others = Counter(uri for entry in SYSTEMS.values() for uri in entry["also"])
    assert not [uri for uri, times in others.items() if times > 1]
    assert not others.keys() & {entry["url"] for entry in SYSTEMS.values()}


@pytest.mark.parametrize("path", CODE_SYSTEMS, ids=lambda path: path.stem)
def test_code_system_is_valid_when_it_is_our_own(path: Path) -> None:
    resource = json.loads(path.read_text(encoding="utf-8"))
    get_fhir_model_class("CodeSystem").model_validate(resource)
    assert resource["url"] in {entry["url"] for entry in SYSTEMS.values()}
    assert resource["count"] == len(resource["concept"])


def test_code_is_defined_when_it_is_of_our_own_systems() -> None:
    ours = [(where, entry) for where, entry in all_codes() if entry["system"].startswith("therapy-")]
    defined = own_codes()
    missing = [(w, e["code"]) for w, e in ours if e["code"] not in defined[SYSTEMS[e["system"]]["url"]]]
    assert ours
    assert not missing


def test_labels_are_short_when_codes_are_cpt() -> None:
    cpt = {(e["code"], e["label"]) for _, e in all_codes() if e["system"] == "cpt"}
    assert cpt
    assert not [entry for entry in cpt if len(entry[1]) > 55 or ";" in entry[1]]


def test_dry_needling_is_missing_when_the_sample_plan_lists_its_codes() -> None:
    listed = {entry["code"] for entry in SETS["sample-physical-therapy-code-list"]["codes"]}
    needling = {entry["code"] for entry in SETS["dry-needling"]["codes"]}
    assert needling == {"20560", "20561"}
    assert not listed & (needling | {"97010"})
    assert {"97110", "97112", "97140", "97161", "97164"} <= listed


def test_shared_codes_name_no_discipline_when_services_are_recognised() -> None:
    named = {e["code"]: e.get("discipline") for e in SETS["therapy-services"]["codes"]}
    assert [named[code] for code in ("97110", "97140", "97530", "97535")] == [None] * 4
    assert named["97164"] == "physical-therapy"
    assert named["97168"] == "occupational-therapy"


def test_office_visits_are_left_out_when_a_programme_is_recognised() -> None:
    recognised = {entry["code"] for entry in SETS["pain-programme-services"]["codes"]}
    lines = {entry["code"] for entry in SETS["pain-programme-lines"]["codes"]}
    assert recognised < lines
    assert not recognised & {"99213", "99243", "80307", "80364", "97110", "97799"}


def test_rules_name_known_instruments_when_regions_list_them() -> None:
    data = DOCUMENTS["instruments-by-region"]
    assert set(data["regions"]) == {region["id"] for region in REGIONS["regions"]}
    rules = [rule for region in data["regions"].values() for rule in region]
    named = {name for rule in rules for name in rule["instruments"]} | set(data["any"])
    assert named <= INSTRUMENTS.keys()
    assert set(data["pain-only"]) <= {name for name, i in INSTRUMENTS.items() if i["measures"] == "pain"}
    assert all(in_branch(prefix) for rule in rules for prefix in rule.get("for", []))


@pytest.mark.parametrize(
    ("region", "first"),
    [("hip", {"hagos", "ihot-12"}), ("low-back", {"odi"}), ("neck", {"ndi"}), ("wrist-hand", {"quickdash"})],
)
def test_usual_instrument_comes_first_when_a_region_is_asked(region: str, first: set[str]) -> None:
    rules = [rule for rule in DOCUMENTS["instruments-by-region"]["regions"][region] if "for" not in rule]
    assert set(rules[0]["instruments"][: len(first)]) == first


def test_joint_replacement_measures_come_first_when_the_hip_is_arthritic() -> None:
    rule = DOCUMENTS["instruments-by-region"]["regions"]["hip"][0]
    assert "M16" in rule["for"]
    assert set(rule["instruments"][:2]) == {"hoos-jr", "hoos"}
