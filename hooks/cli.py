"""The command line: `therapy-cds serve`, `demo`, `sign`, `load`, and the deciding part's own commands."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ParamSpec
from uuid import uuid4

import click

from cds.cli import all_policies, evaluate, policy
from cds.errors import CdsError
from cds.ledger.database import engine_of
from cds.ledger.ledger import Ledger
from cds.ledger_cli import replay_command, report_command
from cds.model import Assessment
from cds.terminology import packaged
from hooks.cards import CardMaker, View
from hooks.clients import read_clients
from hooks.sandbox.demo import Ports, run_demo, show_exchanges
from hooks.sandbox.errors import InputError, SandboxError
from hooks.sandbox.examples import is_draft_order, read_examples, resources_of
from hooks.sandbox.faults import choose
from hooks.sandbox.fhir_server import load as load_example
from hooks.sandbox.fhir_server import wait_for
from hooks.sandbox.http import FhirServer, Json
from hooks.sandbox.identity import read_identity
from hooks.sandbox.show import console_for
from hooks.sandbox.signing import orders_to_sign
from hooks.sandbox.signing import sign as sign_orders
from hooks.settings import Settings
from hooks.smart.keys import Key, Keys
from hooks.smart.registration import read_ehrs

P = ParamSpec("P")
Port = click.IntRange(0, 65535)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _said_plainly(command: Callable[P, None]) -> Callable[P, None]:
    """Turn an expected failure into one message on standard error and the right exit status."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except SandboxError as error:
            click.echo(f"therapy-cds: {error}", err=True)
            sys.exit(error.exit_status)
        except CdsError as error:
            click.echo(f"therapy-cds: {error}", err=True)
            sys.exit(InputError.exit_status)
        except KeyboardInterrupt:
            sys.exit(130)

    return run


def _url(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise click.BadParameter(f"{value!r} is no http or https URL.", ctx, param)
    return value.rstrip("/")


@contextlib.contextmanager
def _usage_in_one_line() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        # A group without a command prints its help, which is no error message to shorten.
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
            raise
        command = error.ctx.command_path if error.ctx else "therapy-cds"
        click.echo(f"therapy-cds: {error.format_message()} See {command} --help.", err=True)
        sys.exit(InputError.exit_status)


class _Group(click.Group):
    """A group whose usage errors are one line, as all other errors are."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _usage_in_one_line():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        with _usage_in_one_line():
            return super().invoke(ctx)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="therapy-cds")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Clinical decision support for therapy orders, by CDS Hooks."""
    ctx.obj = _cards_of  # `evaluate --json` prints the same cards as the hook returns
    # Where the service keeps its ledger unless it is told otherwise, the commands look for it.
    ctx.default_map = {name: {"database": Settings().ledger_url} for name in ("replay", "report")}


def _cards_of(assessments: tuple[Assessment, ...], today: date) -> list[dict[str, Any]]:
    """The cards that the hook would return for these assessments."""
    view = View(among=len(assessments))
    maker = CardMaker(Settings.base_url, packaged().override_reasons, today, lambda: str(uuid4()), view=view)
    cards: list[dict[str, Any]] = maker.response(assessments)["cards"]
    return cards


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, type=Port, help="The port to listen on.")
@click.option(
    "--workers", default=1, show_default=True, envvar="WEB_CONCURRENCY", show_envvar=True, type=click.IntRange(1, 64),
    help="Processes.",
)  # fmt: skip
@_said_plainly
def serve(host: str, port: int, workers: int) -> None:
    """Run the service. Its settings are the THERAPY_CDS_... environment variables."""
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    # The workers read the environment anew; links in cards lead to where this service truly listens.
    os.environ.setdefault("THERAPY_CDS_BASE_URL", url)
    settings = Settings.from_environment()
    # Read here too, so that a wrong policy or client is one line and exit status 2, not a worker that ends.
    all_policies()
    if settings.clients:
        read_clients(settings.clients, production=settings.is_production)
    if settings.smart_servers:
        read_ehrs(settings.smart_servers, production=settings.is_production)
        # Here, before there are several workers.
        Keys(settings.smart_keys_folder)
    # So that a wrong database is told in the same way; its tables are there before the workers are.
    with contextlib.closing(Ledger(engine_of(settings.ledger_url))) as ledger:
        ledger.start()
    _refuse_taken_port(host, port)
    # Imported here: the other commands need no web server.
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    click.echo(f"therapy-cds: {url}/cds-services")
    Granian(
        "hooks.server:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=settings.threads,
        factory=True,
        websockets=False,
        log_level=LogLevels.error,
        # One that was killed, by whatever takes memory back, must not end the others.
        respawn_failed_workers=True,
        respawn_interval=0.5,
    ).serve()


def _refuse_taken_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            where = f"{host}:{port} ({reason})"
            raise InputError(f"cannot listen on {where}; choose another --host or --port") from error


@main.command()
@click.option("--once", is_flag=True, help="End after the cards are printed.")
@click.option("--port-page", default=0, type=Port, help="The page's port; any free one by default.")
@click.option("--port-service", default=0, type=Port, help="The service's port; any free one by default.")
@click.option("--port-fhir", default=0, type=Port, help="The FHIR server's port; any free one by default.")
@click.option("--fault", "faults", multiple=True, help="NAME[=VALUE][:TYPE,...] of docs/faults.md; repeatable.")
@_said_plainly
def demo(once: bool, port_page: int, port_service: int, port_fhir: int, faults: tuple[str, ...]) -> None:
    """Sign the example patients' orders against a real FHIR server, and open the sandbox EHR."""
    ports = Ports(fhir=port_fhir, service=port_service, page=port_page)
    run_demo(console_for(), once=once, ports=ports, faults=[choose(fault) for fault in faults])


@main.command()
@click.option("--service", required=True, callback=_url, help="The CDS service's base URL, above /cds-services.")
@click.option("--fhir", required=True, callback=_url, help="The FHIR server's base URL.")
@click.option("--patient", required=True, help="The patient's id on the FHIR server.")
@click.option(
    "--order",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A draft order, or a Bundle with draft orders; the example patient's own by default.",
)
@click.option("--client-key", "key", type=_FILE, help="A private key in PEM: the calls are signed with it.")
@click.option("--client-iss", "iss", default="", help="The issuer that signed calls name.")
@click.option("--json", "as_json", is_flag=True, help="Print the response instead of the cards.")
@_said_plainly
def sign(service: str, fhir: str, patient: str, order: Path | None, key: Path | None, iss: str, as_json: bool) -> None:
    """Sign an order as an EHR would: discovery, prefetch, order-sign; print the cards."""
    patient_id = patient.removeprefix("Patient/")
    if (key is None) != (iss == ""):
        raise InputError("a signed call needs both --client-key FILE and --client-iss ISS")
    identity = read_identity(key, iss) if key else None
    server = FhirServer(fhir)
    drafts = _drafts(order, patient_id)
    server.read(f"Patient/{patient_id}")
    exchanges = sign_orders(service, server, patient_id, drafts, identity=identity)
    if as_json:
        answers = [exchange.response for exchange in exchanges]
        click.echo(json.dumps(answers[0] if len(answers) == 1 else answers, indent=2, ensure_ascii=False))
    else:
        show_exchanges(console_for(), [exchange for exchange in exchanges if not exchange.problem])
    problem = next((exchange.problem for exchange in exchanges if exchange.problem), None)
    if problem:
        raise problem


def _drafts(order: Path | None, patient_id: str) -> list[Json]:
    if order is not None:
        found = resources_of(str(order), order.read_text(encoding="utf-8"))
        # A single order is signed whatever its status says: whoever names it wants just that one signed.
        drafts = [item for item in found if is_draft_order(item)] if len(found) != 1 else found
        return orders_to_sign(drafts, patient_id)
    own = [example for example in read_examples() if example.patient_id == patient_id]
    drafts = [draft for example in own for draft in example.drafts]
    if not drafts:
        raise InputError(f"no example order for patient {patient_id}; give one with --order FILE")
    return drafts


@main.command()
@click.argument("key", type=_FILE)
@_said_plainly
def jwks(key: Path) -> None:
    """Print the public half of a private KEY (PEM) as a JWKS, to register a client with (docs/clients.md)."""
    click.echo(json.dumps({"keys": [read_identity(key, "").jwk]}, indent=2))


@main.command()
@click.option("--fhir", required=True, callback=_url, help="The FHIR server's base URL.")
@click.option("--wait", default=0.0, type=click.FloatRange(0, 3600), help="Seconds to wait until the server answers.")
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@_said_plainly
def load(fhir: str, directory: Path | None, wait: float) -> None:
    """Load example patients into a FHIR server: DIRECTORY's Bundles, or those that come with the project."""
    server = FhirServer(fhir)
    wait_for(server, wait)
    for example in read_examples(directory):
        count = load_example(server, example)
        left_out = f"; {len(example.drafts)} draft order kept for the order form" if example.drafts else ""
        click.echo(f"{example.name}: {count} resources of Patient/{example.patient_id} loaded{left_out}")


@main.group()
def keys() -> None:
    """The SMART app's own keys (THERAPY_CDS_SMART_KEYS): made where there are none."""


@keys.command("list")
@_said_plainly
def keys_list() -> None:
    """Show the keys: id, use, and when each was made and retired. Never the keys themselves."""
    _show_keys(Keys(Settings.from_environment().smart_keys_folder).all())


@keys.command()
@_said_plainly
def rotate() -> None:
    """Make new keys. The old public ones stay published for a day, and sessions go on."""
    _show_keys(Keys(Settings.from_environment().smart_keys_folder).rotate())


def _show_keys(found: Iterable[Key]) -> None:
    for key in found:
        made, retired = (_day(key.made), f"retired {_day(key.retired)}" if key.retired else "in use")
        click.echo(f"{key.id}  {key.use:<6}  made {made}  {retired}")


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


main.add_command(evaluate)
main.add_command(policy)
main.add_command(replay_command)
main.add_command(report_command)

if __name__ == "__main__":
    main()
