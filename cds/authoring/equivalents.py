"""Mutations that change nothing, declared as such with a reason: `cases/equivalent.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jsonschema

from cds.authoring.cases import EQUIVALENT, check_document
from cds.authoring.library import Authored
from cds.errors import PolicyError
from cds.yamlfile import read_yaml

SCHEMA: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["mutation", "reason"],
        "properties": {
            "mutation": {"type": "string", "minLength": 10},
            "reason": {"type": "string", "minLength": 10},
        },
    },
}


@dataclass(frozen=True)
class Equivalent:
    """One declaration; `mutation` is as `policy mutate` prints it, and may hold `*`."""

    mutation: str
    reason: str
    where: str


@lru_cache(maxsize=1)
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(SCHEMA)


def read_equivalents(authored: Authored) -> tuple[Equivalent, ...]:
    """What a policy declares; nothing where it has no such file."""
    file = authored.folder.joinpath("cases", EQUIVALENT)
    if not file.is_file():
        return ()
    document = read_yaml(file, PolicyError, name=f"{authored.policy.id}/cases/{EQUIVALENT}")
    check_document(document, _validator())
    return tuple(
        Equivalent(entry["mutation"], entry["reason"], document.where((index,)))
        for index, entry in enumerate(document.data)
    )
