"""The container's files, and the very commands that they hold, run without Docker."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.engine import make_url

from hooks.sandbox.processes import free_port
from hooks.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker/compose.yaml").read_text(encoding="utf-8"))
READY_SECONDS = 20.0
Steps = list[tuple[str, str]]


def steps() -> Steps:
    """The Dockerfile's instructions, continued lines joined, as (instruction, rest)."""
    text = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(" ", 1)[0], " ".join(line.split(" ", 1)[1].split())) for line in lines]


def last(instruction: str) -> str:
    return [rest for name, rest in steps() if name == instruction][-1]


def command(text: str) -> list[str]:
    """The list of a command in exec form."""
    found: list[str] = json.loads(text[text.index("[") :])
    return found


def test_it_runs_as_a_numbered_user_when_the_image_is_used() -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", last("USER"))
    assert f"--uid {last('USER').split(':')[0]} " in next(rest for name, rest in steps() if "useradd" in rest)


def test_the_ledger_is_on_a_volume_of_the_user_when_no_database_is_named() -> None:
    environment = [rest for name, rest in steps() if name == "ENV" and "XDG_STATE_HOME" in rest]
    state = next(part.partition("=")[2] for part in environment[-1].split() if part.startswith("XDG_STATE_HOME="))
    assert last("VOLUME") == f"{state}/therapy-cds"
    user = last("USER").split(":")[0]
    assert any(f"-o {user} " in rest and last("VOLUME") in rest for name, rest in steps() if name == "RUN")


def test_two_stages_and_hashes_are_used_when_the_image_is_built() -> None:
    assert [rest.split()[0] for name, rest in steps() if name == "FROM"] == ["${PYTHON_IMAGE}"] * 2
    assert any("--require-hashes -r requirements/runtime.txt" in rest for name, rest in steps() if name == "RUN")
    assert last("COPY").startswith("--from=build ")


def test_no_secret_is_named_when_the_container_files_are_read() -> None:
    for name in ("Dockerfile", "compose.yaml"):
        text = (ROOT / "docker" / name).read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        assert not re.search(r"password|secret|token|api_?key", "\n".join(lines), re.IGNORECASE), name


def test_everything_that_is_copied_is_sent_when_the_image_is_built() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {part for name, rest in steps() if name == "COPY" and "--from" not in rest for part in rest.split()[:-1]}
    assert copied == sent
    assert all((ROOT / part).exists() for part in copied)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_nothing_more_than_needed_is_allowed_when_compose_starts_a_service(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert not service.get("privileged")
    # Only the ledger outlives a container, and nothing of the machine itself is lent to one.
    assert service.get("volumes", []) == (["ledger:/var/lib/postgresql/data"] if name == "database" else [])


def test_the_ledger_is_on_the_database_when_compose_starts_the_service() -> None:
    service, database = COMPOSE["services"]["service"], COMPOSE["services"]["database"]
    url = make_url(service["environment"]["THERAPY_CDS_DATABASE_URL"])
    given = database["environment"]
    assert (url.database, url.username) == (given["POSTGRES_DB"], given["POSTGRES_USER"])
    assert url.get_backend_name() == "postgresql"
    # On the loopback of the network that they share, and on no port of the machine.
    assert url.host == "127.0.0.1"
    assert "listen_addresses=127.0.0.1" in database["command"]
    assert database["network_mode"] == service["network_mode"]
    assert "ports" not in database
    assert service["depends_on"]["database"]["condition"] == "service_healthy"


def test_the_service_accepts_its_settings_when_compose_starts_it() -> None:
    given = COMPOSE["services"]["service"]["environment"]
    settings = Settings.from_environment({name: value for name, value in given.items() if name.startswith(PREFIX)})
    (subnet,) = (item["subnet"] for item in COMPOSE["networks"]["demo"]["ipam"]["config"])
    assert [str(network) for network in settings.trusted_networks] == [subnet]
    assert settings.allows("http://127.0.0.1:8080/fhir")


def test_the_service_waits_for_the_examples_when_compose_starts_it() -> None:
    services = COMPOSE["services"]
    assert services["service"]["depends_on"]["examples"]["condition"] == "service_completed_successfully"
    assert "--wait" in services["examples"]["command"]
    assert services["service"]["healthcheck"]["test"][0] == "CMD"
    assert last("HEALTHCHECK")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment made as the Dockerfile's first stage makes it; gives the folder of its commands."""
    root = tmp_path_factory.mktemp("image")
    venv, source = root / "venv", root / "build"
    for part in (line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")):
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (source / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / part, source / part)
    runs = [rest for name, rest in steps() if name == "RUN" and "/opt/therapy-cds" in rest]
    assert len(runs) == 3
    # The image has bytecode, for a quick start; here it would only cost time.
    quick = os.environ | {"PIP_NO_COMPILE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for line in runs:
        line = line.replace("/opt/therapy-cds", str(venv)).replace("python -m venv", f"{sys.executable} -m venv")
        subprocess.run(["sh", "-ec", line], cwd=source, env=quick, check=True, capture_output=True, text=True)
    shutil.rmtree(source)
    return venv / "bin"


@pytest.fixture(scope="module")
def running(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The CMD of the Dockerfile, on loopback and a free port, where it may write nothing; gives the port."""
    here, state = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("state")
    here.chmod(0o500)
    port = free_port()
    changed = {"0.0.0.0": "127.0.0.1", "8000": str(port)}  # noqa: S104 - replaced, not used
    arguments = [changed.get(part, part) for part in command(last("CMD"))]
    environment = {"PATH": f"{installed}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(here)}
    environment["XDG_STATE_HOME"] = str(state)
    with subprocess.Popen(arguments, cwd=here, env=environment, start_new_session=True) as process:
        yield port
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)
    here.chmod(0o700)
    assert list(here.iterdir()) == []
    assert [folder.name for folder in state.iterdir()] == ["therapy-cds"]


def healthy(installed: Path, port: int, path: str = "") -> bool:
    """What the HEALTHCHECK says."""
    check = [part.replace(":8000/", f":{port}/").replace("/health/live", path or "/health/live") for part in
             command(last("HEALTHCHECK"))]  # fmt: skip
    done = subprocess.run([str(installed / check[0]), *check[1:]], capture_output=True, check=False, timeout=10)
    return done.returncode == 0


def test_the_health_check_passes_when_the_command_of_the_image_runs(installed: Path, running: int) -> None:
    end = time.monotonic() + READY_SECONDS
    while not healthy(installed, running) and time.monotonic() < end:
        time.sleep(0.3)
    assert healthy(installed, running)


def test_the_health_check_fails_when_nobody_answers(installed: Path) -> None:
    assert not healthy(installed, free_port())
