"""What a measure that has just been filled in does to the assessment, and how it gets on file. Pure but for `post`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cds.model import Result
from cds.rules.explain import RESULT_WORDS
from cds.story import Story
from hooks.smart.errors import SmartError
from hooks.smart.scopes import missing

Json = dict[str, Any]
Post = Callable[[Json], str]


@dataclass(frozen=True)
class Turned:
    """One criterion before and after: the words of its result, and what was found."""

    statement: str
    required: bool
    before: str
    after: str
    says_before: str
    says_after: str

    @property
    def result_turned(self) -> bool:
        """Whether it comes out otherwise, not only in other words."""
        return self.before != self.after


@dataclass(frozen=True)
class Mended:
    """The assessment without and with what was filled in, criterion by criterion where it made a difference."""

    before: Json
    after: Json
    turned: Sequence[Turned]


@dataclass(frozen=True)
class Saved:
    """What the EHR has created, by its references; `problem` is why it is not all, "" where it is."""

    references: Sequence[str]
    problem: str = ""


@dataclass(frozen=True)
class Offer:
    """An instrument that can be filled in. `wanted_by` are the criteria that ask for it; `whole`: with its items."""

    id: str
    name: str
    title: str
    whole: bool
    wanted_by: Sequence[str]


def mend(story: Story, resources: Sequence[Json]) -> Mended:
    """The assessment done anew, as of the same day, with resources that somebody has just filled in."""
    before, after = story.with_added(resources)
    former = {each["id"]: each for each in before["criteria"]}
    turned = [_turned(former[each["id"]], each) for each in after["criteria"] if each["id"] in former]
    told = [each for each in turned if each.result_turned or each.says_before != each.says_after]
    return Mended(before, after, sorted(told, key=lambda each: (not each.result_turned, not each.required)))


def _turned(then: Json, now: Json) -> Turned:
    before, after = (RESULT_WORDS[Result(each["result"])] for each in (then, now))
    return Turned(now["statement"], now["required"], before, after, then["says"], now["says"])


def offers_of(story: Story) -> list[Offer]:
    """The instruments that open criteria ask for, first those with their items; then the other forms that ship."""
    wanted: dict[str, list[str]] = {}
    for criterion in story.said["criteria"]:
        if criterion["result"] in (Result.NOT_MET, Result.UNKNOWN):
            for name in _asked(story, criterion["facts"]):
                wanted.setdefault(name, []).append(criterion["statement"])
    for name in story.terms.forms:
        wanted.setdefault(name, [])
    offers = [_offer(story, name, by) for name, by in wanted.items() if name in story.terms.instruments]
    return sorted(offers, key=lambda offer: not offer.wanted_by)


def _asked(story: Story, facts: Mapping[str, Any]) -> Iterable[str]:
    """The instruments that a criterion's facts name: by id, by name, or as the one that it weighed."""
    yield from facts.get("instrument_ids") or ()
    for name in facts.get("ask_for") or ():
        if found := story.terms.measure_for_name(name):
            yield found[0].id
    if facts.get("instrument"):
        yield facts["instrument"]


def _offer(story: Story, name: str, wanted_by: Sequence[str]) -> Offer:
    instrument = story.terms.instruments[name]
    title = str(instrument.data.get("title", instrument.name))
    return Offer(name, instrument.name, title, name in story.terms.forms, tuple(dict.fromkeys(wanted_by)))


# ------------------------------------------------------------------------------------------------- on file


def cannot_save(resources: Iterable[Json], granted: str) -> str:
    """Why the user's token cannot create these, in a sentence; "" where it can (SMART App Launch 2.2, scopes)."""
    kinds = dict.fromkeys(each["resourceType"] for each in resources)
    gone = missing([f"patient/{kind}.c" for kind in kinds], granted.split())
    if not gone:
        return ""
    return f"It cannot be saved to the record from here: the EHR did not grant {' and '.join(gone)}."


def save(resources: Iterable[Json], post: Post) -> Saved:
    """Create each at the EHR, in their order; what refers to one before it then names it as the EHR does.

    `post` creates one resource and gives its reference; a SmartError of its ends the saving, and is told.
    """
    names: dict[str, str] = {}
    for resource in resources:
        sent = _renamed({name: value for name, value in resource.items() if name != "id"}, names)
        try:
            names[f"{resource['resourceType']}/{resource['id']}"] = post(sent)
        except SmartError as error:
            return Saved(list(names.values()), error.what)
    return Saved(list(names.values()))


def _renamed(value: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON
    """The same, with references by their new names."""
    if isinstance(value, dict):
        return {key: names.get(inner, inner) if key == "reference" else _renamed(inner, names)
                for key, inner in value.items()}  # fmt: skip
    return [_renamed(inner, names) for inner in value] if isinstance(value, list) else value
