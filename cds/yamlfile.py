"""Read YAML with the line of every key, so that an error can say where. Duplicate keys are refused."""

from __future__ import annotations

from datetime import date
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from cds.errors import CdsError

Key = tuple[str | int, ...]


class YamlFile:
    """One YAML file: `data` as plain Python, and `line_of(path)` for any key path in it."""

    def __init__(self, name: str, text: str, error: type[CdsError]) -> None:
        """Parse `text`; raise `error` with file and line when it is no YAML or repeats a key."""
        self.name = name
        self._error = error
        self._lines: dict[Key, int] = {}
        loader = yaml.CSafeLoader(text)
        try:
            node = loader.get_single_node()
            self.data: Any = None if node is None else self._build(loader, node, ())
        except (yaml.YAMLError, RecursionError) as problem:
            mark = getattr(problem, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            what = getattr(problem, "problem", None) or "it cannot be parsed"
            raise error(
                f"This is not YAML: {what}",
                where=f"{name}{line}",
                remedy="Check indentation, colons and quotes on this line",
            ) from problem
        finally:
            loader.dispose()

    def _build(self, loader: yaml.CSafeLoader, node: yaml.Node, path: Key) -> object:
        self._lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            return [self._build(loader, item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(loader, node, path)
        try:
            value = loader.construct_object(node)
        except ValueError:  # a day that no calendar has: kept as written, for the schema to refuse with its line
            return node.value
        # Dates stay texts: a policy says `2025-01-01`, and JSON Schema and citations want it as written.
        return value.isoformat() if isinstance(value, date) else value

    def _mapping(self, loader: yaml.CSafeLoader, node: yaml.MappingNode, path: Key) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in result:
                raise self._error(
                    f"The key '{key}' is there twice",
                    where=f"{self.name}:{line}",
                    remedy="Keep one of the two",
                )
            result[key] = self._build(loader, value_node, (*path, key))
            self._lines[(*path, key)] = line
        return result

    def line_of(self, path: Key) -> int:
        """The line of a key path; of its nearest parent where the key itself is missing."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def where(self, path: Key) -> str:
        """`file:line, key 'criteria[2].test'` for an error."""
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        return f"{self.name}:{self.line_of(path)}" + (f", key '{key}'" if key else "")


def read_yaml(path: Traversable | Path, error: type[CdsError], name: str | None = None) -> YamlFile:
    """Read one file; `error` is the class to raise when it is unreadable."""
    label = name or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise error(
            f"This file cannot be read: {type(problem).__name__}",
            where=label,
            remedy="Check that it exists, may be read, and is UTF-8 text",
        ) from problem
    return YamlFile(label, text, error)
