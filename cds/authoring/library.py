"""Policies with the folders that hold them and their cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from cds.rules.load import load_policy, policy_files
from cds.rules.policy import Policy
from cds.terminology import Terminology

Folder = Traversable | Path


@dataclass(frozen=True)
class Authored:
    """A policy and the folder in which its author keeps it."""

    policy: Policy
    folder: Folder

    def files(self, ending: str = ".yaml") -> Iterator[Folder]:
        """The files in `cases/`, in the order of their names."""
        cases = self.folder.joinpath("cases")
        if cases.is_dir():
            yield from sorted((f for f in cases.iterdir() if f.name.endswith(ending)), key=lambda file: file.name)


def read_library(folders: Iterable[Folder], terms: Terminology) -> tuple[Authored, ...]:
    """Every policy below the folders, by id; one in a later folder replaces one of the same id, cases and all."""
    found: dict[str, Authored] = {}
    for folder in folders:
        for file in policy_files(folder):
            policy = load_policy(file, terms)
            found[policy.id] = Authored(policy, _holder(folder, file))
    return tuple(found[name] for name in sorted(found))


def _holder(folder: Folder, file: Folder) -> Folder:
    """The folder of a policy file: Traversables have no parent."""
    if folder.joinpath("policy.yaml").is_file():
        return folder
    return next(entry for entry in folder.iterdir() if str(entry.joinpath("policy.yaml")) == str(file))
