from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hooks.sandbox.errors import InputError
from hooks.sandbox.examples import example_of, read_examples, transaction

PATIENT = {"resourceType": "Patient", "id": "p1"}
ORDER = {"resourceType": "ServiceRequest", "id": "o1", "status": "draft"}
VISIT = {"resourceType": "Encounter", "id": "e1", "status": "finished"}


def bundle(*resources: dict[str, Any]) -> str:
    entries = [{"fullUrl": "urn:uuid:1", "resource": resource} for resource in resources]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries})


def test_draft_orders_stay_off_the_server_when_an_example_is_loaded() -> None:
    example = example_of("x.json", bundle(PATIENT, ORDER, VISIT))
    entries = transaction(example)["entry"]
    assert example.drafts == (ORDER,)
    assert [entry["request"] for entry in entries] == [
        {"method": "PUT", "url": "Patient/p1"},
        {"method": "PUT", "url": "Encounter/e1"},
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "not a FHIR resource"),
        (bundle(VISIT), "0 Patients"),
        (bundle(PATIENT, {"resourceType": "Encounter"}), r"entry\[1\]"),
    ],
)
def test_file_is_named_when_it_is_no_example(text: str, says: str) -> None:
    with pytest.raises(InputError, match=rf"x\.json: .*{says}"):
        example_of("x.json", text)


@pytest.mark.parametrize("folder", ["missing", "."])
def test_folder_is_named_when_it_holds_no_examples(folder: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name a folder"):
        read_examples(tmp_path / folder)


def test_each_patient_has_an_order_to_sign_when_the_examples_are_the_projects_own() -> None:
    examples = read_examples()
    assert {"f000", "f001"} <= {example.name for example in examples}
    assert all(example.drafts for example in examples)
