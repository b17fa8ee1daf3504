"""What putting a call on record costs, as a share of the whole call, measured inside one process."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hooks.recording
from cds.recording import record_call
from hooks.app import create_app
from hooks.settings import Settings
from tests.bench.bodies import SIZES, body_of
from tests.hooks.calls import URL

CALLS = {20: 100, 200: 40, 2000: 10}


def ledger_share(rounds: int) -> None:
    """Print, for each size, the CPU and wall time of the whole call and of its record, on SQLite in one file."""
    with TemporaryDirectory() as folder:
        settings = replace(Settings(), database_url=f"sqlite:///{Path(folder) / 'ledger.sqlite3'}")
        client = create_app(settings).test_client()
        watch = Stopwatch(record_call)
        setattr(hooks.recording, "record_call", watch)  # noqa: B010 - a stopwatch in its place
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 50, 50)
        print("\n| resources | CPU ms, whole call | CPU ms, ledger | share | wall ms, ledger |\n|---|---|---|---|---|")
        for size in SIZES:
            body = body_of(size)
            spent: list[list[float]] = []
            for _ in range(rounds + 1):
                watch.reset()
                began = time.thread_time()
                for _ in range(CALLS[size]):
                    client.post(URL, data=body, content_type="application/json")
                whole = time.thread_time() - began
                spent.append([part / CALLS[size] * 1000 for part in (whole, watch.cpu, watch.wall)])
            all_of_it, cpu, wall = (statistics.median(column) for column in zip(*spent[1:], strict=True))
            print(f"| {size:,} | {all_of_it:.2f} | {cpu:.2f} | {cpu / all_of_it:.0%} | {wall:.2f} |")


class Stopwatch:
    """A function, and how long it has taken so far: CPU of its thread and wall time, in seconds."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.reset()

    def reset(self) -> None:
        """Begin at nothing again."""
        self.cpu = self.wall = 0.0

    def __call__(self, *arguments: Any) -> Any:
        """Call it."""
        cpu, wall = time.thread_time(), time.perf_counter()
        try:
            return self._function(*arguments)
        finally:
            self.cpu += time.thread_time() - cpu
            self.wall += time.perf_counter() - wall
