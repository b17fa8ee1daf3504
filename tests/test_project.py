"""What the project promises of itself: its lock files, its documents, its commands."""

import importlib
import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
LOCK_FILES = ("runtime.txt", "demo.txt", "dev.txt")
TARGETS = ("demo", "test", "test-integration", "check", "format", "bench", "lock", "clean")

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def normalized(requirement: str) -> str:
    """The package that a requirement asks for, spelled as indexes compare names.

    >>> normalized("fhir.resources>=8,<9")
    'fhir-resources'
    """
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, f"{requirement!r} names no package"
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def declared() -> dict[str, set[str]]:
    """The packages that each lock file has to hold."""
    build = PROJECT["dependency-groups"]["build"]
    demo = PROJECT["project"]["optional-dependencies"]["demo"]
    postgresql = PROJECT["project"]["optional-dependencies"]["postgresql"]
    runtime = {normalized(r) for r in chain(PROJECT["project"]["dependencies"], postgresql, build)}
    with_demo = runtime | {normalized(r) for r in demo}
    dev = with_demo | {normalized(r) for r in PROJECT["dependency-groups"]["dev"]}
    return dict(zip(LOCK_FILES, (runtime, with_demo, dev), strict=True))


def lock_text(name: str) -> str:
    """One lock file."""
    return (ROOT / "requirements" / name).read_text(encoding="utf-8")


def pins(name: str) -> dict[str, str]:
    """The packages of one lock file and their versions."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock_text(name), re.MULTILINE)
    return {normalized(package): version for package, version in found}


@pytest.mark.parametrize("name", LOCK_FILES)
def test_no_address_is_named_when_a_lock_file_is_read(name: str) -> None:
    address = re.compile(r"://|--(extra-)?index-url|--find-links|-f |\bwww\.|\b[\w-]+\.(org|com|net|io)\b")
    assert not address.findall(lock_text(name))


@pytest.mark.parametrize("name", LOCK_FILES)
def test_every_pin_has_a_hash_when_a_lock_file_is_read(name: str) -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", lock_text(name), flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", LOCK_FILES)
def test_every_declared_package_is_pinned_when_a_lock_file_is_read(name: str) -> None:
    assert declared()[name] - pins(name).keys() == set()


@pytest.mark.parametrize(("smaller", "larger"), [("runtime.txt", "demo.txt"), ("demo.txt", "dev.txt")])
def test_versions_agree_when_one_lock_file_holds_another(smaller: str, larger: str) -> None:
    assert pins(smaller).items() <= pins(larger).items()


def test_each_package_has_its_reason_when_pyproject_names_it() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE)
    assert {normalized(package) for package, _ in rows} == declared()["dev.txt"]


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_the_target_when_it_is_promised(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert re.search(rf"^\t@echo 'make {target} ", makefile, re.MULTILINE), "make help does not tell of it"


def test_the_same_tests_run_when_continuous_integration_starts_them() -> None:
    assert (ROOT / ".ci/run").read_text(encoding="utf-8").rstrip().endswith("\nmake test")


@pytest.mark.parametrize("command", PROJECT["project"]["scripts"])
def test_a_console_script_can_be_called_when_it_is_installed(command: str) -> None:
    module, _, function = PROJECT["project"]["scripts"][command].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
