"""What the sandbox's page does behind its buttons: read a chart, change an order, sign, take a suggestion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from hooks.sandbox.actions import Taken, Write
from hooks.sandbox.chart import Chart, chart_of
from hooks.sandbox.ehr import is_of
from hooks.sandbox.errors import InputError, SandboxError
from hooks.sandbox.examples import Example
from hooks.sandbox.http import FhirServer
from hooks.sandbox.orders import form_of, with_visits, without_lines
from hooks.sandbox.signing import Change, as_built
from hooks.sandbox.timeline import Timeline, full_date, timeline_of

Json = dict[str, Any]
MOST_VISITS = 999
KINDS = {
    "coverage": "Coverage?patient={id}&_include=Coverage:payor&_count=50",
    "problems": "Condition?patient={id}&_count=200",
    "procedures": "Procedure?patient={id}&_count=200",
    "encounters": "Encounter?patient={id}&_count=200",
    "observations": "Observation?patient={id}&_count=200",
    "plans": "CarePlan?patient={id}&_count=50",
    "goals": "Goal?patient={id}&_count=200",
}


@dataclass(frozen=True)
class Desk:
    """Where a clinician sits: the service that advises, the FHIR server with the charts, the patients.

    `change` is what an EHR that misbehaves makes of its requests.
    """

    service_url: str
    fhir: FhirServer
    examples: Mapping[str, Example]
    change: Change = as_built

    def example(self, name: str) -> Example:
        """Find an example patient.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.examples:
            raise InputError(f"there is no example patient {name}; choose one of {', '.join(self.examples)}")
        return self.examples[name]

    def chart(self, example: Example) -> Chart:
        """Read a patient's chart. A kind of resource that cannot be read is said to be unread, not empty.

        Raises:
            SandboxError: the patient cannot be read.
        """
        patient = self.fhir.read(f"Patient/{example.patient_id}")
        record: list[Json] = []
        unread = []
        for kind, query in KINDS.items():
            try:
                found = self.fhir.search(query.format(id=example.patient_id))
                record += [resource for resource in found if is_of(resource, example.patient_id)]
            except SandboxError:
                unread.append(kind)
        return chart_of(patient, record, order_date(example.drafts), unread)

    def write(self, write: Write) -> str:
        """Carry out one write of a suggestion on the FHIR server, and confirm it in words.

        Raises:
            SandboxError: the server refused, or cannot be reached.
        """
        answer = self.fhir.write(write.method, write.path, write.resource)
        kind = write.path.partition("/")[0]
        name = f"{kind}/{answer['id']}" if answer.get("id") else write.path
        return f"{name} was {'created' if write.method == 'POST' else 'updated'} on the FHIR server."

    def confirm(self, taken: Taken) -> tuple[list[str], list[str]]:
        """Carry out what a suggestion leaves to do; say what was done, and what was not."""
        done, failed = [], list(taken.problems)
        for item in taken.writes:
            try:
                done.append(self.write(item))
            except SandboxError as error:
                failed.append(f"{item.method} {item.path}: {error}")
        return done, failed


def order_date(drafts: Sequence[Json]) -> date:
    """Choose the day as of which a chart is read: the order's own, so that ages fit the example."""
    days = [full_date(form_of(draft).dates.removeprefix("from ")) for draft in drafts]
    days += [full_date(str(draft.get("authoredOn") or "")) for draft in drafts]
    return next((day for day in days if day), date.today())


def picture(chart: Chart, drafts: Sequence[Json]) -> Timeline | None:
    """Draw the chart's visits over time, with procedures and the day the order begins."""
    starts = [form_of(draft).dates.removeprefix("from ") for draft in drafts]
    return timeline_of(chart.visits, [item.when for item in chart.surgeries], starts)


def edited(drafts: Sequence[Json], edits: Mapping[str, Mapping[str, Any]]) -> list[Json]:
    """Put what was changed in the order form into the draft orders.

    Args:
        drafts: the draft orders as the form was drawn.
        edits: by the order's `Type/id`: `visits`, the field's text, and `remove`, the codes of lines.

    Raises:
        InputError: the number of visits is no number that can be asked for.
    """
    return [_edited(draft, edits.get(form_of(draft).reference) or {}) for draft in drafts]


def _edited(draft: Json, edit: Mapping[str, Any]) -> Json:
    form = form_of(draft)
    text = str(edit.get("visits") or "").strip()
    if text and text != form.visits:
        if not text.isdecimal() or not 1 <= int(text) <= MOST_VISITS:
            raise InputError(f"visits: {text!r} is not a whole number from 1 to {MOST_VISITS}; correct it")
        draft = with_visits(draft, int(text))
    codes = {str(code) for code in edit.get("remove") or []} & {line.code for line in form.lines}
    return without_lines(draft, codes) if codes else draft
