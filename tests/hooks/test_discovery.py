"""What discovery lists of each hook."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from cds.fhir.queries import queries_for, template_of
from cds.model import Fact, Need
from cds.rules.load import load_policies, packaged_policies
from cds.rules.needs import needs_of
from cds.terminology import packaged
from hooks.callers import CALLERS
from hooks.routes.discovery import HOOKS, service_list
from tests.hooks.calls import Json
from tests.hooks.hook_calls import templates

LEGAL = {"context.patientId", "context.encounterId", "context.userId"}
OWN = {
    "order-sign": set(),
    "order-select": set(),
    "order-dispatch": {"serviceRequests"},
    "appointment-book": {"serviceRequests"},
    "encounter-start": {"encounter", "serviceRequests"},
    "encounter-discharge": {"encounter", "serviceRequests"},
}


@pytest.fixture(params=sorted(HOOKS))
def service(request: pytest.FixtureRequest, client: FlaskClient) -> Json:
    (found,) = [s for s in client.get("/cds-services").get_json()["services"] if s["id"] == request.param]
    listed: Json = found
    return listed


def test_each_hook_has_a_service_when_services_are_listed(client: FlaskClient) -> None:
    listed = {s["id"]: s["hook"] for s in client.get("/cds-services").get_json()["services"]}
    assert listed == {f"{hook}-therapy": hook for hook in OWN}
    assert set(CALLERS) == set(OWN)


def test_every_field_is_filled_in_when_a_service_is_listed(service: Json) -> None:
    for name in ("title", "description", "usageRequirements"):
        assert len(service[name]) > 10
    assert service["prefetch"]


def test_templates_are_legal_in_the_oldest_version_when_a_service_is_listed(service: Json) -> None:
    for template in service["prefetch"].values():
        tokens = re.findall(r"{{(.*?)}}", template)
        assert len(tokens) == 1
        assert set(tokens) <= LEGAL
        names = [pair.partition("=")[0] for pair in template.partition("?")[2].split("&")]
        assert len(names) == len(set(names))
    has_encounter = "encounter" in service["prefetch"]
    assert has_encounter is service["hook"].startswith("encounter-")


def test_nothing_is_asked_for_that_nobody_needs_when_a_service_is_listed(service: Json) -> None:
    policies = load_policies([packaged_policies()], packaged())
    needs = (Need(Fact.PATIENT), Need(Fact.COVERAGE), *needs_of(policies))
    needed = {key: template_of(query) for key, query in queries_for(needs, packaged()).items()}
    assert set(service["prefetch"]) - OWN[service["hook"]] <= set(needed)
    assert all(needed[key] == service["prefetch"][key] for key in set(service["prefetch"]) & set(needed))


@pytest.mark.parametrize("hook", ["order-select", "encounter-start", "encounter-discharge"])
def test_less_is_asked_for_when_a_hook_speaks_of_a_part_of_the_criteria(hook: str) -> None:
    assert not {"imagingStudies", "medicationRequests", "claimResponses"} & templates(hook).keys()


def test_only_what_every_call_needs_is_asked_for_when_there_is_no_policy() -> None:
    listed = {service["hook"]: set(service["prefetch"]) for service in service_list((), packaged())}
    assert listed["order-sign"] == listed["order-select"] == {"patient", "coverage"}
    assert listed["order-dispatch"] == {"patient", "coverage", "serviceRequests"}
