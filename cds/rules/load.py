"""YAML files become Policies. Every error says file, line, key and remedy; the first one stops the start."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import jsonschema

from cds.errors import PolicyError
from cds.model import Discipline
from cds.rules.criteria import KINDS
from cds.rules.policy import (
    THRESHOLD_PARAMETERS,
    AllOf,
    AnyOf,
    AppliesTo,
    Citation,
    Criterion,
    DatedValue,
    EpisodeRule,
    Leaf,
    Not,
    OfCriterion,
    Policy,
    Stance,
    Test,
    Threshold,
    leaves,
    references,
)
from cds.terminology import Terminology
from cds.yamlfile import Key, YamlFile, read_yaml

_NOT_THRESHOLDS = frozenset(("projected", "completed-and-requested"))
# What stands under `coverage` beside the outcomes.
_NO_STANCE = frozenset(("cite", "codes-not-listed"))


@lru_cache(maxsize=1)
def policy_schema() -> dict[str, Any]:
    """The JSON Schema of a policy, with the parameters of every kind under `kinds`."""
    schema: dict[str, Any] = json.loads(files("cds.rules").joinpath("policy.schema.json").read_text("utf-8"))
    return schema


def packaged_policies() -> Traversable:
    """The folder of the policies that ship with this package."""
    return files("cds").joinpath("policies")


def load_policies(folders: Iterable[Traversable | Path], terms: Terminology) -> tuple[Policy, ...]:
    """Every `<policy>/policy.yaml` below the folders, by id; a later folder replaces a policy of the same id."""
    found: dict[str, Policy] = {}
    for folder in folders:
        own: dict[str, str] = {}
        for path in policy_files(folder):
            policy = load_policy(path, terms)
            if policy.id in own:
                raise PolicyError(
                    f"The id '{policy.id}' is taken by {own[policy.id]}",
                    where=f"{policy.source}:1, key 'id'",
                    remedy="Give one of the two another id",
                )
            own[policy.id] = policy.source
            found[policy.id] = policy
    return tuple(found[name] for name in sorted(found))


def policy_files(folder: Traversable | Path) -> Iterator[Traversable | Path]:
    """The `policy.yaml` of each sub-folder, in the order of their names."""
    if not folder.is_dir():
        raise PolicyError(
            "There is no such folder of policies",
            where=str(folder),
            remedy="Check THERAPY_CDS_POLICY_PATH or --path",
        )
    if folder.joinpath("policy.yaml").is_file():
        yield folder.joinpath("policy.yaml")
        return
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.is_dir() and entry.joinpath("policy.yaml").is_file():
            yield entry.joinpath("policy.yaml")


def load_policy(path: Traversable | Path, terms: Terminology) -> Policy:
    """One policy, checked whole; PolicyError names the first mistake with file, line and key."""
    document = read_yaml(path, PolicyError, name=_short(path))
    _check_schema(document)
    policy = _build(document)
    for index, criterion in enumerate(policy.criteria):
        _check_criterion(document, policy, criterion, index, terms)
    _check_dates(document, policy)
    _check_sets(document, policy.applies_to.services, ("applies-to", "services"), terms)
    _check_names(document, policy.applies_to, terms)
    _check_sets(document, filter(None, [policy.episode.told_in]), ("episode", "told-in"), terms)
    return policy


def _short(path: Traversable | Path) -> str:
    """`policies/hip/policy.yaml`: enough to find the file, the same on every machine."""
    return "/".join(str(path).replace("\\", "/").split("/")[-3:])


# ------------------------------------------------------------------------------------------------- checking


@lru_cache(maxsize=1)
def _validator() -> jsonschema.Draft202012Validator:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema.Draft202012Validator(policy_schema(), format_checker=checker)


def _check_schema(document: YamlFile) -> None:
    error = jsonschema.exceptions.best_match(_validator().iter_errors(document.data))
    if error is not None:
        path = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
            path = (*path, next(str(key) for key in error.instance if key not in known))
        remedy = schema_remedy(error, "docs/policies.md shows every key of a policy")
        raise PolicyError(schema_problem(error), where=document.where(path), remedy=remedy)


def schema_problem(error: jsonschema.ValidationError) -> str:
    """What is wrong where a policy, or a file of its cases, breaks its schema."""
    match error.validator:
        case "required":
            return f"A key is missing: {error.message}"
        case "additionalProperties":
            return f"There is a key that no policy has: {error.message}"
        case "enum":
            return f"'{error.instance}' is not one of the values allowed here"
        case "oneOf":
            return "This is no test: it has none, or more than one, of the forms that a test may have"
        case "pattern" | "format":
            return f"'{error.instance}' is not written as it must be"
        case _:
            return error.message[:200]


def schema_remedy(error: jsonschema.ValidationError, otherwise: str) -> str:
    """What to do about it; `otherwise` where the schema itself does not tell."""
    wanted: Any = error.validator_value
    match error.validator:
        case "enum":
            return f"Allowed: {', '.join(map(str, wanted))}"
        case "oneOf":
            return "Write one of kind, all-of, any-of, not, criterion"
        case "pattern":
            return f"It must match {wanted}"
        case "format":
            return f"It must be a {wanted}"
        case _:
            return otherwise


def _check_criterion(document: YamlFile, policy: Policy, criterion: Criterion, index: int, terms: Terminology) -> None:
    path: Key = ("criteria", index)
    if criterion.id in [earlier.id for earlier in policy.criteria[:index]]:
        raise PolicyError(
            f"The criterion id '{criterion.id}' is there twice",
            where=document.where((*path, "id")),
            remedy="Give each criterion its own id",
        )
    for part in ("test", "applies-when"):
        test = criterion.test if part == "test" else criterion.applies_when
        for leaf in leaves(test):
            _check_leaf(document, policy, leaf, (*path, part), terms)
        for name in references(test):
            _check_reference(document, policy, criterion.id, name, (*path, part))


def _check_leaf(document: YamlFile, policy: Policy, leaf: Leaf, path: Key, terms: Terminology) -> None:
    where = document.where(path)
    if leaf.kind not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise PolicyError(f"There is no kind of test '{leaf.kind}'", where=where, remedy=f"Known kinds: {known}")
    params = policy_schema()["kinds"][leaf.kind]
    schema = {**params, "type": "object", "additionalProperties": False, "$defs": policy_schema()["$defs"]}
    for error in jsonschema.Draft202012Validator(schema).iter_errors(dict(leaf.params)):
        allowed = ", ".join(params.get("properties", {})) or "none"
        raise PolicyError(
            f"The test '{leaf.kind}' is not right: {error.message[:160]}",
            where=where,
            remedy=f"Its parameters: {allowed}",
        )
    for key, value in leaf.params.items():
        if key in THRESHOLD_PARAMETERS and value not in _NOT_THRESHOLDS and value not in policy.thresholds:
            raise PolicyError(
                f"'{key}' names the threshold '{value}', which the policy does not have",
                where=where,
                remedy=f"Its thresholds: {', '.join(sorted(policy.thresholds)) or 'none'}",
            )
    names = leaf.params.get("sets") or ([leaf.params["set"]] if "set" in leaf.params else [])
    _check_sets(document, names, path, terms)
    if "instrument" in leaf.params and leaf.params["instrument"] not in terms.instruments:
        raise PolicyError(
            f"There is no instrument '{leaf.params['instrument']}'",
            where=where,
            remedy="Use a name from fhir_profiles/instruments/",
        )


def _check_sets(document: YamlFile, names: Iterable[str], path: Key, terms: Terminology) -> None:
    for name in names:
        if name not in terms.valuesets:
            raise PolicyError(
                f"There is no value set '{name}'",
                where=document.where(path),
                remedy="Use a name from fhir_profiles/valuesets/",
            )


def _check_names(document: YamlFile, applies: AppliesTo, terms: Terminology) -> None:
    """A misspelt discipline or line of business would make a policy that applies to nobody."""
    known = {
        "disciplines": sorted(discipline.value for discipline in Discipline),
        "lines-of-business": sorted(set(terms.lines_of_business.values())),
    }
    for key, names in (("disciplines", applies.disciplines), ("lines-of-business", applies.lines_of_business)):
        for index, name in enumerate(names):
            if name not in known[key]:
                raise PolicyError(
                    f"'{name}' is not one of the values allowed here",
                    where=document.where(("applies-to", key, index)),
                    remedy=f"Allowed: {', '.join(known[key])}",
                )


def _check_reference(document: YamlFile, policy: Policy, own: str, name: str, path: Key) -> None:
    ids = [criterion.id for criterion in policy.criteria]
    if name not in ids:
        raise PolicyError(
            f"There is no criterion '{name}' in this policy",
            where=document.where(path),
            remedy=f"Its criteria: {', '.join(ids)}",
        )
    seen, todo = {own}, [name]
    while todo:
        current = todo.pop()
        if current == own:
            raise PolicyError(
                f"The criterion '{own}' refers to itself",
                where=document.where(path),
                remedy="Break the circle",
            )
        if current not in seen and current in ids:
            seen.add(current)
            criterion = policy.criterion(current)
            todo += [*references(criterion.test), *references(criterion.applies_when)]


def _check_dates(document: YamlFile, policy: Policy) -> None:
    if policy.end is not None and policy.end <= policy.start:
        raise PolicyError(
            "The policy ends before it begins",
            where=document.where(("effective", "to")),
            remedy="`to` is the first day on which it is no longer in force",
        )
    if policy.episode.gap not in policy.thresholds:
        raise PolicyError(
            f"'gap' names the threshold '{policy.episode.gap}', which the policy does not have",
            where=document.where(("episode", "gap")),
            remedy="Add it under thresholds, in days",
        )


# ------------------------------------------------------------------------------------------------- building


def _build(document: YamlFile) -> Policy:
    data = document.data
    applies = {key.replace("-", "_"): tuple(value) for key, value in data["applies-to"].items()}
    return Policy(
        id=data["id"],
        version=data["version"],
        title=data["title"],
        kind=data["kind"],
        summary=data.get("summary", ""),
        applies_to=AppliesTo(**applies),
        start=date.fromisoformat(data["effective"]["from"]),
        end=date.fromisoformat(data["effective"]["to"]) if "to" in data["effective"] else None,
        episode=EpisodeRule(**{key.replace("-", "_"): value for key, value in data["episode"].items()}),
        thresholds={name: _threshold(name, entry) for name, entry in (data.get("thresholds") or {}).items()},
        criteria=tuple(_criterion(entry) for entry in data["criteria"]),
        cite=_cite(data["cite"]),
        source=document.name,
        lines={entry["id"]: document.line_of(("criteria", i)) for i, entry in enumerate(data["criteria"])},
        stances={name: _stance(entry) for name, entry in data.get("coverage", {}).items() if name not in _NO_STANCE},
        stances_cite=_cite(data["coverage"]["cite"]) if "coverage" in data else None,
        unlisted_apart="codes-not-listed" in data.get("coverage", {}),
    )


def _stance(entry: Mapping[str, Any]) -> Stance:
    return Stance(
        covered=entry["covered"],
        pa_needed=entry["pa-needed"],
        doc_needed=tuple(entry.get("doc-needed", ())),
        doc_purpose=tuple(entry.get("doc-purpose", ())),
        info_needed=tuple(entry.get("info-needed", ())),
    )


def _threshold(name: str, entry: Mapping[str, Any]) -> Threshold:
    values = tuple(
        DatedValue(date.fromisoformat(v["from"]), float(v["value"]), tuple(v.get("for", ())), _cite(v["cite"]))
        for v in entry["values"]
    )
    return Threshold(name, entry["unit"], values)


def _criterion(entry: Mapping[str, Any]) -> Criterion:
    return Criterion(
        id=entry["id"],
        statement=entry["statement"],
        required=entry["required"],
        test=_test(entry["test"]),
        applies_when=_test(entry["applies-when"]) if "applies-when" in entry else None,
        card=entry.get("card"),
        cite=_cite(entry["cite"]),
    )


def _test(entry: Mapping[str, Any]) -> Test:
    if "kind" in entry:
        return Leaf(entry["kind"], {key: value for key, value in entry.items() if key != "kind"})
    if "all-of" in entry:
        return AllOf(tuple(_test(part) for part in entry["all-of"]))
    if "any-of" in entry:
        return AnyOf(tuple(_test(part) for part in entry["any-of"]))
    if "not" in entry:
        return Not(_test(entry["not"]))
    return OfCriterion(entry["criterion"])


def _cite(entry: Mapping[str, Any]) -> Citation:
    return Citation(entry["text"], entry.get("url", ""), entry["checked_on"], entry["verified"])
