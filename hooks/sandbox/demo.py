"""The demo: a FHIR server, the service, an order signed for each example patient, and the sandbox's page."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text
from werkzeug.serving import WSGIRequestHandler, make_server

from hooks.sandbox.afterwards import show_afterwards
from hooks.sandbox.app import create_sandbox
from hooks.sandbox.chart import coverages
from hooks.sandbox.errors import SandboxError
from hooks.sandbox.examples import Example, read_examples
from hooks.sandbox.fault_proxy import FaultyServer, faulty_server
from hooks.sandbox.faults import Chosen, change_request
from hooks.sandbox.fhir_server import load, start_fhir_server
from hooks.sandbox.http import FhirServer
from hooks.sandbox.processes import Program, free_port, held_port
from hooks.sandbox.show import clean, show_assessment, show_cards, show_patient
from hooks.sandbox.signing import Change, Exchange, as_built, sign
from hooks.sandbox.smart import write_servers


@dataclass(frozen=True)
class Ports:
    """The loopback ports of a demo; 0 means whichever is free."""

    fhir: int = 0
    service: int = 0
    page: int = 0


@dataclass(frozen=True)
class Stack:
    """A running FHIR server with the example patients, and a running service beside it.

    `change` is what an EHR with faults makes of its requests. `page` is the port of the page that the service knows as
    an EHR that launches its app; 0 where it knows none. `ledger_url` is where the service keeps its ledger.
    """

    service_url: str
    fhir_url: str
    examples: tuple[Example, ...]
    change: Change = as_built
    faulty: FaultyServer | None = None
    page: int = 0
    ledger_url: str = ""


def ledger_in(directory: Path) -> str:
    """The database URL of the ledger of a service that is started in a folder."""
    return f"sqlite:///{directory / 'ledger.db'}"


def start_service(port: int, fhir_urls: str, directory: Path, settings: Mapping[str, str] | None = None) -> Program:
    """Start the service as `therapy-cds serve` does, allowed to read FHIR servers (URLs separated by commas)."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("THERAPY_CDS_")}
    environment |= {
        "THERAPY_CDS_MODE": "development",
        "THERAPY_CDS_FHIR_SERVERS": fhir_urls,
        "THERAPY_CDS_BASE_URL": f"http://127.0.0.1:{port}",
        "THERAPY_CDS_DATABASE_URL": ledger_in(directory),
    }
    environment |= settings or {}
    return Program(
        "the service (therapy-cds serve)",
        [sys.executable, "-m", "hooks.cli", "serve", "--port", str(port)],
        directory / "service.log",
        f"http://127.0.0.1:{port}/cds-services",
        environment,
    )


@contextlib.contextmanager
def running_stack(ports: Ports | None = None, faults: Sequence[Chosen] = ()) -> Iterator[Stack]:
    """Run a FHIR server with the example patients, and the service, until the block is left.

    With faults, a proxy before the FHIR server and the EHR's requests misbehave.

    Raises:
        SandboxError: a part does not start; the message shows the tail of its log.
    """
    ports = ports or Ports()
    fhir_port, service_port = ports.fhir or free_port(), ports.service or free_port()
    fhir_url, service_url = f"http://127.0.0.1:{fhir_port}/fhir", f"http://127.0.0.1:{service_port}"
    examples = tuple(read_examples())
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="therapy-cds-")))
        # Both take a second or two, so they start side by side.
        fhir_server = stack.enter_context(start_fhir_server(fhir_port, directory))
        faulty = stack.enter_context(faulty_server(fhir_url, faults)) if faults else None
        allowed = f"{fhir_url},{faulty.base}" if faulty else fhir_url
        # The page is served last, and its address is told first.
        page = stack.enter_context(held_port(ports.page))
        servers = write_servers(directory / "smart.json", _iss(page), allowed.split(","))
        smart = {"THERAPY_CDS_SMART_SERVERS": str(servers), "THERAPY_CDS_SMART_KEYS": str(directory / "keys")}
        service = stack.enter_context(start_service(service_port, allowed, directory, smart))
        fhir_server.wait_until_ready()
        for example in examples:
            load(FhirServer(fhir_url), example)
        service.wait_until_ready()
        change = partial(change_request, chosen=faults, proxy=faulty.base) if faulty else as_built
        yield Stack(service_url, fhir_url, examples, change, faulty, page, ledger_in(directory))


def _iss(page: int) -> str:
    """The FHIR base URL at which the page on this port launches apps."""
    return f"http://127.0.0.1:{page}/fhir"


@contextlib.contextmanager
def serving_page(stack: Stack, port: int = 0) -> Iterator[str]:
    """Serve the sandbox's page on loopback; gives its address."""
    port = port or stack.page
    iss = _iss(port) if port and port == stack.page else ""
    app = create_sandbox(stack.service_url, stack.fhir_url, stack.examples, stack.change, iss)
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: the console is for the cards."""


def run_demo(console: Console, *, once: bool, ports: Ports, faults: Sequence[Chosen] = ()) -> None:
    """Run the demo, with an EHR that has these faults; returns after the printing when `once`, else at Ctrl-C.

    Raises:
        SandboxError: a part failed; every part that was started has been ended.
    """
    with _ended_by_signals(), running_stack(ports, faults) as stack:
        console.print(f"FHIR server  {stack.fhir_url}", f"Service      {stack.service_url}", sep="\n")
        for one in faults:
            of = f" ({', '.join(one.types)})" if one.types else ""
            console.print(Text(f"Fault        {one.fault.name}{of}: the EHR {one.fault.does}", style="bold"))
        signed: dict[str, Exchange] = {}
        failed = [example.name for example in stack.examples if not _sign_one(console, stack, example, signed)]
        console.print()
        if failed:
            raise SandboxError(f"the order of {', '.join(failed)} was not answered; see above")
        show_afterwards(console, stack.service_url, stack.ledger_url, signed)
        if once:
            return
        # Ctrl-C is how a demo ends from here on, so it is no failure.
        with serving_page(stack, ports.page) as url, contextlib.suppress(KeyboardInterrupt):
            console.print(f"Sandbox EHR  {url}", "Ctrl-C ends it.", sep="\n")
            threading.Event().wait()


def _sign_one(console: Console, stack: Stack, example: Example, signed: dict[str, Exchange]) -> bool:
    """Sign an example's order and print the answer, which is put into `signed`; whether there was one."""
    payers = ", ".join(item.text for item in coverages(example.record))
    show_patient(console, example.patient_id, payers or "none on file", list(example.drafts))
    if not example.drafts:
        return True
    exchanges = sign(stack.service_url, FhirServer(stack.fhir_url), example.patient_id, example.drafts, stack.change)
    signed.update((example.name, exchange) for exchange in exchanges if not exchange.problem)
    return show_exchanges(console, exchanges)


def show_exchanges(console: Console, exchanges: Sequence[Exchange]) -> bool:
    """Print what came back; tell whether every service answered with cards."""
    for exchange in exchanges:
        if exchange.problem:
            console.print(Text("Failed   ", style="bold red").append(clean(exchange.problem)), soft_wrap=True)
            continue
        for assessment in exchange.assessments:
            show_assessment(console, assessment)
        show_cards(console, exchange.cards)
    return not any(exchange.problem for exchange in exchanges)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Make SIGTERM and a closed terminal an exit that unwinds, so that nothing started is left behind."""

    def leave(number: int, frame: FrameType | None) -> None:
        # Once is enough: a second signal must not interrupt the ending of what was started.
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + number)

    former = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
