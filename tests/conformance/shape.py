"""What an answer or a list of services has to look like, whoever made it; `[]` where nothing is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema

HERE = Path(__file__).parent
EMPTY_ALLOWED = ("cards", "services")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


@lru_cache(maxsize=2)
def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((HERE / f"{name}.schema.json").read_text("utf-8")))


def wrong_in(name: str, value: Any) -> list[str]:
    """Where a value breaks the schema `name` (answer, discovery), and how."""
    return [f"{error.json_path}: {error.message}" for error in _validator(name).iter_errors(value)]


def empty_in(value: Any, path: str = "$") -> Iterator[str]:
    """Where null, an empty text, list or object stands that CDS Hooks does not allow (2.0.1, Use of JSON)."""
    if value in (None, "", [], {}) and path.removeprefix("$.") not in EMPTY_ALLOWED:
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from empty_in(member, f"{path}.{key}")


def strict(raw: bytes) -> Any:
    """The JSON of a body; ValueError where it is not UTF-8, not JSON, names a member twice or holds NaN."""

    def refuse(text: str) -> Any:
        raise ValueError(text)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a member stands twice")
        return found

    return json.loads(raw.decode("utf-8"), parse_constant=refuse, object_pairs_hook=once)


def has_needless_space(raw: bytes) -> bool:
    """Whether whitespace stands between the tokens of a JSON text; a last line end is forgiven.

    >>> has_needless_space(b'{"a":"b c"}\\n'), has_needless_space(b'{"a": 1}')
    (False, True)
    """
    return re.search(r"\s", _STRING.sub("", raw.decode("utf-8").removesuffix("\n"))) is not None
