"""docs/policies.md: what it teaches works, and it leaves nothing out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cds.authoring.cases import case_schema
from cds.authoring.sentences import SENTENCES
from cds.cli import policy
from cds.rules.criteria import KINDS
from cds.rules.load import policy_schema

DOC = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")


def _words(schema: Any) -> Iterator[str]:
    """Every key, and every value of a closed list, in a JSON Schema."""
    if isinstance(schema, dict):
        for key, value in schema.get("properties", {}).items():
            yield key
            yield from _words(value)
        yield from (item for item in schema.get("enum", ()) if isinstance(item, str))
        yield from (word for key, value in schema.items() if key != "properties" for word in _words(value))
    elif isinstance(schema, list):
        yield from (word for item in schema for word in _words(item))


def _documented(word: str) -> bool:
    outside = re.sub(r"```.*?```", "", DOC, flags=re.DOTALL)
    code = " ".join(re.findall(r"`[^`]+`", outside))
    return re.search(rf"(?<![a-z-]){re.escape(word)}(?![a-z-])", code) is not None


@pytest.mark.parametrize("word", sorted(set(_words({k: v for k, v in policy_schema().items() if k != "kinds"}))))
def test_a_key_of_a_policy_is_explained_when_the_schema_has_it(word: str) -> None:
    assert _documented(word)


@pytest.mark.parametrize("word", sorted(set(_words(case_schema()))))
def test_a_key_of_a_case_is_explained_when_the_schema_has_it(word: str) -> None:
    assert _documented(word)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_is_explained_with_its_parameters_when_policies_can_use_it(kind: str) -> None:
    (row,) = [line for line in DOC.splitlines() if line.startswith(f"| `{kind}` |")]
    for parameter in policy_schema()["kinds"][kind].get("properties", {}):
        assert f"`{parameter}`" in row


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_nothing_found_means_is_as_explain_tells_it_when_a_kind_is_looked_up(kind: str) -> None:
    (row,) = [line for line in DOC.splitlines() if line.startswith(f"| `{kind}` |")]
    assert row.rsplit("|", 2)[1].strip() == (SENTENCES[kind].nothing or "–")


def _block(name: str) -> str:
    found = re.search(rf"```yaml {name}\n(.*?)```", DOC, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "my-policies" / "my-plan-visit-limit"
    (own / "cases").mkdir(parents=True)
    (own / "policy.yaml").write_text(_block("policy"), encoding="utf-8")
    (own / "cases" / "limit.yaml").write_text(_block("cases"), encoding="utf-8")
    return tmp_path / "my-policies"


@pytest.mark.parametrize("command", ["check", "test"])
def test_the_ten_minutes_end_well_when_the_page_is_followed(folder: Path, command: str) -> None:
    done = CliRunner().invoke(policy, [command, "--path", str(folder)])
    assert (done.exit_code, done.stderr) == (0, "")


def test_the_policy_reads_in_plain_sentences_when_the_page_is_followed(folder: Path) -> None:
    done = CliRunner().invoke(policy, ["explain", "my-plan-visit-limit", "--markdown", "--path", str(folder)])
    assert "Visits completed and visits asked for come to no more than 20 visits." in done.stdout
    assert "Counted are the visits of the calendar year." in done.stdout


def test_what_is_not_guarded_yet_is_as_the_page_says_when_mutate_is_run(folder: Path) -> None:
    done = CliRunner().invoke(policy, ["mutate", "--path", str(folder)])
    assert done.exit_code == 2
    assert "applies to payers without my-plan" in done.stdout
    assert "effective from 2025-01-02" in done.stdout
    assert "threshold plan-visits from 2025-01-01: 21" not in done.stdout
    assert "threshold plan-visits from 2025-01-01: 19" not in done.stdout
