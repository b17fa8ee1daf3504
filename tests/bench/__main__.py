"""`make bench`: what one order-sign call costs, as ratios to two yardsticks on the same server, in one run."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from cds.ehr.client import Deadline, FhirClient, pooled_session
from cds.ehr.gather import EhrSource
from cds.fhir.queries import queries_for
from cds.model import Fact, Need
from cds.terminology import packaged
from hooks.app import SEARCHES_AT_ONCE
from tests.bench.bodies import SIZES, body_of
from tests.bench.ledger import ledger_share
from tests.bench.page import page_times
from tests.bench.servers import DELAY_SECONDS
from tests.hooks.calls import URL, request

START_SECONDS = 30.0
SLOW_SECONDS = 0.2
CALLS = {20: 120, 200: 40, 2000: 8}
SERVICE, JSON, FLOOR = "the service", "json.loads", "msgspec floor"


@dataclass
class Server:
    """A program that is measured, and what was measured so far: milliseconds by size."""

    name: str
    path: str
    port: int
    process: subprocess.Popen[bytes]
    wall: dict[int, list[float]] = field(default_factory=dict)
    cpu: dict[int, list[float]] = field(default_factory=dict)

    def call(self, connection: http.client.HTTPConnection, body: bytes) -> float:
        """One call; how long it took, in milliseconds."""
        began = time.perf_counter()
        connection.request("POST", self.path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        spent = (time.perf_counter() - began) * 1000
        if response.status != 200 or not json.loads(answer)["cards"]:
            raise SystemExit(f"{self.name} answered {response.status}: {answer[:300]!r}")
        return spent

    def measure(self, size: int, body: bytes, calls: int) -> None:
        """So many calls one after the other on one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.call(connection, body)
        before = cpu_seconds(self.process.pid)
        self.wall.setdefault(size, []).extend(self.call(connection, body) for _ in range(calls))
        self.cpu.setdefault(size, []).append((cpu_seconds(self.process.pid) - before) / calls * 1000)
        connection.close()


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its children so far: to the nanosecond where the kernel counts so, else in ticks."""
    total = 0.0
    for process in (pid, *_children(pid)):
        with contextlib.suppress(OSError):
            total += _of_threads(process) or _of_process(process)
    return total


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                found += [int(child), *_children(int(child))]
    return found


def _of_threads(pid: int) -> float:
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def _of_process(pid: int) -> float:
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@contextlib.contextmanager
def running(name: str, path: str, *command: str, port: int, **settings: str) -> Iterator[Server]:
    """A server as a process of its own until the block is left."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("THERAPY_CDS_")} | settings
    with subprocess.Popen([sys.executable, "-m", *command], env=environment, stderr=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as process:  # fmt: skip
        try:
            _wait(name, port, process)
            yield Server(name, path, port, process)
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def _wait(name: str, port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit(f"{name} did not start")


def prefetched(servers: list[Server], rounds: int) -> None:
    """All servers in turn, so that whatever else the machine does hits each of them."""
    bodies = {size: body_of(size) for size in SIZES}
    for _ in range(rounds):
        for size, body in bodies.items():
            for server in servers:
                server.measure(size, body, CALLS[size] * (1 if server.name == SERVICE else 2))
    _print_table(servers, bodies)


def _print_table(servers: list[Server], bodies: dict[int, bytes]) -> None:
    print("| resources | body | | CPU ms | wall ms | CPU of the service against it |")
    print("|---|---|---|---|---|---|")
    for size, body in bodies.items():
        own = statistics.median(servers[0].cpu[size])
        for server in servers:
            cpu, wall = statistics.median(server.cpu[size]), statistics.median(server.wall[size])
            against = "" if server is servers[0] else f"{own / cpu:.2f}"
            print(f"| {size:,} | {len(body) / 1000:,.0f} KB | {server.name} | {cpu:.2f} | {wall:.2f} | {against} |")


def searched(service: Server, fhir_port: int, calls: int) -> None:
    """Nothing prefetched: everything is searched on a FHIR server that takes its time."""
    body = json.dumps(request(prefetch=None, fhirServer=f"http://127.0.0.1:{fhir_port}")).encode()
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    service.call(connection, body)
    spent = [service.call(connection, body) for _ in range(calls)]
    alone = _one_search(fhir_port, calls)
    print()
    print(f"Nothing prefetched, 200 resources, a FHIR server that answers after {DELAY_SECONDS * 1000:.0f} ms:")
    print(f"one search by itself {alone:.1f} ms; a whole answer, wall: median {statistics.median(spent):.1f} ms, "
          f"slowest of {calls} {max(spent):.1f} ms")  # fmt: skip


def _one_search(port: int, calls: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    spent: list[float] = []
    for _ in range(calls):
        began = time.perf_counter()
        connection.request("GET", "/Encounter?patient=f000")
        connection.getresponse().read()
        spent.append((time.perf_counter() - began) * 1000)
    return statistics.median(spent)


def side_by_side(calls: int) -> None:
    """All searches of one order-sign at once, on a FHIR server that takes 200 ms for each."""
    twenty = dict(list(queries_for([Need(fact) for fact in Fact], packaged()).items())[:20])
    port = free_port()
    spent: list[float] = []
    with (
        running("slow FHIR", "/", "tests.bench.servers", "fhir", str(port), str(SLOW_SECONDS), port=port),
        pooled_session(SEARCHES_AT_ONCE) as session,
        ThreadPoolExecutor(SEARCHES_AT_ONCE) as pool,
    ):
        client = FhirClient(session, f"http://127.0.0.1:{port}", None)
        for _ in range(calls + 1):
            began = time.perf_counter()
            found = EhrSource("f000", {}, client, pool, Deadline.after(10)).gather(twenty)
            spent.append((time.perf_counter() - began) * 1000)
            if len(found) != 20 or not all(each.whole for each in found if each.query.key != "patient"):
                raise SystemExit(f"a search failed: {[each.reason for each in found if not each.whole]}")
    print()
    print(f"{len(twenty)} searches that take {SLOW_SECONDS * 1000:.0f} ms each, side by side: "
          f"median {statistics.median(spent[1:]):.1f} ms, slowest of {calls} {max(spent[1:]):.1f} ms; "
          f"with new connections {spent[0]:.1f} ms")  # fmt: skip


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of each: a look, not a measurement")
    quick = parser.parse_args().quick
    ports = [free_port() for _ in range(4)]
    allowed = {"THERAPY_CDS_FHIR_SERVERS": f"http://127.0.0.1:{ports[3]}"}
    with (
        TemporaryDirectory() as state,
        running(
            SERVICE, URL, "hooks.cli", "serve", "--port", str(ports[0]), port=ports[0], XDG_STATE_HOME=state, **allowed
        ) as service,
        running(JSON, "/", "tests.bench.servers", "json", str(ports[1]), port=ports[1]) as plain,
        running(FLOOR, "/", "tests.bench.servers", "floor", str(ports[2]), port=ports[2]) as floor,
        running("FHIR", "/", "tests.bench.servers", "fhir", str(ports[3]), port=ports[3]),
    ):
        prefetched([service, plain, floor], rounds=1 if quick else 7)
        searched(service, ports[3], calls=5 if quick else 40)
    side_by_side(calls=3 if quick else 20)
    ledger_share(rounds=1 if quick else 7)
    page_times(rounds=1 if quick else 15)


if __name__ == "__main__":
    main()
