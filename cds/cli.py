"""The deciding part's own commands: `evaluate` and `policy`."""

from __future__ import annotations

import functools
import itertools
import json
import os
import sys
from collections.abc import Callable
from datetime import date, datetime
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, ParamSpec

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cds.authoring.cases import read_cases
from cds.authoring.library import Authored, read_library
from cds.authoring.mutate import mutate_policy
from cds.authoring.run import Ran, run_case
from cds.errors import CdsError, InputError
from cds.evaluate import assessment_json, evaluate_bundle
from cds.model import Assessment
from cds.rules.explain import RESULT_WORDS
from cds.rules.load import load_policies, load_policy, packaged_policies, policy_files
from cds.rules.policy import Policy
from cds.terminology import packaged

P = ParamSpec("P")
# How a face renders assessments as cards; the command line gets it as click's context object.
CardsOf = Callable[[tuple[Assessment, ...], date], list[dict[str, Any]]]
Day = click.DateTime(formats=["%Y-%m-%d"])
_STYLES = {"met": "green", "not-met": "bold red", "unknown": "yellow", "not-applicable": "dim"}


def _said_plainly(command: Callable[P, None]) -> Callable[P, None]:
    """One line on standard error for what is expected to go wrong; exit 2 for wrong input, 1 otherwise."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CdsError as error:
            click.echo(f"therapy-cds: {error}", err=True)
            sys.exit(2 if isinstance(error, InputError) or error.code.startswith("CDS-2") else 1)

    return run


def all_policies(path: Path | None = None) -> tuple[Policy, ...]:
    """The packaged policies, those of THERAPY_CDS_POLICY_PATH, and those of one more folder."""
    return load_policies(_folders(path), packaged())


def _folders(path: Path | None) -> list[Traversable | Path]:
    """Where policies are kept, in the order in which they replace each other."""
    folders = [Path(part) for part in os.environ.get("THERAPY_CDS_POLICY_PATH", "").split(os.pathsep) if part]
    return [packaged_policies(), *folders, *([path] if path else [])]


def policies_or_named(path: Path | None, policy_id: str | None) -> tuple[Policy, ...]:
    """All policies; InputError where one was named that does not exist."""
    policies = all_policies(path)
    if policy_id is not None and policy_id not in {policy.id for policy in policies}:
        known = ", ".join(policy.id for policy in policies)
        raise InputError(f"There is no policy '{policy_id}'", where="--policy", remedy=f"Known policies: {known}")
    return policies


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--as-of", type=Day, default=None, help="The evaluation date (YYYY-MM-DD); else the order's own.")
@click.option("--policy", "policy_id", default=None, help="Weigh by this policy, whatever the coverage says.")
@click.option("--path", type=click.Path(path_type=Path), default=None, help="A folder with more policies.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
@_said_plainly
def evaluate(
    cards_of: CardsOf | None,
    bundle: Path,
    as_of: datetime | None,
    policy_id: str | None,
    path: Path | None,
    *,
    as_json: bool,
) -> None:
    """Assess the draft orders of a collection Bundle, with no server at all."""
    policies = policies_or_named(path, policy_id)
    day = as_of.date() if as_of else None
    today = date.today()
    assessments = evaluate_bundle(bundle, policies, packaged(), today, day, policy_id)
    if as_json:
        click.echo(json.dumps(evaluation_json(assessments, today, cards_of), indent=1, ensure_ascii=False))
    else:
        for assessment in assessments:
            _show(assessment)
        if not assessments:
            click.echo("No draft order in this Bundle is a therapy order.")


def evaluation_json(assessments: tuple[Assessment, ...], today: date, cards_of: CardsOf | None) -> dict[str, Any]:
    """What `evaluate --json` prints: the day, the assessments, and the cards that the hook would return."""
    as_of = assessments[0].as_of if assessments else today
    cards = cards_of(assessments, today) if cards_of else []
    return {"asOf": as_of.isoformat(), "assessments": [assessment_json(a) for a in assessments], "cards": cards}


def _show(assessment: Assessment) -> None:
    console = Console(highlight=False)
    console.print(
        f"\n[bold]{escape(assessment.order.label)}[/] ({escape(assessment.order.reference)}), as of {assessment.as_of}",
        soft_wrap=True,
    )
    console.print(f"Policy: {assessment.policy_title or 'none'} {assessment.policy_version or ''}")
    console.print(f"[bold]{escape(assessment.says)}[/]")
    if not assessment.criteria:
        return
    table = Table("Criterion", "Result", "Found", show_lines=False)
    for result in assessment.criteria:
        style = _STYLES[result.result.value]
        name = f"{result.id}{' *' if result.required else ''}"
        table.add_row(name, f"[{style}]{RESULT_WORDS[result.result]}[/]", escape(result.says))
    console.print(table)
    console.print("* required; the others advise")
    for sentence in assessment.would_change:
        console.print(f"  - {escape(sentence)}")


@click.group()
def policy() -> None:
    """The authors' tools."""


@policy.command("list")
@click.option("--path", type=click.Path(path_type=Path), default=None, help="A folder with more policies.")
@_said_plainly
def list_policies(path: Path | None) -> None:
    """List the policies with kind, version and effective dates."""
    table = Table("Policy", "Kind", "Version", "In force", "Criteria")
    for each in all_policies(path):
        until = f" to {each.end}" if each.end else ""
        table.add_row(each.id, each.kind, each.version, f"from {each.start}{until}", str(len(each.criteria)))
    Console().print(table)


@policy.command("check")
@click.argument("policy_id", required=False)
@click.option("--path", type=click.Path(path_type=Path), default=None, help="A folder of policies to check instead.")
@_said_plainly
def check_policies(policy_id: str | None, path: Path | None) -> None:
    """Check every policy file; each mistake with file, line, key and remedy."""
    folder = path if path is not None else packaged_policies()
    wrong: list[str] = []
    right = 0
    for file in policy_files(folder):
        try:
            checked = load_policy(file, packaged())
        except CdsError as error:
            wrong.append(str(error))
            continue
        right += policy_id in (None, checked.id)
    for problem in wrong:
        click.echo(f"therapy-cds: {problem}", err=True)
    if wrong:
        sys.exit(2)
    load_policies([folder], packaged())
    click.echo(f"{right} {'policy' if right == 1 else 'policies'} checked, nothing wrong")


def policies_and_owned(path: Path | None, policy_id: str | None) -> tuple[tuple[Authored, ...], tuple[Authored, ...]]:
    """All policies; and of them those to work on: those of `path`, or those of the package and the environment."""
    everything = read_library(_folders(path), packaged())
    if path is not None:
        own = {each.policy.id for each in read_library([path], packaged())}
    else:
        own = {each.policy.id for each in everything}
    if policy_id is not None and policy_id not in own:
        raise InputError(f"There is no policy '{policy_id}'", where="ID", remedy=f"Known: {', '.join(sorted(own))}")
    return everything, tuple(each for each in everything if each.policy.id in ({policy_id} if policy_id else own))


@policy.command("test")
@click.argument("policy_id", required=False)
@click.option("--path", type=click.Path(path_type=Path), default=None, help="A folder of policies to test instead.")
@_said_plainly
def test_policies(policy_id: str | None, path: Path | None) -> None:
    """Run the cases of the policies; exit 2 when one comes out otherwise than it expects."""
    everything, own = policies_and_owned(path, policy_id)
    policies = tuple(each.policy for each in everything)
    failed = total = 0
    for each in own:
        click.echo(f"{each.policy.id}")
        for case in read_cases(each, everything):
            ran = run_case(case, policies, packaged(), date.today())
            _show_case(ran)
            total += 1
            failed += not ran.ok
    click.echo(f"{total} cases, {failed} not as expected" if failed else f"{total} cases, all as expected")
    if failed:
        sys.exit(2)


def _show_case(ran: Ran) -> None:
    click.echo(f"  {'ok   ' if ran.ok else 'FAILS'} {ran.case.name}")
    if not ran.ok:
        click.echo(f"        {ran.case.where()}")
    for difference in ran.differences:
        click.echo(f"        {difference}")


@policy.command("mutate")
@click.argument("policy_id", required=False)
@click.option("--path", type=click.Path(path_type=Path), default=None, help="A folder of policies to mutate instead.")
@_said_plainly
def mutate_policies(policy_id: str | None, path: Path | None) -> None:
    """Move every figure, date and code once and name what no case notices; exit 2 when there is any."""
    everything, own = policies_and_owned(path, policy_id)
    found = 0
    for each in own:
        report = mutate_policy(each, everything, packaged(), date.today())
        found += len(report.holes)
        equivalent = f", {report.equivalent} declared equivalent" if report.equivalent else ""
        click.echo(f"{report.policy}: {report.tried} mutations, {len(report.holes)} unnoticed{equivalent}")
        for group, holes in itertools.groupby(report.holes, key=lambda hole: hole.group):
            click.echo(f"  {group}")
            for hole in holes:
                click.echo(f"    {hole.says} ({hole.where})")
    if found:
        sys.exit(2)
