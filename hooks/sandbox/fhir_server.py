"""A real FHIR server for the sandbox: sekmet-fhir, on loopback, in a directory of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from hooks.sandbox.errors import InputError, SandboxError
from hooks.sandbox.examples import Example, transaction
from hooks.sandbox.http import FhirServer
from hooks.sandbox.processes import Program

POLL_SECONDS = 0.5
START = "import sys; from sekmet.cli import app; sys.exit(app())"


def settings_for(port: int, directory: Path) -> dict[str, object]:
    """Choose the server's settings.

    Its defaults listen on every interface and answer orders by themselves: neither suits a sandbox.
    """
    return {
        "base_url": f"http://127.0.0.1:{port}/fhir",
        "host": "127.0.0.1",
        "port": port,
        "data_dir": str(directory / "data"),
        "simulator": {"enabled": False},
        "validation": {"inbound": "strict"},
        "log_inbound": False,
    }


def start_fhir_server(port: int, directory: Path, more: Mapping[str, object] | None = None) -> Program:
    """Start the FHIR server; `wait_until_ready` of what comes back tells when it answers.

    `more` are further settings of its own, such as `server_auth`.

    Raises:
        InputError: it is not installed.
    """
    if importlib.util.find_spec("sekmet") is None:
        raise InputError("the sandbox needs a FHIR server: install sekmet-fhir (pip install sekmet-fhir)")
    config = directory / "sekmet.yaml"
    # JSON is YAML, so the settings need no YAML writer.
    config.write_text(json.dumps({**settings_for(port, directory), **(more or {})}), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SEKMET_")}
    return Program(
        "the FHIR server (sekmet-fhir)",
        [sys.executable, "-c", START, "serve", "--config", str(config)],
        directory / "sekmet.log",
        f"http://127.0.0.1:{port}/fhir/metadata",
        environment,
        directory,
    )


def wait_for(fhir: FhirServer, seconds: float) -> None:
    """Wait until a FHIR server tells what it can do: large ones need a minute to start.

    Raises:
        SandboxError: it did not within that time; not raised where no time is given.
    """
    end = time.monotonic() + seconds
    while seconds:
        try:
            fhir.read("metadata")
        except SandboxError:
            if time.monotonic() >= end:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return


def load(fhir: FhirServer, example: Example) -> int:
    """Put an example's record on a FHIR server in one transaction; say how many resources that was.

    Raises:
        SandboxError: the server cannot be reached, or refused.
    """
    body = transaction(example)
    fhir.write("POST", "", body)
    return len(body["entry"])
