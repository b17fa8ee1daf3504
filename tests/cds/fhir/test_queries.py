from __future__ import annotations

import pytest

from cds.fhir.queries import INDISPENSABLE, PATIENT_TOKEN, queries_for, search_of, template_of
from cds.model import Fact, Need, Query
from tests.cds.build import terms

EVERYTHING = queries_for([Need(fact) for fact in Fact], terms())


@pytest.mark.parametrize("key", EVERYTHING)
def test_template_and_search_are_one_query_when_the_patient_is_filled_in(key: str) -> None:
    query = EVERYTHING[key]
    assert template_of(query).replace(PATIENT_TOKEN, "f000") == search_of(query, "f000")
    assert "f000" in search_of(query, "f000")
    assert search_of(query, "f000").startswith(query.resource)


@pytest.mark.parametrize("key", EVERYTHING)
def test_a_template_uses_one_first_level_token_when_it_is_offered_in_discovery(key: str) -> None:
    template = template_of(EVERYTHING[key])
    assert template.count("{{") == 1
    assert PATIENT_TOKEN in template
    assert "{patient}" not in template.replace(PATIENT_TOKEN, "")
    assert " " not in template


@pytest.mark.parametrize("key", EVERYTHING)
def test_no_parameter_is_repeated_when_a_search_is_built(key: str) -> None:
    search = search_of(EVERYTHING[key], "f000")
    names = [pair.split("=")[0] for pair in search.partition("?")[2].split("&") if pair]
    assert len(names) == len(set(names))


# Who ordered is read from the order's own reference, not searched.
@pytest.mark.parametrize("fact", sorted(set(Fact) - {Fact.REQUESTER}))
def test_some_query_serves_a_fact_when_a_policy_may_need_it(fact: Fact) -> None:
    assert any(fact in query.facts for query in EVERYTHING.values())


def test_only_what_is_needed_is_asked_when_the_needs_are_few() -> None:
    asked = queries_for([Need(Fact.COVERAGE), Need(Fact.GOALS)], terms())
    assert set(asked) == {"coverage", "goals"}
    assert queries_for([], terms()) == {}


def test_each_query_is_asked_once_when_several_needs_share_it() -> None:
    asked = queries_for([Need(Fact.MEASURES), Need(Fact.STATEMENTS), Need(Fact.MEASURES)], terms())
    assert set(asked) == {"observations", "measures", "questionnaireResponses"}


def test_a_failed_search_still_counts_when_only_an_advisory_criterion_needs_it() -> None:
    query: Query = queries_for([Need(Fact.IMAGING, essential=False)], terms())["imagingStudies"]
    assert query.essential


def test_the_codes_of_scores_are_searched_when_measures_are_needed() -> None:
    path = EVERYTHING["measures"].path
    for code in ("72093-8", "71971-6", "44261-6", "89196-0"):
        assert code in path


def test_what_is_indispensable_is_in_the_table_when_a_request_is_refused_for_its_lack() -> None:
    assert set(EVERYTHING) >= INDISPENSABLE
