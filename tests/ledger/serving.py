"""The service as it is run, with workers, beside a database; and clients that call it at once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from hooks.sandbox.demo import start_service
from hooks.sandbox.processes import Program, free_port
from tests.hooks.calls import URL, request

Json = dict[str, Any]
PATIENTS = ("f000", "f001", "f002", "f003", "f004")
TIMEOUT = 30.0


@contextmanager
def serving(database_url: str, folder: Path, workers: int = 2) -> Iterator[tuple[str, Program]]:
    """The base URL of a started service, which may not be ready yet, and its program."""
    port = free_port()
    settings = {"THERAPY_CDS_DATABASE_URL": database_url, "WEB_CONCURRENCY": str(workers)}
    with start_service(port, "http://127.0.0.1:9/fhir", folder, settings) as program:
        program.wait_until_ready()
        yield f"http://127.0.0.1:{port}", program


def workers_of(program: Program) -> list[int]:
    """The processes that answer calls: those below the first one that run the service's own code."""
    found, wanted = [], [program.process.pid]
    while wanted:
        pid = wanted.pop()
        path = Path(f"/proc/{pid}/task/{pid}/children")
        children = [int(each) for each in path.read_text(encoding="ascii").split()] if path.exists() else []
        found += [child for child in children if b"resource_tracker" not in command(child)]
        wanted += children
    return found


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class Callers:
    """Clients that call side by side until they are told to stop, and keep what they were told."""

    def __init__(self, base: str, number: int = 6) -> None:
        """They have not begun yet."""
        self.answers: list[Json] = []
        self.refusals: list[requests.Response] = []
        self.cut = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(base, n)) for n in range(number)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, number: int, among: Sequence[object] | None = None) -> None:
        """Until so many more answers (or, where that is named, refusals) have come."""
        found = self.answers if among is None else among
        wanted = len(found) + number
        end = time.monotonic() + TIMEOUT
        while len(found) < wanted:
            assert time.monotonic() < end, f"{len(self.answers)} answers, {len(self.refusals)} refusals, {self.cut} cut"
            time.sleep(0.01)

    def _run(self, base: str, number: int) -> None:
        name = PATIENTS[number % len(PATIENTS)]
        body = json.dumps(request(name=name)).encode()
        while not self._stop.is_set():
            try:
                # A connection for each call, so that all workers get some.
                answer = requests.post(
                    base + URL,
                    data=body,
                    timeout=TIMEOUT,
                    headers={"Content-Type": "application/json", "Connection": "close"},
                )
            except requests.RequestException:
                self.cut += 1
                continue
            if answer.status_code == 200:
                self.answers.append(answer.json())
            else:
                self.refusals.append(answer)
