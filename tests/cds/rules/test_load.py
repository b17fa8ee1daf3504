"""Every mistake in a policy is refused with file, line, key and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds.errors import PolicyError
from cds.rules.load import load_policies, load_policy, packaged_policies, policy_files
from cds.rules.policy import AllOf, Leaf, OfCriterion, Stance
from tests.cds.build import terms

BAD = Path(__file__).parent / "bad_policies"

# Folder of the bad file: its line, its key, words of the message, words of the remedy.
MISTAKES = {
    "a-list": (1, "", "not of type 'object'", "docs/policies.md"),
    "circle": (33, "criteria[0].test", "'within-limit' refers to itself", "circle"),
    "circle-in-applies-when": (34, "criteria[0].applies-when", "'within-limit' refers to itself", "circle"),
    "date-in-words": (11, "effective.from", "'January 2025'", "date"),
    "duplicate-criterion": (36, "criteria[1].id", "'within-limit' is there twice", "its own id"),
    "duplicate-key": (4, "", "The key 'title' is there twice", "Keep one"),
    "duplicate-key-in-criterion": (33, "", "The key 'required' is there twice", "Keep one"),
    "empty": (1, "", "not of type 'object'", "docs/policies.md"),
    "empty-any-of": (33, "criteria[0].test.any-of", "non-empty", "docs/policies.md"),
    "ends-as-it-begins": (12, "effective.to", "ends before it begins", "first day on which it is no longer in force"),
    "ends-before-it-begins": (
        12,
        "effective.to",
        "ends before it begins",
        "first day on which it is no longer in force",
    ),
    "impossible-date": (11, "effective.from", "'2025-02-30'", "date"),
    "impossible-moment": (11, "effective.from", "'2025-01-01T99:00:00Z'", "date"),
    "missing-citation": (36, "criteria[1]", "'cite' is a required property", "docs/policies.md"),
    "missing-key": (1, "", "'kind' is a required property", "docs/policies.md"),
    "missing-parameter": (33, "criteria[0].test", "'limit' is a required property", "limit, count"),
    "misspelt-discipline": (9, "applies-to.disciplines[0]", "'physio'", "physical-therapy"),
    "misspelt-line-of-business": (9, "applies-to.lines-of-business[0]", "'commerce'", "commercial"),
    "mistake-deep-in-a-test": (40, "criteria[1].test", "no kind of test 'prior-visits'", "prior-visit"),
    "negative-value": (21, "thresholds.episode-gap.values[0].value", "less than the minimum", "docs/policies.md"),
    "no-cite-date": (46, "cite", "'checked_on' is a required property", "docs/policies.md"),
    "no-criteria": (28, "criteria", "non-empty", "docs/policies.md"),
    "not-yaml": (31, "", "not YAML", "Check indentation"),
    "purpose-without-document": (48, "coverage.criteria-met", "'doc-needed' is a dependency", "docs/policies.md"),
    "refers-to-itself": (40, "criteria[1].test", "'nothing-against-it' refers to itself", "circle"),
    "required-in-words": (31, "criteria[0].required", "'perhaps' is not of type 'boolean'", "docs/policies.md"),
    "stance-for-no-authorization": (48, "coverage.criteria-met.doc-purpose[0]", "'withpa'", "docs/policies.md"),
    "stance-not-covered": (48, "coverage.criteria-not-met.covered", "'not-covered'", "covered, conditional"),
    "tab": (18, "", "not YAML", "Check indentation"),
    "test-of-two-forms": (33, "criteria[0].test", "'any-of' was unexpected", "Its parameters: none"),
    "test-without-kind": (33, "criteria[0].test", "no test", "kind, all-of, any-of, not, criterion"),
    "two-documents": (10, "", "another document", "Check indentation"),
    "uncited-threshold": (26, "thresholds.most-visits.values[0]", "'cite' is a required property", "docs/policies.md"),
    "uncited-stance": (47, "coverage", "'cite' is a required property", "docs/policies.md"),
    "unknown-anchor": (46, "", "undefined alias", "Check indentation"),
    "unknown-criterion": (40, "criteria[1].test", "no criterion 'within-reason'", "within-limit, nothing-against-it"),
    "unknown-gap": (14, "episode.gap", "the threshold 'long-gap'", "in days"),
    "unknown-instrument": (33, "criteria[0].test", "no instrument 'crystal-ball'", "fhir_profiles/instruments/"),
    "unknown-key": (5, "severity", "a key that no policy has", "docs/policies.md"),
    "unknown-key-in-criterion": (33, "criteria[0].weight", "a key that no policy has", "docs/policies.md"),
    "unknown-kind": (33, "criteria[0].test", "no kind of test 'visits-inside'", "visits-within"),
    "unknown-parameter": (33, "criteria[0].test", "'strict' was unexpected", "limit, count"),
    "unknown-score-threshold": (33, "criteria[0].test", "the threshold 'least-pain'", "episode-gap, most-visits"),
    "unknown-service-set": (8, "applies-to.services", "no value set 'magic-services'", "fhir_profiles/valuesets/"),
    "unknown-threshold": (33, "criteria[0].test", "the threshold 'fewest-visits'", "episode-gap, most-visits"),
    "unknown-value-set": (40, "criteria[1].test", "no value set 'plague'", "fhir_profiles/valuesets/"),
    "unsafe-tag": (3, "title", "not of type 'string'", "docs/policies.md"),
    "wrong-card": (32, "criteria[0].card", "'approval'", "Allowed: limits"),
    "wrong-diagnosis": (9, "applies-to.diagnoses[0]", "'hip pain'", "must match"),
    "wrong-enum": (4, "kind", "'suggestion'", "Allowed: coverage"),
    "wrong-id": (1, "id", "'Bad Policy'", "must match"),
    "wrong-parameter": (33, "criteria[0].test", "14 is not of type 'string'", "limit, count"),
    "wrong-parameter-choice": (33, "criteria[0].test", "'total' is not one of", "limit, count"),
    "wrong-unit": (24, "thresholds.most-visits.unit", "'fortnights'", "Allowed: visits"),
}


@pytest.mark.parametrize("folder", MISTAKES)
def test_file_line_key_and_remedy_are_told_when_a_policy_has_one_mistake(folder: str) -> None:
    line, key, what, remedy = MISTAKES[folder]
    with pytest.raises(PolicyError) as caught:
        load_policy(BAD / folder / "policy.yaml", terms())
    error = caught.value
    assert error.where == f"bad_policies/{folder}/policy.yaml:{line}" + (f", key '{key}'" if key else "")
    assert what in error.what
    assert remedy in error.remedy
    assert "\n" not in str(error)


def test_every_bad_file_has_its_line_here_when_one_is_added() -> None:
    assert {path.name for path in BAD.iterdir()} == {*MISTAKES, "good"}


def test_the_policy_is_loaded_when_it_has_no_mistake() -> None:
    policy = load_policy(BAD / "good" / "policy.yaml", terms())
    assert (policy.id, policy.version, str(policy.start), policy.end) == (
        "bad-policy",
        "2025-01-01",
        "2025-01-01",
        None,
    )
    assert policy.criterion("within-limit").test == Leaf("visits-within", {"limit": "most-visits"})
    assert policy.criterion("nothing-against-it").test == AllOf(
        (Leaf("no-active-condition", {"sets": ["infection"]}), OfCriterion("within-limit"))
    )
    assert policy.lines == {"within-limit": 29, "nothing-against-it": 36}


def test_it_is_said_when_the_file_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="FileNotFoundError"):
        load_policy(tmp_path / "policy.yaml", terms())
    (tmp_path / "policy.yaml").write_bytes(b"id: caf\xe9\n")
    with pytest.raises(PolicyError, match="UTF-8"):
        load_policy(tmp_path / "policy.yaml", terms())


def test_it_is_said_when_yaml_refers_to_itself_without_end(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("id: &a [*a]\n", "utf-8")
    with pytest.raises(PolicyError, match="not YAML"):
        load_policy(tmp_path / "policy.yaml", terms())


def copy(folder: Path, name: str, source: str = "good", **changes: str) -> None:
    (folder / name).mkdir(parents=True)
    text = (BAD / source / "policy.yaml").read_text("utf-8")
    for before, after in changes.items():
        text = text.replace(f"{before}: ", f"{before}: {after} #", 1)
    (folder / name / "policy.yaml").write_text(text, "utf-8")


def test_all_policies_below_a_folder_are_loaded_when_they_lie_in_folders(tmp_path: Path) -> None:
    copy(tmp_path, "b", id="second")
    copy(tmp_path, "a", id="first")
    (tmp_path / "notes.txt").write_text("no policy")
    (tmp_path / "empty").mkdir()
    assert [policy.id for policy in load_policies([tmp_path], terms())] == ["first", "second"]
    assert [path.name for path in policy_files(tmp_path / "a")] == ["policy.yaml"]


def test_a_later_folders_policy_replaces_one_of_the_same_id_when_a_site_has_its_own(tmp_path: Path) -> None:
    copy(tmp_path, "packaged/x", title="Packaged")
    copy(tmp_path, "site/x", title="Ours")
    (policy,) = load_policies([tmp_path / "packaged", tmp_path / "site"], terms())
    assert policy.title == "Ours"


def test_an_id_is_refused_when_two_policies_of_one_folder_have_it(tmp_path: Path) -> None:
    copy(tmp_path, "a")
    copy(tmp_path, "b")
    with pytest.raises(PolicyError, match="'bad-policy' is taken by"):
        load_policies([tmp_path], terms())


def test_it_is_said_when_there_is_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no such folder"):
        load_policies([tmp_path / "none"], terms())


def test_every_packaged_policy_loads_when_the_package_is_whole() -> None:
    assert "hip-pain-extended-therapy" in {policy.id for policy in load_policies([packaged_policies()], terms())}


def test_what_a_payer_says_is_read_when_a_policy_has_it() -> None:
    loaded = {policy.id: policy for policy in load_policies([packaged_policies()], terms())}
    sample = loaded["sample-prior-authorization-97110"]
    assert sample.stances["criteria-met"] == Stance("covered", "auth-needed", ("clinical",), ("withpa",))
    assert sample.stances["criteria-not-met"].info_needed == ("OTH",)
    assert sample.stances_cite is not None
    assert sample.stances_cite.verified
    assert loaded["hip-pain-extended-therapy"].stances == {}


@pytest.mark.parametrize("apart", [True, False])
def test_codes_off_the_list_are_told_apart_when_a_policy_says_so(tmp_path: Path, apart: bool) -> None:
    text = (packaged_policies() / "sample-prior-authorization-97110" / "policy.yaml").read_text(encoding="utf-8")
    said = "coverage:\n  codes-not-listed: indeterminate\n" if apart else "coverage:\n"
    path = tmp_path / "sample-prior-authorization-97110"
    path.mkdir()
    (path / "policy.yaml").write_text(text.replace("\ncoverage:\n", f"\n{said}"), encoding="utf-8")
    (loaded,) = load_policies([tmp_path], terms())
    assert loaded.unlisted_apart is apart
    assert set(loaded.stances) == {"criteria-met", "criteria-not-met", "insufficient-information"}
