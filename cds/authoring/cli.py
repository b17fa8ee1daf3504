"""`therapy-cds policy`: list, check, test, explain and mutate policies."""

from __future__ import annotations

import functools
import itertools
import os
import sys
from collections.abc import Callable
from datetime import date
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import ParamSpec

import click
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from cds.authoring.cases import read_cases
from cds.authoring.check import Problem, check_policy, icd10, overlaps
from cds.authoring.explain import markdown
from cds.authoring.library import Authored, read_library
from cds.authoring.mutate import mutate_policy
from cds.authoring.run import Ran, run_case
from cds.errors import CdsError, InputError, PolicyError
from cds.rules.load import load_policies, load_policy, packaged_policies, policy_files
from cds.rules.policy import Policy
from cds.terminology import packaged

P = ParamSpec("P")


def said_plainly(command: Callable[P, None]) -> Callable[P, None]:
    """One line on standard error for what is expected to go wrong; exit 2 for wrong input, 1 otherwise."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CdsError as error:
            click.echo(f"therapy-cds: {error}", err=True)
            sys.exit(2 if isinstance(error, InputError) or error.code.startswith("CDS-2") else 1)

    return run


def policy_folders(path: Path | None = None) -> list[Traversable | Path]:
    """Where policies are kept, in the order in which they replace each other."""
    folders = [Path(part) for part in os.environ.get("THERAPY_CDS_POLICY_PATH", "").split(os.pathsep) if part]
    return [packaged_policies(), *folders, *([path] if path else [])]


def all_policies(path: Path | None = None) -> tuple[Policy, ...]:
    """The packaged policies, those of THERAPY_CDS_POLICY_PATH, and those of one more folder."""
    return load_policies(policy_folders(path), packaged())


def policies_or_named(path: Path | None, policy_id: str | None) -> tuple[Policy, ...]:
    """All policies; InputError where one was named that does not exist."""
    policies = all_policies(path)
    if policy_id is not None and policy_id not in {policy.id for policy in policies}:
        known = ", ".join(policy.id for policy in policies)
        raise InputError(f"There is no policy '{policy_id}'", where="--policy", remedy=f"Known policies: {known}")
    return policies


def _library(path: Path | None, policy_id: str | None) -> tuple[tuple[Authored, ...], tuple[Authored, ...]]:
    """All policies; and of them those to work on: those of `path`, or those of the package and the environment."""
    everything = read_library(policy_folders(path), packaged())
    if path is not None:
        own = {each.policy.id for each in read_library([path], packaged())}
    else:
        own = {each.policy.id for each in everything}
    if policy_id is not None and policy_id not in own:
        raise InputError(f"There is no policy '{policy_id}'", where="ID", remedy=f"Known: {', '.join(sorted(own))}")
    return everything, tuple(each for each in everything if each.policy.id in ({policy_id} if policy_id else own))


_more = click.option("--path", type=click.Path(path_type=Path), default=None, help="A folder with more policies.")
_instead = click.option("--path", type=click.Path(path_type=Path), default=None, help="A folder to work on instead.")


@click.group()
def policy() -> None:
    """The authors' tools."""


@policy.command("list")
@click.argument("policy_id", required=False)
@_more
@said_plainly
def list_policies(policy_id: str | None, path: Path | None) -> None:
    """List the policies with kind, version and effective dates."""
    table = Table("Policy", "Kind", "Version", "In force", "Criteria")
    for each in (p for p in policies_or_named(path, policy_id) if policy_id in (None, p.id)):
        until = f" to {each.end}" if each.end else ""
        table.add_row(each.id, each.kind, each.version, f"from {each.start}{until}", str(len(each.criteria)))
    # Names are typed again elsewhere, so they are not cut where the terminal is narrow.
    Console(width=max(Console().width, 110)).print(table)


@policy.command("check")
@click.argument("policy_id", required=False)
@_instead
@said_plainly
def check_policies(policy_id: str | None, path: Path | None) -> None:
    """Check policies and their cases; each mistake with file, line, key and remedy; exit 2 when there is any."""
    problems = _unloadable(policy_folders() if path is None else [path])
    if not problems:
        everything, own = _library(path, policy_id)
        for each in own:
            problems += check_policy(each, everything, packaged(), date.today())
        ids = {each.policy.id for each in own}
        ties = overlaps((each.policy for each in everything), packaged())
        problems += [Problem(str(tie), warning=True) for tie in ties if ids & {tie.one.id, tie.other.id}]
        if not any(not problem.warning for problem in problems):
            click.echo(f"{len(own)} {'policy' if len(own) == 1 else 'policies'} checked, nothing wrong")
    if icd10() is None:
        click.echo("ICD-10-CM codes were not checked: the package simple-icd-10-cm is not installed")
    for problem in problems:
        click.echo(problem.says if problem.warning else f"therapy-cds: {problem.says}", err=not problem.warning)
    if any(not problem.warning for problem in problems):
        sys.exit(2)


def _unloadable(folders: list[Traversable | Path]) -> list[Problem]:
    """Every policy file that cannot be loaded, not only the first; and ids that are there twice."""
    problems: list[Problem] = []
    for folder in folders:
        for file in policy_files(folder):
            try:
                load_policy(file, packaged())
            except CdsError as error:
                problems.append(Problem(str(error)))
    if not problems:
        load_policies(folders, packaged())
    return problems


@policy.command("test")
@click.argument("policy_id", required=False)
@_instead
@said_plainly
def test_policies(policy_id: str | None, path: Path | None) -> None:
    """Run the cases of the policies; exit 2 when one comes out otherwise than it expects."""
    everything, own = _library(path, policy_id)
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
@_instead
@said_plainly
def mutate_policies(policy_id: str | None, path: Path | None) -> None:
    """Move every figure, date and code once and name what no case notices; exit 2 when there is any."""
    everything, own = _library(path, policy_id)
    found = 0
    for each in own:
        try:
            report = mutate_policy(each, everything, packaged(), date.today())
        except PolicyError as error:  # the other policies can still be tried
            click.echo(f"therapy-cds: {error}", err=True)
            found += 1
            continue
        found += len(report.holes)
        equivalent = f", {report.equivalent} declared equivalent" if report.equivalent else ""
        click.echo(f"{report.policy}: {report.tried} mutations, {len(report.holes)} unnoticed{equivalent}")
        for group, holes in itertools.groupby(report.holes, key=lambda hole: hole.group):
            click.echo(f"  {group}")
            for hole in holes:
                click.echo(f"    {hole.says} ({hole.where})")
    if found:
        sys.exit(2)


@policy.command("explain")
@click.argument("policy_id")
@_more
@click.option("--markdown", "raw", is_flag=True, help="Print the markdown itself.")
@said_plainly
def explain_policy(policy_id: str, path: Path | None, *, raw: bool) -> None:
    """Tell a policy in plain sentences: whom it is for, what it asks, its figures and where they come from."""
    named = next(each for each in policies_or_named(path, policy_id) if each.id == policy_id)
    text = markdown(named, packaged())
    if raw:
        click.echo(text, nl=False)
    else:
        console = Console()
        console.print(Markdown(text), width=min(console.width, 110))
