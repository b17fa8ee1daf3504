"""Scopes: whether those granted cover those asked for, and what the page cannot do without (SMART App Launch 2.2).

Both ways to write them are read: v2 (`patient/Observation.rs`) and v1 (`patient/Observation.read`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SHAPE = re.compile(r"(patient|user|system)/([A-Za-z]+|\*)\.([a-z*]+)(\?.+)?")
_OLD = {"read": "rs", "write": "cud", "*": "cruds"}
# Without these a launch still brings a patient, or a token lives a shorter time.
_QUIET = frozenset(("launch", "launch/patient", "launch/encounter", "profile", "online_access", "offline_access"))
_NEEDS_LEVELS = {"patient": ("patient", "user"), "user": ("user",), "system": ("system",)}


@dataclass(frozen=True)
class _Scope:
    level: str
    kind: str
    letters: frozenset[str]
    limit: str = ""

    def covers(self, other: _Scope) -> bool:
        """Whether this grants all that the other asks for. A limit (`?category=…`) grants a part only."""
        return (
            self.level in _NEEDS_LEVELS[other.level]
            and self.kind in ("*", other.kind)
            and self.letters >= other.letters
            and self.limit in ("", other.limit)
        )


def _read(text: str) -> _Scope | None:
    found = _SHAPE.fullmatch(text)
    if found is None:
        return None
    letters = _OLD.get(found[3], found[3])
    return _Scope(found[1], found[2], frozenset(letters), found[4] or "")


def missing(asked: Iterable[str], granted: Iterable[str]) -> tuple[str, ...]:
    """The scopes that were asked for and that nothing granted covers, in the order in which they were asked for.

    >>> missing(["openid", "patient/Observation.rs", "patient/Patient.r"], ["patient/*.read"])
    ('openid',)
    """
    granted = set(granted)
    grants = [scope for scope in map(_read, granted) if scope]
    gone = []
    for text in asked:
        scope = _read(text)
        is_there = text in granted or (scope is not None and any(each.covers(scope) for each in grants))
        if not is_there and text not in _QUIET:
            gone.append(text)
    return tuple(gone)


def sentences(gone: Iterable[str]) -> tuple[str, ...]:
    """What the page cannot show or do without these scopes, each thing once.

    >>> sentences(["openid", "fhirUser", "patient/Observation.rs"])[1]
    'Observation: not read anew. What is shown of it is what was known when the order was weighed.'
    """
    return tuple(dict.fromkeys(map(_sentence, gone)))


def _sentence(text: str) -> str:
    scope = _read(text)
    if text in ("openid", "fhirUser"):
        return "Who you are: the EHR did not say, so nothing can be saved in your name."
    if scope is None:
        return f"The EHR did not grant '{text}'."
    kind = "Any resource" if scope.kind == "*" else scope.kind
    if scope.letters & set("cud"):
        return f"{kind}: cannot be saved to the record from here."
    return f"{kind}: not read anew. What is shown of it is what was known when the order was weighed."
