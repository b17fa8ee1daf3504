"""Creating resources at the EHR over HTTP: what is sent, and what is told when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from hooks.smart.errors import EhrFailed
from hooks.smart.story.writing import poster
from tests.hooks.smart.ehr import TestEhr, running_ehr

Json = dict[str, Any]
OBSERVATION: Json = {"resourceType": "Observation", "status": "final"}


@pytest.fixture
def ehr() -> Iterator[TestEhr]:
    """An EHR that runs."""
    with running_ehr() as found:
        yield found


def create(ehr: TestEhr) -> str:
    with requests.Session() as session:
        return poster(session, f"{ehr.base}/", "secret-token")(OBSERVATION)


def test_resource_is_created_with_the_user_s_token_when_it_is_posted(ehr: TestEhr) -> None:
    assert create(ehr) == "Observation/new-1"
    assert ehr.created == [("Bearer secret-token", OBSERVATION)]


def test_id_is_taken_from_the_body_when_there_is_no_location(ehr: TestEhr) -> None:
    ehr.faults.create_location, ehr.faults.create_body = False, '{"resourceType": "Observation", "id": "of-body"}'
    assert create(ehr) == "Observation/of-body"


@pytest.mark.parametrize("body", ["", "[]", "{", '{"id": 5}', '{"id": "../x"}'])
def test_it_is_told_that_the_id_is_not_known_when_the_ehr_does_not_say_it(ehr: TestEhr, body: str) -> None:
    ehr.faults.create_location, ehr.faults.create_body = False, body
    with pytest.raises(EhrFailed, match="did not say under which id"):
        create(ehr)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 500, 302])
def test_refusal_is_told_without_the_ehr_s_words_when_it_does_not_create(ehr: TestEhr, status: int) -> None:
    ehr.faults.create_status = status
    with pytest.raises(EhrFailed, match=f"did not save the Observation \\({status}\\)") as refused:
        create(ehr)
    assert "Jane Doe" not in str(refused.value)


def test_doubt_is_told_when_nobody_answers() -> None:
    with requests.Session() as session, pytest.raises(EhrFailed, match="is not known") as refused:
        poster(session, "http://127.0.0.1:9/fhir", "secret-token")(OBSERVATION)
    assert "secret-token" not in str(refused.value)
