"""The ledger's own commands: `replay` and `report`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table as RichTable
from rich.text import Text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from cds.authoring.cli import all_policies, said_plainly
from cds.authoring.drafting import draft_case
from cds.errors import InputError, SettingsError
from cds.ledger.basis import code_version
from cds.ledger.database import engine_of
from cds.ledger.ledger import CALL, Ledger
from cds.replay import Difference, Replay, recorded_call, replay
from cds.reporting.figures import Report
from cds.reporting.of_ledger import choice_of, report_of
from cds.reporting.render import csv_text, json_of, words
from cds.reporting.table import TEXT, Table
from cds.terminology import packaged

Json = dict[str, Any]
SECTIONS = (
    "policies", "criteria", "overrides", "unknown", "gaps", "clients", "refusals", "prefetch", "evidence", "days",
)  # fmt: skip
Day = click.DateTime(formats=["%Y-%m-%d"])
_database = click.option(
    "--database", envvar="THERAPY_CDS_DATABASE_URL", show_envvar=True, required=True, help="The ledger's database URL."
)
_WIDTH = 150


def open_ledger(url: str) -> Ledger:
    """The ledger of a database URL, to be read; InputError where there is none: a command makes no ledger."""
    try:
        target = make_url(url)
        if target.get_backend_name() == "sqlite" and target.database and not Path(target.database).is_file():
            remedy = "Give --database URL, or set THERAPY_CDS_DATABASE_URL as for the service"
            raise InputError(f"There is no ledger at {target.database}", where="--database", remedy=remedy)
        return Ledger(engine_of(url))
    except ArgumentError:
        remedy = "Write sqlite:////var/lib/therapy-cds/ledger.sqlite3 or postgresql://user@host/name"
        raise InputError("This is no database URL", where="--database", remedy=remedy) from None
    except SettingsError as problem:
        raise InputError(problem.what, where="--database", remedy=problem.remedy) from None


# ------------------------------------------------------------------------------------------------- replay


@click.command("replay")
@click.argument("id_", metavar="ID", required=False)
@click.option("--all", "every", is_flag=True, help="Replay every call on record.")
@click.option("--verify", is_flag=True, help="Check that nothing was changed, taken out or put in.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_database
@said_plainly
def replay_command(id_: str | None, database: str, *, every: bool, verify: bool, as_json: bool) -> None:
    """Assess a recorded call again: ID of an entry, an assessment or a card.

    Exit status 0 where today's code says the same under the policies of that day, 1 where it does not or the chain
    is broken.
    """
    if (id_ is not None) + every + verify != 1:
        raise InputError("One of three is wanted", where="arguments", remedy="Give ID, or --all, or --verify")
    ledger = open_ledger(database)
    if verify:
        same = _verify(ledger, as_json=as_json)
    elif every:
        same = _replay_all(ledger, as_json=as_json)
    else:
        done = replay(ledger, recorded_call(ledger, str(id_)), packaged(), all_policies())
        click.echo(_dumped(_replay_json(done))) if as_json else _show_replay(done)
        same = not done.differences
    if not same:
        sys.exit(1)


def _verify(ledger: Ledger, *, as_json: bool) -> bool:
    breaks = list(ledger.breaks())
    sequence, head = ledger.head()
    if as_json:
        told = [{"sequence": each.sequence, "id": each.id or None, "what": each.what} for each in breaks]
        click.echo(_dumped({"entries": sequence, "head": head, "breaks": told}))
        return not breaks
    for each in breaks:
        click.echo(str(each))
    click.echo(f"{sequence} entries, head {head}")
    found = f"{len(breaks)} break{'' if len(breaks) == 1 else 's'}" if breaks else "The chain holds, nothing is missing"
    click.echo(f"{found}.")
    return not breaks


def _replay_all(ledger: Ledger, *, as_json: bool) -> bool:
    """Every call, told only where something differs, and at the end how many there were."""
    policies = all_policies()
    numbers = dict.fromkeys(("calls", "same", "differ", "today", "expired"), 0)
    for entry in ledger.entries(CALL):
        numbers["calls"] += 1
        if entry.body is None:
            numbers["expired"] += 1
            continue
        done = replay(ledger, entry, packaged(), policies)
        numbers["differ" if done.differences else "same"] += 1
        numbers["today"] += bool(done.today or done.today_refused)
        if as_json:
            click.echo(json.dumps(_replay_json(done), ensure_ascii=False))
        elif done.differences:
            _show_replay(done)
    if not as_json:
        click.echo(
            f"{numbers['calls']} calls: {numbers['same']} the same again, {numbers['differ']} not, "
            f"{numbers['expired']} past their retention; {numbers['today']} would differ under today's policies"
        )
    return not numbers["differ"]


def _show_replay(done: Replay) -> None:
    body = done.entry.body or {}
    click.echo(f"{done.entry.recorded[:19]}Z  {body['service']}, called by {body['client']}")
    click.echo(f"Entry {done.entry.sequence}, {done.entry.id}")
    for each in body["assessments"]:
        told = each["is"]
        policy = f"{told['policy']} {told['policyVersion']}" if told["policy"] else "no policy"
        click.echo(f"{told['order']}: {told['outcome']} ({policy}), assessment {each['id']}")
    then, now = body["basis"]["code"], code_version()
    code = f"code {now}" if then == now else f"code {then} then, {now} now"
    if done.differences:
        click.echo(f"NOT the same again ({code}, policies of that day):")
        _show_differences(done.differences)
    else:
        click.echo(f"The same again ({code}, policies of that day).")
    if done.today_refused:
        click.echo(f"Under today's policies it would not be assessed: {done.today_refused}")
    elif done.today:
        click.echo("Under today's policies it would differ:")
        _show_differences(done.today)
    else:
        click.echo("Under today's policies: the same.")


def _show_differences(differences: Sequence[Difference]) -> None:
    for each in differences:
        click.echo(f"  {each}")


def _replay_json(done: Replay) -> Json:
    body = done.entry.body or {}
    return {
        "entry": done.entry.id,
        "sequence": done.entry.sequence,
        "recorded": done.entry.recorded,
        "service": body["service"],
        "client": body["client"],
        "code": {"then": body["basis"]["code"], "now": code_version()},
        "assessments": [
            {"id": each["id"]} | {name: each["is"][name] for name in ("order", "policy", "policyVersion", "outcome")}
            for each in body["assessments"]
        ],
        "same": not done.differences,
        "differences": [_difference_json(each) for each in done.differences],
        "today": {
            "same": not (done.today or done.today_refused),
            "differences": [_difference_json(each) for each in done.today],
            "refused": done.today_refused or None,
        },
    }


def _difference_json(each: Difference) -> Json:
    return {"order": each.order, "where": each.where, "then": each.then, "now": each.now}


def _dumped(told: Json) -> str:
    return json.dumps(told, indent=1, ensure_ascii=False)


# ------------------------------------------------------------------------------------------------- report


@click.command("report")
@click.option("--since", type=Day, default=None, help="The first day (UTC).")
@click.option("--until", type=Day, default=None, help="The last day (UTC).")
@click.option("--policy", "policy_id", default=None, help="The figures of one policy only.")
@click.option("--format", "form", type=click.Choice(("table", "csv", "json")), default="table", show_default=True)
@click.option("--section", type=click.Choice(SECTIONS), default=None, help="One table only; csv: criteria by default.")
@click.option("--case", "case_id", default=None, help="Write an assessment (or a card's) as a draft case instead.")
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Where the draft goes.")
@_database
@said_plainly
def report_command(
    since: datetime | None,
    until: datetime | None,
    policy_id: str | None,
    form: str,
    section: str | None,
    case_id: str | None,
    to: Path,
    database: str,
) -> None:
    """Count what the ledger holds: what fired, what was unknown and why, what became of the cards."""
    ledger = open_ledger(database)
    if case_id is not None:
        click.echo(draft_case(ledger, case_id, to, packaged(), all_policies()))
        return
    choice = choice_of(since.date() if since else None, until.date() if until else None, policy_id)
    known = [policy.id for policy in all_policies()]
    reported = report_of(ledger, choice, packaged().override_reasons, known)
    report, found = reported.report, reported.tables
    if section or form == "csv":
        found = (reported.table(section or "criteria"),)
    if form == "json":
        click.echo(_dumped(json_of(report, found)))
    elif form == "csv":
        click.echo(csv_text(found[0]), nl=False)
    else:
        _show(report, found)


def _show(report: Report, found: Sequence[Table]) -> None:
    # Figures are not cut where the terminal is narrow.
    console = Console(highlight=False, width=max(Console().width, _WIDTH))
    if not report.calls and not report.refusals:
        console.print("The ledger holds no call of this period.")
        return
    expired = f", {report.expired} of them past their retention" if report.expired else ""
    period = f", {report.begins[:10]} to {report.ends[:10]}" if report.calls else ""
    console.print(f"{report.calls} calls{expired}{period}", soft_wrap=True)
    for table in found:
        if table.rows:
            console.print()
            console.print(Text(table.title, style="bold"))
            console.print(Text(table.about, style="dim"), soft_wrap=True)
            console.print(_rich(table))


def _rich(table: Table) -> RichTable:
    """For a terminal: what many rows share, a policy or client, is said once above them."""
    first = table.columns[0]
    grouped = first.key in ("policy", "client") and len({row[0] for row in table.rows}) < len(table.rows)
    columns = table.columns[1:] if grouped else table.columns
    shown = RichTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        width = max(map(len, column.heading.split()))
        side: JustifyMethod = "left" if column.kind == TEXT else "right"
        shown.add_column(column.heading, justify=side, no_wrap=column is columns[0], min_width=width)
    last = None
    for row in table.rows:
        if grouped and row[0] != last:
            last = row[0]
            shown.add_row(Text(str(last), style="bold"))
        cells = row[1:] if grouped else row
        shown.add_row(*(Text(words(cell, c.kind)) for cell, c in zip(cells, columns, strict=True)))
    return shown
