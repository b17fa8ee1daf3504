"""Small changes of a criterion's test: joins swapped, parts dropped, sets and switches changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cds.rules.policy import AllOf, AnyOf, Leaf, Not, Test
from cds.yamlfile import Key

# What takes the place of a value set or an instrument: nothing that any therapy record is about.
STRANGE_SETS = ("cosmetic", "pregnancy")
STRANGE_INSTRUMENTS = ("tug", "six-minute-walk")
_OTHER = {"not-met": "unknown", "met": "unknown", "unknown": "not-met"}
Mutated = Iterator[tuple[Key, str, Test]]


def mutated_tests(test: Test) -> Mutated:
    """Every change of a test: where in it, in words, and the changed test."""
    match test:
        case Leaf():
            yield from _leaf(test)
        case AllOf(parts):
            yield from _joined("all-of", parts, AllOf, AnyOf)
        case AnyOf(parts):
            yield from _joined("any-of", parts, AnyOf, AllOf)
        case Not(part):
            yield (), "without `not`", part
            for key, says, changed in mutated_tests(part):
                yield ("not", *key), says, Not(changed)


Join = Callable[[tuple[Test, ...]], Test]


def _joined(name: str, parts: tuple[Test, ...], same: Join, other: Join) -> Mutated:
    swapped = "all-of" if name == "any-of" else "any-of"
    if len(parts) > 1:
        yield (name,), f"{swapped} instead of {name}", other(parts)
    for index, part in enumerate(parts):
        rest = parts[:index], parts[index + 1 :]
        if len(parts) > 1:
            yield (name, index), f"without part {index + 1} ({_name(part)})", same((*rest[0], *rest[1]))
        for key, says, changed in mutated_tests(part):
            yield (name, index, *key), f"part {index + 1}, {says}", same((*rest[0], changed, *rest[1]))


def _name(test: Test) -> str:
    match test:
        case Leaf(kind):
            return kind
        case AllOf(parts) | AnyOf(parts):
            return " and ".join(map(_name, parts)) if isinstance(test, AllOf) else " or ".join(map(_name, parts))
        case Not(part):
            return f"not {_name(part)}"
        case _:
            return test.id


def _leaf(leaf: Leaf) -> Mutated:
    for key, value in leaf.params.items():
        for says, changed in _changed(key, value):
            params: dict[str, Any] = {k: v for k, v in leaf.params.items() if k != key}
            if changed is not None:
                params[key] = changed
            yield (key,), f"{leaf.kind} {says}", Leaf(leaf.kind, params)


def _changed(key: str, value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a parameter of any type
    """Other values of a parameter; None: the parameter is dropped. Thresholds are changed elsewhere."""
    if isinstance(value, bool):
        yield f"with {key} {str(not value).lower()}", not value
    elif isinstance(value, list) and len(value) > 1:
        for item in value:
            yield f"without {item}", [other for other in value if other != item]
    elif key in ("set", "sets"):
        names = value if isinstance(value, list) else [value]
        strange = next(name for name in STRANGE_SETS if name not in names)
        yield f"with {strange} for {names[0]}", [strange] if isinstance(value, list) else strange
    elif key == "instrument":
        strange = next(name for name in STRANGE_INSTRUMENTS if name != value)
        yield f"with {strange} for {value}", strange
    elif key == "when-absent":
        yield f"{_OTHER[value]} when absent", _OTHER[value]
    elif value in ("baseline", "current"):
        return
    elif key == "count" and value in ("projected", "completed-and-requested"):
        yield "without `count`", None
