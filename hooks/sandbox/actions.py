"""Taking a suggestion: what its actions do to the draft orders, and what has to be written elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hooks.sandbox.examples import is_draft_order
from hooks.sandbox.orders import Form, form_of

Json = dict[str, Any]


@dataclass(frozen=True)
class Write:
    """One thing to do on the FHIR server: create, replace or delete a resource there."""

    method: str
    path: str
    resource: Json | None


@dataclass(frozen=True)
class Taken:
    """What came of a suggestion.

    Attributes:
        drafts: the draft orders as they are now.
        writes: what is left to do on the FHIR server.
        problems: actions that could not be carried out, in words.
    """

    drafts: tuple[Json, ...]
    writes: tuple[Write, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """What differs between two states of an order in the form.

    Attributes:
        removed_lines: the lines that are gone, as (code, label).
        added: the codes of lines that are new.
        was: the former value of each field that changed, by the field's name.
        gone: the whole order was removed.
    """

    removed_lines: tuple[tuple[str, str], ...] = ()
    added: frozenset[str] = frozenset()
    was: dict[str, str] = field(default_factory=dict)
    gone: bool = False

    def __bool__(self) -> bool:
        """Tell whether anything changed."""
        return bool(self.removed_lines or self.added or self.was or self.gone)


def take(suggestion: Json, drafts: Sequence[Json]) -> Taken:
    """Carry out a suggestion's actions on the draft orders.

    An update of a draft order replaces it whole, as CDS Hooks has it; an update of something that is on the
    FHIR server is written there. A new draft order joins the others; any other new resource is created on
    the FHIR server. Only draft orders are ever deleted: advice may not remove what is on record.
    """
    orders = {_name(draft): draft for draft in drafts}
    writes: list[Write] = []
    problems: list[str] = []
    for action in suggestion.get("actions") or []:
        problem = _carry_out(action, orders, writes) if isinstance(action, dict) else "an action is no object"
        if problem:
            problems.append(problem)
    return Taken(tuple(orders.values()), tuple(writes), tuple(problems))


def _carry_out(action: Json, orders: dict[str, Json], writes: list[Write]) -> str | None:
    kind, resource = action.get("type"), action.get("resource")
    if kind == "delete":
        return _delete(action, orders)
    if not isinstance(resource, dict) or not resource.get("resourceType"):
        return f"an action of type {kind} holds no resource"
    name = _name(resource)
    if kind == "create":
        if is_draft_order(resource):
            # The form tells orders apart by their ids, so a new one gets one.
            order = resource if resource.get("id") else {**resource, "id": f"new-{len(orders) + 1}"}
            orders[_name(order)] = order
        else:
            created = {key: value for key, value in resource.items() if key != "id"}
            writes.append(Write("POST", resource["resourceType"], created))
        return None
    if kind != "update":
        return f"an action of type {kind} is not known"
    if name in orders:
        orders[name] = resource
    elif resource.get("id"):
        writes.append(Write("PUT", name, resource))
    else:
        return "an update names no order of this form"
    return None


def _delete(action: Json, orders: dict[str, Json]) -> str | None:
    targets = action.get("resourceId") or _name(action.get("resource") or {})
    for target in [targets] if isinstance(targets, str) else targets:
        if orders.pop("/".join(str(target).split("/")[-2:]), None) is None:
            return f"{target} is not among the draft orders, so it was not deleted"
    return None


def _name(resource: Json) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}"


def changes_between(before: Sequence[Json], after: Sequence[Json]) -> dict[str, Change]:
    """Say what changed in the form, by the order's `Type/id`."""
    old = {_name(draft): form_of(draft) for draft in before}
    new = {_name(draft): form_of(draft) for draft in after}
    found = {name: _difference(old.get(name), form) for name, form in new.items()}
    found |= {name: Change(gone=True) for name in old if name not in new}
    return {name: change for name, change in found.items() if change}


def _difference(old: Form | None, new: Form) -> Change:
    if old is None:
        return Change(added=frozenset(line.code for line in new.lines))
    codes, before = {line.code for line in new.lines}, {line.code for line in old.lines}
    fields = ("title", "visits", "frequency", "diagnosis", "dates")
    return Change(
        removed_lines=tuple((line.code, line.label) for line in old.lines if line.code not in codes),
        added=frozenset(codes - before),
        was={name: getattr(old, name) for name in fields if getattr(old, name) != getattr(new, name)},
    )
