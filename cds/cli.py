"""The deciding part's own commands: `evaluate` and `policy`."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cds.as_json import assessment_json
from cds.authoring.cli import all_policies, policies_or_named, policy, said_plainly
from cds.evaluate import evaluate_bundle
from cds.model import Assessment
from cds.rules.explain import RESULT_WORDS
from cds.terminology import packaged

__all__ = ["all_policies", "evaluate", "evaluation_json", "policies_or_named", "policy"]

# How a face renders assessments as cards; the command line gets it as click's context object.
CardsOf = Callable[[tuple[Assessment, ...], date], list[dict[str, Any]]]
Day = click.DateTime(formats=["%Y-%m-%d"])
_STYLES = {"met": "green", "not-met": "bold red", "unknown": "yellow", "not-applicable": "dim"}


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--as-of", type=Day, default=None, help="The evaluation date (YYYY-MM-DD); else the order's own.")
@click.option("--policy", "policy_id", default=None, help="Weigh by this policy, whatever the coverage says.")
@click.option("--path", type=click.Path(path_type=Path), default=None, help="A folder with more policies.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
@said_plainly
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
