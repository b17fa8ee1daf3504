"""The catalogue of outcome and impairment measures: every number is cited and in range."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "fhir_profiles" / "instruments"
CATALOGUE: dict[str, dict[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.yaml"))
}
KEYS = {
    "id", "name", "title", "kind", "aliases", "measures", "regions", "population", "range", "better", "unit",
    "subscales", "codes", "questionnaires", "important-change", "detectable-change", "traps", "other-scales",
    "bands", "licence", "cite", "checked_on", "verified",
}  # fmt: skip
EXTRAS = {"thresholds", "safety-item", "answers", "scoring", "usual-units", "ordinal", "deficit-words", "is-change"}
MEASURES = {
    "function", "pain", "mental-health", "beliefs", "balance", "walking", "cognition",
    "range-of-motion", "strength", "functional-task",
}  # fmt: skip
KINDS = {"questionnaire", "performance-test", "impairment", "statement"}
WANTED = {
    "hagos", "ihot-12", "ihot-33", "hoos", "hoos-jr", "koos", "koos-jr", "lefs", "odi", "ndi", "dash",
    "quickdash", "uefi", "psfs", "nprs", "promis-physical-function", "promis-pain-interference",
    "promis-global-health",
    "kos-adls", "fabq", "phq-9", "pdi", "six-minute-walk", "tug", "am-pac", "patient-reported-improvement",
    "hip-flexion", "hip-abduction", "hip-adduction", "hip-external-rotation", "hip-internal-rotation",
    "muscle-strength", "functional-task",
}  # fmt: skip
# What the public sources say: id, direction, lowest and highest score, LOINC codes.
PUBLISHED = [
    ("hagos", "higher", 0, 100, set()),
    ("ihot-12", "higher", 0, 100, set()),
    ("hoos", "higher", 0, 100, {"72092-0", "72093-8", "72094-6", "72095-3", "72096-1", "72097-9"}),
    ("hoos-jr", "higher", 0, 100, {"82316-1", "82323-7"}),
    ("koos", "higher", 0, 100, {"72091-2", "72098-7", "72099-5", "72100-1", "72101-9", "72102-7"}),
    ("koos-jr", "higher", 0, 100, {"82324-5", "82332-8"}),
    ("lefs", "higher", 0, 80, set()),
    ("odi", "lower", 0, 100, {"97908-8", "97909-6"}),
    ("ndi", "lower", 0, 100, {"82226-2", "82237-9"}),
    ("dash", "lower", 0, 100, set()),
    ("quickdash", "lower", 0, 100, set()),
    ("uefi", "higher", 0, 80, set()),
    ("psfs", "higher", 0, 10, set()),
    ("nprs", "lower", 0, 10, {"72514-3", "38208-5", "52742-4"}),
    ("phq-9", "lower", 0, 27, {"44249-1", "44260-8", "44261-6"}),
    ("pdi", "lower", 0, 70, set()),
    ("six-minute-walk", "higher", 0, 1000, {"64098-7"}),
    ("hip-flexion", "higher", -30, 160, {"100293-0"}),
    ("am-pac", "higher", 0, 100, {"79529-4", "79532-8", "79535-1"}),
]


def parts(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [data, *({**data, **subscale} for subscale in data["subscales"])]


def codes(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [code for part in (data, *data["subscales"]) for code in part["codes"]]


def test_all_instruments_are_there_when_the_catalogue_is_read() -> None:
    assert CATALOGUE.keys() >= WANTED


@pytest.mark.parametrize("name", CATALOGUE)
def test_keys_are_whole_when_an_instrument_is_read(name: str) -> None:
    data = CATALOGUE[name]
    assert data["id"] == name
    assert data.keys() >= KEYS
    assert data.keys() <= KEYS | EXTRAS
    assert data["measures"] in MEASURES
    assert data["kind"] in KINDS
    assert all(isinstance(alias, str) for alias in data["aliases"])
    assert data["regions"]
    assert data["cite"]
    assert isinstance(data["checked_on"], date)
    assert isinstance(data["verified"], bool)


@pytest.mark.parametrize("name", CATALOGUE)
def test_numbers_lie_in_range_when_an_instrument_is_read(name: str) -> None:
    for part in parts(CATALOGUE[name]):
        if part["range"] is None:
            assert part["measures"] == "functional-task"
            continue
        low, high = part["range"]["low"], part["range"]["high"]
        assert low < high
        assert part["better"] in ("higher", "lower")
        for change in (part["important-change"], part["detectable-change"]):
            assert change is None or 0 < change["value"] <= change.get("up-to", change["value"]) < high - low
        for threshold in part.get("thresholds", []):
            if threshold.get("subscale", part["id"]) == part["id"]:
                assert low <= threshold["value"] <= high


@pytest.mark.parametrize("name", CATALOGUE)
def test_threshold_is_cited_when_it_has_a_value(name: str) -> None:
    data = CATALOGUE[name]
    changes = [part[key] for part in parts(data) for key in ("important-change", "detectable-change") if part[key]]
    for number in (*changes, *data.get("thresholds", [])):
        assert number["cite"]
        assert number["kind"]
        assert isinstance(number["checked_on"], date)
        assert isinstance(number["verified"], bool)
        assert not (number["verified"] and "memory" in number["cite"])


@pytest.mark.parametrize("name", CATALOGUE)
def test_licence_is_read_when_items_may_be_shown(name: str) -> None:
    data = CATALOGUE[name]
    licence = data["licence"]
    assert {"items-may-be-shown", "says", "read-at", "checked_on", "verified"} == licence.keys()
    if licence["items-may-be-shown"] and not licence["verified"]:
        assert data["kind"] in ("impairment", "statement") or name == "nprs"  # nobody's wording


@pytest.mark.parametrize("name", CATALOGUE)
def test_codes_say_what_they_are_when_an_instrument_has_codes(name: str) -> None:
    found = codes(CATALOGUE[name])
    assert found, "an instrument that no code can find"
    assert all(isinstance(code["code"], str) and isinstance(code["verified"], bool) for code in found)
    assert {code["what"] for code in found} <= {"total", "panel", "item", "subscale", "measure"}
    assert len({(code["system"], code["code"]) for code in found}) == len(found)


def test_code_means_one_thing_when_instruments_are_compared() -> None:
    times = Counter((code["system"], code["code"]) for data in CATALOGUE.values() for code in codes(data))
    assert not [code for code, count in times.items() if count > 1]


def test_loinc_code_has_its_check_digit_when_it_is_listed() -> None:
    loinc = [code["code"] for data in CATALOGUE.values() for code in codes(data) if code["system"] == "loinc"]
    assert len(loinc) > 40
    assert not [code for code in loinc if check_digit(code.split("-")[0]) != int(code.split("-")[1])]


def check_digit(number: str) -> int:
    """LOINC uses the Luhn algorithm: every second digit from the right is doubled."""
    digits = [int(digit) for digit in reversed(number)]
    total = sum(sum(divmod(2 * d, 10)) if place % 2 == 0 else d for place, d in enumerate(digits))
    return -total % 10


@pytest.mark.parametrize(("name", "better", "low", "high", "loinc"), PUBLISHED)
def test_scale_and_codes_agree_when_compared_with_publications(
    name: str, better: str, low: int, high: int, loinc: set[str]
) -> None:
    data = CATALOGUE[name]
    assert (data["better"], data["range"]) == (better, {"low": low, "high": high})
    assert {code["code"] for code in codes(data) if code["system"] == "loinc"} == loinc


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [("ihot-12", 14, "MCII"), ("lefs", 9, "MCID"), ("odi", 12, "MCID"), ("dash", 10, "MCID")],
)
def test_important_change_agrees_when_it_is_verified(name: str, value: float, kind: str) -> None:
    change = CATALOGUE[name]["important-change"]
    assert (change["value"], change["kind"], change["verified"]) == (value, kind, True)


def test_alias_names_one_instrument_when_case_and_punctuation_are_dropped() -> None:
    seen: dict[str, str] = {}
    for name, data in CATALOGUE.items():
        for alias in {name, data["name"], *data["aliases"]}:
            bare = "".join(letter for letter in alias.lower() if letter.isalnum())
            assert seen.setdefault(bare, name) == name, f"{alias} names {seen[bare]} and {name}"


@pytest.mark.parametrize(
    ("score", "label"),
    [(0, "minimal"), (4, "minimal"), (5, "mild"), (9, "mild"), (10, "moderate"), (14, "moderate"),
     (15, "moderately severe"), (19, "moderately severe"), (20, "severe"), (21, "severe"), (27, "severe")],
)  # fmt: skip
def test_phq9_band_is_found_when_the_score_is_known(score: int, label: str) -> None:
    bands = CATALOGUE["phq-9"]["bands"]
    assert [band["label"] for band in bands if band["from"] <= score <= band["to"]] == [label]


def test_grades_rise_when_strength_is_ordinal() -> None:
    values = [grade["value"] for grade in CATALOGUE["muscle-strength"]["ordinal"]]
    assert values == sorted(set(values))
    assert (values[0], values[-1]) == (0, 5)


def test_pain_is_not_function_when_measures_are_sorted() -> None:
    assert CATALOGUE["nprs"]["measures"] == "pain"
    assert CATALOGUE["promis-pain-interference"]["measures"] == "pain"
    pain = {part["id"] for name in ("hoos", "koos", "hagos") for part in parts(CATALOGUE[name])
            if part["measures"] == "pain"}  # fmt: skip
    assert pain == {"pain"}
