"""The app's own keys: made once, kept to oneself, rotated without a gap."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import time_machine
from click.testing import CliRunner

from cds.errors import SettingsError
from hooks.cli import main
from hooks.smart.keys import FILE, Keys


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a file of keys holds."""
    return Keys(tmp_path_factory.mktemp("keys")).path.read_text()


@pytest.fixture
def keys(tmp_path: Path, made: str) -> Keys:
    """Keys of one's own."""
    path = tmp_path / FILE
    path.touch(mode=0o600)
    path.write_text(made)
    return Keys(tmp_path)


def test_they_are_readable_by_their_owner_only_when_they_are_made(tmp_path: Path) -> None:
    path = Keys(tmp_path / "state" / "keys").path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == [FILE]


def test_one_set_is_made_when_two_workers_start_at_once(tmp_path: Path) -> None:
    code = "import sys, pathlib, hooks.smart.keys as k; print(k.Keys(pathlib.Path(sys.argv[1])).jwks())"
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = {worker.communicate(timeout=120)[0] for worker in workers}
    assert len(said) == 1
    assert "RS384" in said.pop()


def test_the_same_keys_are_there_when_they_are_read_again(keys: Keys) -> None:
    assert Keys(keys.path.parent).jwks() == keys.jwks()


def test_old_public_keys_are_published_for_a_day_when_keys_are_rotated(keys: Keys) -> None:
    old = {key["kid"] for key in keys.jwks()["keys"]}
    other_worker = Keys(keys.path.parent)
    keys.rotate()
    published = {key["kid"] for key in other_worker.jwks()["keys"]}
    assert old < published
    assert len(published) == 4
    assert other_worker.signing("ES384")[0] not in old
    with time_machine.travel(time.time() + 86_401):
        assert not old & {key["kid"] for key in other_worker.jwks()["keys"]}


def test_a_private_key_is_gone_from_the_file_when_it_is_retired(keys: Keys) -> None:
    keys.rotate()
    rows = json.loads(keys.path.read_text())
    for row in rows:
        if row["use"] in ("RS384", "ES384"):
            assert ("PRIVATE" in row["text"]) == (row["retired"] is None)
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600


def test_what_was_sealed_is_opened_when_keys_are_rotated_in_between(keys: Keys) -> None:
    sealed = keys.seal().encrypt(b"a session")
    keys.rotate()
    assert keys.seal().decrypt(sealed) == b"a session"


def test_they_are_refused_when_others_may_read_them(keys: Keys) -> None:
    os.chmod(keys.path, 0o644)
    with pytest.raises(SettingsError, match="others may read"):
        Keys(keys.path.parent)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "no json"])
def test_nothing_of_the_file_is_told_when_it_is_no_file_of_keys(keys: Keys, text: str) -> None:
    keys.path.write_text(text)
    with pytest.raises(SettingsError, match="no file of keys"):
        Keys(keys.path.parent)


def test_it_is_told_when_the_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="THERAPY_CDS_SMART_KEYS"):
        Keys(tmp_path / "file" / "keys")


def test_no_key_is_shown_when_keys_are_listed_and_rotated(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THERAPY_CDS_SMART_KEYS", str(keys.path.parent))
    old, _ = keys.signing("RS384")
    assert "retired" not in CliRunner().invoke(main, ["keys", "list"]).output
    assert CliRunner().invoke(main, ["keys", "rotate"]).exit_code == 0
    said = CliRunner().invoke(main, ["keys", "list"]).output
    (line,) = [line for line in said.splitlines() if line.startswith(old)]
    assert "retired" in line
    assert len(said.splitlines()) == 8
    assert not [row for row in json.loads(keys.path.read_text()) if row["text"] in said]
    assert repr(keys.all()[0]) == f"Key(RS384 {old})"
