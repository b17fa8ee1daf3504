"""Cases of a policy: `cases/*.yaml`. Every error says file, line, key and remedy."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from importlib.resources import files
from typing import Any

import jsonschema

from cds.authoring.library import Authored, Folder
from cds.errors import PolicyError
from cds.rules.load import schema_problem, schema_remedy
from cds.rules.policy import Policy
from cds.rules.select import ADDING_KINDS
from cds.yamlfile import Key, YamlFile, read_yaml

SELECTED = "selected"
EQUIVALENT = "equivalent.yaml"


@dataclass(frozen=True)
class PolicyCase:
    """One case: a sentence, what is given, and what is expected of it.

    `policy` is the policy that is forced; `selected` where the coverage is to select it. `owner` is the
    policy in whose folder the case stands.
    """

    name: str
    given: Mapping[str, Any]
    expect: Mapping[str, Any]
    on: date | None
    policy: str
    owner: str
    folder: Folder
    document: YamlFile = field(repr=False, compare=False)
    path: Key = ()

    def where(self, *keys: str | int) -> str:
        """`file:line, key` of a part of this case."""
        return self.document.where((*self.path, *keys))

    def wrong(self, what: str, remedy: str, *keys: str | int) -> PolicyError:
        """The error for a part of this case."""
        return PolicyError(what, where=self.where(*keys), remedy=remedy)


def read_cases(authored: Authored, known: Iterable[Authored]) -> tuple[PolicyCase, ...]:
    """All cases of one policy, checked; `known` are the policies that a case may name."""
    library = {each.policy.id: each.policy for each in known}
    cases: list[PolicyCase] = []
    for file in authored.files():
        if file.name == EQUIVALENT:
            continue
        document = read_yaml(file, PolicyError, name=f"{authored.policy.id}/cases/{file.name}")
        check_document(document, case_validator())
        cases += [_case(authored, document, index) for index in range(len(document.data))]
    _check_names(cases)
    for case in cases:
        _check_policy(case, library)
    return tuple(cases)


def _case(authored: Authored, document: YamlFile, index: int) -> PolicyCase:
    entry = document.data[index]
    return PolicyCase(
        name=entry["name"],
        given=entry["given"],
        expect=entry["expect"],
        on=date.fromisoformat(entry["on"]) if "on" in entry else None,
        policy=entry.get("policy", authored.policy.id),
        owner=authored.policy.id,
        folder=authored.folder.joinpath("cases"),
        document=document,
        path=(index,),
    )


def _check_names(cases: Iterable[PolicyCase]) -> None:
    seen: dict[str, PolicyCase] = {}
    for case in cases:
        if case.name in seen:
            other = seen[case.name].where("name")
            raise case.wrong(
                f"The name '{case.name}' is taken by another case ({other})",
                "Give each case its own sentence",
                "name",
            )
        seen[case.name] = case


def _check_policy(case: PolicyCase, library: Mapping[str, Policy]) -> None:
    named: list[tuple[Key, str | None]] = [
        (("policy",), None if case.policy == SELECTED else case.policy),
        (("expect", "policy"), case.expect.get("policy")),
        *((("expect", "adding", index), name) for index, name in enumerate(case.expect.get("adding", ()))),
    ]
    for key, name in named:
        if name is not None and name not in library:
            raise case.wrong(f"There is no policy '{name}'", f"Known: {', '.join(library)}, and '{SELECTED}'", *key)
    # What adds to a policy is weighed beside it, so that its criteria may be expected too.
    judging = {case.owner, case.policy, case.expect.get("policy")}
    judges = [policy for policy in library.values() if policy.id in judging or policy.kind in ADDING_KINDS]
    own = [criterion.id for policy in judges if policy.id in judging for criterion in policy.criteria]
    every = {criterion.id for policy in judges for criterion in policy.criteria}
    for name in case.expect.get("criteria", ()):
        if name not in every:
            raise case.wrong(
                f"The policy has no criterion '{name}'",
                f"Its criteria: {', '.join(own)}",
                "expect", "criteria", name,
            )  # fmt: skip


# ------------------------------------------------------------------------------------------------- by schema


@lru_cache(maxsize=1)
def case_schema() -> dict[str, Any]:
    """The JSON Schema of a file of cases."""
    schema: dict[str, Any] = json.loads(files("cds.authoring").joinpath("case.schema.json").read_text("utf-8"))
    return schema


@lru_cache(maxsize=1)
def case_validator() -> jsonschema.Draft202012Validator:
    """The validator of a file of cases."""
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema.Draft202012Validator(case_schema(), format_checker=checker)


def check_document(document: YamlFile, validator: jsonschema.Draft202012Validator) -> None:
    """PolicyError for the first thing in which a file is not as its schema says."""
    error = jsonschema.exceptions.best_match(validator.iter_errors(document.data))
    if error is None:
        return
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        allowed = list(error.schema["properties"])
        extra = next(key for key in error.instance if key not in allowed)
        close = difflib.get_close_matches(extra, allowed, 1)
        raise PolicyError(
            f"There is a key that no case has: '{extra}'",
            where=document.where((*path, extra)),
            remedy=f"Did you mean '{close[0]}'?" if close else f"Known here: {', '.join(allowed)}",
        )
    where = document.where(path)
    if error.validator == "oneOf":
        raise PolicyError("This must have one of two forms, and only one", where=where, remedy=_forms(error))
    remedy = schema_remedy(error, "docs/policies.md shows every key of a case")
    raise PolicyError(schema_problem(error), where=where, remedy=remedy)


def _forms(error: jsonschema.ValidationError) -> str:
    wanted: Any = error.validator_value
    forms = [", ".join(form["required"]) for form in wanted if "required" in form]
    return f"Give either {' or '.join(forms)}" if forms else "docs/policies.md shows both forms"
