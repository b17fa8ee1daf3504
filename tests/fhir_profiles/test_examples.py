"""The example patients are valid FHIR, hold together, and say what their sources say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import simple_icd_10_cm as icd10
import yaml
from fhir.resources.R4B import get_fhir_model_class

ROOT = Path(__file__).parents[2] / "fhir_profiles"
NAMES = ("f000", "f001", "f002", "f003", "f004")
PROVENANCE = "https://therapy-cds.example/CodeSystem/provenance"
CPT = "http://www.ama-assn.org/go/cpt"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
Resource = dict[str, Any]
BUNDLES: dict[str, Resource] = {
    name: json.loads((ROOT / "examples" / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES
}
PAYERS = {
    "f000": ("hip-benchmark-plan", "EHCPOL"),
    "f001": ("hip-benchmark-plan", "EHCPOL"),
    "f002": ("california-workers-compensation", "WCBPOL"),
    "f003": ("sample-health-plan", "EHCPOL"),
    "f004": ("pain-program-plan", "EHCPOL"),
}
F000_VISITS = [
    "2024-08-12", "2024-08-19", "2024-08-26", "2024-09-04", "2024-09-11", "2024-09-25",
    "2024-10-09", "2024-10-23", "2024-11-06", "2024-11-20", "2024-12-04", "2024-12-18",
    "2025-01-08", "2025-01-23", "2025-02-05", "2025-02-19", "2025-02-26", "2025-03-05",
]  # fmt: skip


def resources(name: str, kind: str | None = None) -> list[Resource]:
    found = [entry["resource"] for entry in BUNDLES[name]["entry"]]
    return [resource for resource in found if kind in (None, resource["resourceType"])]


def one(name: str, kind: str, id_: str | None = None) -> Resource:
    (found,) = [r for r in resources(name, kind) if id_ in (None, r["id"])]
    return found


def order(name: str) -> Resource:
    return one(name, "ServiceRequest")


def visits(name: str) -> list[Resource]:
    therapy = [e for e in resources(name, "Encounter") if "serviceType" in e]
    return sorted(therapy, key=lambda encounter: str(encounter["period"]["start"]))


def codes(concept: Resource) -> set[str]:
    return {coding["code"] for coding in concept.get("coding", [])}


def lines(name: str) -> list[str]:
    return [coding["code"] for detail in order(name).get("orderDetail", []) for coding in detail["coding"]]


def walk(value: Any) -> Iterator[Resource]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


ALL = [pytest.param(name, r, id=f"{r['resourceType']}/{r['id']}") for name in NAMES for r in resources(name)]


@pytest.mark.parametrize("name", NAMES)
def test_bundle_is_a_collection_when_an_example_is_read(name: str) -> None:
    bundle = BUNDLES[name]
    get_fhir_model_class("Bundle").model_validate(bundle)
    assert bundle["type"] == "collection"
    for entry in bundle["entry"]:
        kind, id_ = entry["resource"]["resourceType"], entry["resource"]["id"]
        assert entry["fullUrl"] == f"https://therapy-cds.example/fhir/{kind}/{id_}"


@pytest.mark.parametrize(("name", "resource"), ALL)
def test_resource_is_valid_and_tagged_when_an_example_is_read(name: str, resource: Resource) -> None:
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    tags = {tag["code"] for tag in resource["meta"]["tag"] if tag["system"] == PROVENANCE}
    assert tags
    assert tags <= {"stated", "completed"}
    assert resource["id"] == name or resource["id"].startswith(f"{name}-")
    assert not [part for part in walk(resource) if "extension" in part or "modifierExtension" in part]


@pytest.mark.parametrize("name", NAMES)
def test_references_resolve_when_an_example_is_alone(name: str) -> None:
    known = {f"{r['resourceType']}/{r['id']}" for r in resources(name)}
    used = {part["reference"] for r in resources(name) for part in walk(r) if "reference" in part}
    assert used <= known
    subjects = {r["subject"]["reference"] for r in resources(name) if "subject" in r}
    assert subjects == {f"Patient/{name}"}


def test_ids_are_unique_when_all_examples_share_a_server() -> None:
    found = [(r["resourceType"], r["id"]) for name in NAMES for r in resources(name)]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("name", NAMES)
def test_codings_are_known_when_an_example_uses_them(name: str) -> None:
    systems = yaml.safe_load((ROOT / "codesystems" / "systems.yaml").read_text(encoding="utf-8"))["systems"]
    plain = (
        "http://terminology.hl7.org/CodeSystem/", "http://hl7.org/fhir/us/core/CodeSystem/",
        "https://therapy-cds.example/",
    )  # fmt: skip
    known = {entry["url"] for entry in systems.values()}
    for part in (part for r in resources(name) for part in walk(r) if "system" in part):
        assert part["system"] in known or part["system"].startswith(plain), part["system"]
        if part["system"] == ICD10:
            assert icd10.is_leaf(part["code"])


@pytest.mark.parametrize("name", NAMES)
def test_payer_is_named_inside_the_reference_when_coverage_is_read(name: str) -> None:
    coverage = one(name, "Coverage")
    (payor,) = coverage["payor"]
    plan, kind = PAYERS[name]
    assert coverage["status"] == "active"
    assert codes(coverage["type"]) == {kind}
    assert payor["identifier"] == {"system": "https://therapy-cds.example/payers", "value": plan}
    assert payor["display"]
    payer = one(name, "Organization", payor["reference"].split("/")[1])
    assert payor["identifier"] in payer["identifier"]
    assert coverage["class"][0]["value"] == plan
    assert coverage["period"]["start"] <= order(name)["authoredOn"]


@pytest.mark.parametrize(
    ("name", "quantity", "authored"),
    [
        ("f000", 2, "2025-03-10"),
        ("f001", 8, "2025-09-05"),
        ("f002", 6, "2015-06-29"),
        ("f003", 12, "2025-06-01"),
    ],
)
def test_order_asks_for_visits_when_it_is_read(name: str, quantity: int, authored: str) -> None:
    request = order(name)
    assert request["id"] == f"{name}-order"
    assert (request["status"], request["intent"], request["authoredOn"]) == ("draft", "order", authored)
    assert request["quantityQuantity"]["value"] == quantity
    assert (request["quantityQuantity"]["unit"], request["quantityQuantity"]["code"]) == ("visit", "{visit}")
    assert "91251008" in codes(request["code"])
    assert request["reasonCode"]
    assert request["bodySite"]


def test_f000_has_18_visits_when_its_encounters_are_counted() -> None:
    found = visits("f000")
    assert [visit["period"]["start"][:10] for visit in found] == F000_VISITS
    assert {(visit["status"], visit["class"]["code"]) for visit in found} == {("finished", "AMB")}
    done = [p for p in resources("f000", "Procedure") if "encounter" in p]
    assert {code for procedure in done for code in codes(procedure["code"])} == {"97110", "97112", "97161"}
    assert {p["encounter"]["reference"] for p in done} == {f"Encounter/{visit['id']}" for visit in found}


def test_local_date_differs_from_utc_when_f000_came_in_the_evening() -> None:
    start = datetime.fromisoformat(visits("f000")[12]["period"]["start"])
    offset = start.utcoffset()
    assert offset is not None
    assert start.date() == date(2025, 1, 8)
    assert (start - offset).date() == date(2025, 1, 9)


@pytest.mark.parametrize("name", ["f000", "f001"])
def test_offset_is_new_york_time_when_a_visit_is_read(name: str) -> None:
    for visit in visits(name):
        start = datetime.fromisoformat(visit["period"]["start"])
        summer = date(2024, 3, 10) <= start.date() < date(2024, 11, 3) or start.date() >= date(2025, 3, 9)
        assert start.utcoffset() == timedelta(hours=-4 if summer else -5)


def test_f000_says_its_facts_when_its_source_states_them() -> None:
    assert lines("f000") == ["97110", "97112", "20561"]
    assert order("f000")["occurrenceTiming"]["event"] == ["2025-03-10", "2025-03-12"]
    assert order("f000")["supportingInfo"] == [{"reference": "CarePlan/f000-careplan"}]
    repeat = one("f000", "CarePlan")["activity"][0]["detail"]["scheduledTiming"]["repeat"]
    assert repeat == {
        "boundsPeriod": {"start": "2025-03-13", "end": "2025-05-08"},
        "frequency": 1, "frequencyMax": 2, "period": 1, "periodUnit": "wk",
    }  # fmt: skip
    assert codes(one("f000", "Condition")["code"]) == {"M25.552"}
    assert one("f000", "Condition")["onsetDateTime"] == "2023-03"
    assert one("f000", "Procedure", "f000-labral-repair")["performedDateTime"] == "2024-08-05"
    assert not resources("f000", "Observation")
    assert not resources("f000", "QuestionnaireResponse")
    assert "achievementStatus" not in one("f000", "Goal")


def test_f001_says_its_facts_when_its_source_states_them() -> None:
    found = visits("f001")
    assert [found[0]["period"]["start"][:10], found[-1]["period"]["start"][:10]] == [
        "2025-08-04",
        "2025-09-03",
    ]
    assert len(found) == 6
    first = {p["id"] for p in resources("f001", "Procedure") if p.get("performedDateTime", "")[:10] == "2025-08-04"}
    assert "f001-visit-01-97161" in first
    assert lines("f001") == ["97110", "97140", "97164"]
    repeat = order("f001")["occurrenceTiming"]["repeat"]
    assert (repeat["frequency"], repeat["period"], repeat["periodUnit"]) == (2, 1, "wk")
    start, end = (date.fromisoformat(repeat["boundsPeriod"][key]) for key in ("start", "end"))
    assert (start, end - start) == (date(2025, 9, 5), timedelta(weeks=4))


def test_f001_has_two_goals_achieved_when_goals_are_read() -> None:
    goals = {goal["id"]: goal for goal in resources("f001", "Goal")}
    status = {name: codes(goal["achievementStatus"]) for name, goal in goals.items()}
    assert {name for name, code in status.items() if code == {"achieved"}} == {
        "f001-goal-short-1", "f001-goal-short-3",
    }  # fmt: skip
    assert all("statusDate" in goal for goal in goals.values())


def test_f001_has_impairments_but_no_questionnaire_when_observations_are_read() -> None:
    found = {o["id"]: o for o in resources("f001", "Observation")}
    assert found["f001-hip-flexion-left"]["valueQuantity"]["value"] == 95
    assert found["f001-hip-flexion-right"]["valueQuantity"]["value"] == 120
    assert codes(found["f001-hip-flexion-left"]["code"]) == {"100293-0"}
    assert found["f001-improvement"]["valueQuantity"]["value"] == 55
    assert not resources("f001", "QuestionnaireResponse")


def test_numbness_is_older_than_therapy_when_f001_is_read() -> None:
    numbness = one("f001", "Condition", "f001-numbness")
    assert numbness["onsetDateTime"] < visits("f001")[0]["period"]["start"]
    assert numbness["recordedDate"] < visits("f001")[0]["period"]["start"]


def test_f002_says_its_facts_when_its_source_states_them() -> None:
    assert not visits("f002")
    assert not resources("f002", "Goal")
    assert one("f002", "Observation", "f002-work-status")["effectiveDateTime"] == "2015-06-29"
    assert one("f002", "Procedure")["performedDateTime"] == "2015-06-29"
    assert {c["onsetDateTime"] for c in resources("f002", "Condition")} == {"2014-12-29"}
    repeat = order("f002")["occurrenceTiming"]["repeat"]
    assert (repeat["frequency"], repeat["boundsDuration"]["value"]) == (2, 3)
    assert not [part for r in resources("f002") for part in walk(r) if part.get("system") == ICD10]


def test_f003_meets_its_policy_when_read_on_the_day_it_was_written() -> None:
    written = date(2025, 6, 1)
    tried = one("f003", "MedicationStatement")["effectivePeriod"]
    assert date.fromisoformat(tried["end"]) - date.fromisoformat(tried["start"]) == timedelta(days=115)
    films = sorted(i["started"][:10] for i in resources("f003", "ImagingStudy") if i["modality"][0]["code"] == "DX")
    assert films == ["2025-01-20", "2025-04-15"]
    assert written - date.fromisoformat(films[-1]) == timedelta(days=47)
    assert one("f003", "Observation", "f003-pain")["valueQuantity"]["value"] == 6
    assert one("f003", "Observation", "f003-fabq")["valueQuantity"]["value"] == 18
    allowed = one("f003", "ClaimResponse")["preAuthPeriod"]
    assert date.fromisoformat(allowed["end"]) - date.fromisoformat(allowed["start"]) == timedelta(days=90)
    assert order("f003")["occurrenceTiming"]["repeat"]["boundsPeriod"] == {"end": allowed["end"]}


def test_f004_says_its_facts_when_its_source_states_them() -> None:
    assert order("f004")["quantityQuantity"]["value"] == 17
    assert order("f004")["quantityQuantity"]["unit"] == "day"
    claimed = {codes(i["productOrService"]).pop(): i.get("quantity", {}) for i in one("f004", "Claim")["item"]}
    assert list(claimed) == lines("f004")
    units = {code: quantity["value"] for code, quantity in claimed.items() if quantity}
    assert units == {"96164": 30, "96165": 244, "97150": 65}
    assert one("f004", "Observation", "f004-phq-9")["valueQuantity"]["value"] == 21
    pain = one("f004", "Condition", "f004-chronic-pain")
    assert (codes(pain["code"]), pain["onsetDateTime"]) == ({"G89.4"}, "2010")
    born = date.fromisoformat(one("f004", "Patient")["birthDate"])
    assert (date(2025, 3, 3) - born).days // 365 == 32


def test_readme_tells_of_every_example_when_it_is_read() -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert all(f"**{name}**" in text for name in NAMES)
