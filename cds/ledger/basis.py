"""What an assessment rests on beside the record: the policies and vocabularies of the day, as files.

They are kept by the hash of what they hold, once for all calls that rest on them, so that a replay needs neither the
package of that day nor the site's folder of that day.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources.abc import Traversable
from pathlib import Path
from tempfile import TemporaryDirectory

from cds.rules.load import load_policies, policy_files
from cds.rules.policy import Policy
from cds.terminology import Terminology

Files = Mapping[str, str]


@dataclass(frozen=True)
class Basis:
    """Policies and vocabularies as packed content, the hash of each, and the version of the code."""

    policies: bytes
    vocabularies: bytes
    code: str

    @cached_property
    def policies_hash(self) -> str:
        """By which an entry names its policies."""
        return hashlib.sha256(self.policies).hexdigest()

    @cached_property
    def vocabularies_hash(self) -> str:
        """By which an entry names its vocabularies."""
        return hashlib.sha256(self.vocabularies).hexdigest()


def basis_of(folders: Iterable[Traversable | Path], profiles: Traversable | Path) -> Basis:
    """The basis of a deployment: its folders of policies, in their order, and its `fhir_profiles`."""
    policies: dict[str, str] = {}
    for number, folder in enumerate(folders):
        for path in policy_files(folder):
            policies[f"{number}/{len(policies)}/policy.yaml"] = path.read_text(encoding="utf-8")
    files = dict(_texts(profiles, "", leave_out="examples"))
    return Basis(_content(policies), _content(files), code_version())


@lru_cache(maxsize=4)
def restored(policies: bytes, vocabularies: bytes) -> tuple[Terminology, tuple[Policy, ...]]:
    """The vocabularies and policies of a basis, read as they were read on the day; the last few are remembered."""
    with TemporaryDirectory(prefix="therapy-cds-") as place:
        root = Path(place)
        _write(json.loads(vocabularies), root / "vocabularies")
        _write(json.loads(policies), root / "policies")
        terms = Terminology(root / "vocabularies")
        folders = sorted((root / "policies").iterdir(), key=lambda folder: int(folder.name))
        return terms, load_policies(folders, terms)


def code_version() -> str:
    """The installed version of this package."""
    try:
        return version("therapy-cds")
    except PackageNotFoundError:
        return "unknown"


def _content(files: Files) -> bytes:
    return json.dumps(files, sort_keys=True, ensure_ascii=False).encode()


def _texts(folder: Traversable | Path, path: str, leave_out: str = "") -> Iterator[tuple[str, str]]:
    """Every YAML and JSON file below a folder, by its path."""
    for item in folder.iterdir():
        if item.is_dir():
            if item.name != leave_out:
                yield from _texts(item, f"{path}{item.name}/")
        elif item.name.endswith((".yaml", ".json")):
            yield f"{path}{item.name}", item.read_text(encoding="utf-8")


def _write(files: Files, root: Path) -> None:
    root.mkdir()
    for path, text in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
