"""Recorded resources without what identifies the patient: ids renamed, dates shifted, free text left out. Pure.

What is kept is listed; what is not listed is left out. Of free text only the phrases stay that the vocabularies know,
since they are the vocabularies' own words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from cds.terminology import Terminology

Json = dict[str, Any]
LEFT_OUT = "(left out)"
# Codes, units and the like: they stand in some list, not in somebody's life.
_KEPT = frozenset(
    [
        "resourceType", "system", "code", "status", "unit", "url", "use", "outcome", "intent", "kind", "contentType",
        "linkId", "definition", "questionnaire", "valueCode", "lifecycleStatus", "comparator", "priority", "currency",
        "periodUnit", "durationUnit", "when", "dayOfWeek", "data", "valueCanonical", "relationship",
    ]
)  # fmt: skip
# Who pays is no secret of the patient, and chooses the policy.
_KEPT_OF_PAYERS = _KEPT | {"value", "name", "display"}
_DROPPED = frozenset(("id", "meta", "identifier", "note", "fullUrl", "language", "implicitRules"))
_PAYING = frozenset(("payor", "class", "contained"))
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)([T ].*)?", re.DOTALL)
_MONTH = re.compile(r"(\d{4})-(\d\d)")
_YEAR = re.compile(r"\d{4}")
_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([^/|]+)(?:/_history/.*)?$")
# `4/5`, `4+ of 5`, `60 %`: a score that was written as text.
_SCORE = re.compile(r"[<>=~]?\s*\d{1,3}([.,]\d{1,2})?\s*[+-]?\s*((/|of)\s*\d{1,3})?\s*%?")
_SIDES = re.compile(r"\b(left|right|both|bilateral)\b", re.IGNORECASE)


class Anonymous:
    """Renames and shifts the resources of one case, the same way in all of them."""

    def __init__(self, terms: Terminology, weeks: int, aliases: Mapping[str, str]) -> None:
        """Dates move by whole `weeks`, so that a weekday stays one. `aliases`: URL of an entry to its `Type/id`."""
        self._terms = terms
        self._shift = timedelta(weeks=weeks)
        self._aliases = aliases
        self._names: dict[str, str] = {}
        self._numbers: Counter[str] = Counter()

    def resource(self, kind: str, name: str, fields: Json) -> Json:
        """One resource under its new id."""
        paying = kind == "Organization"
        kept = {key: value for key, value in self._object(fields, paying=paying).items() if key != "resourceType"}
        return {"resourceType": kind, "id": self.reference(f"{kind}/{name}").partition("/")[2], **kept}

    def day(self, text: str) -> str:
        """A date or moment, moved; a month or year to the one in which its middle comes to lie."""
        if found := _DAY.fullmatch(text):
            return f"{date.fromisoformat(found[1]) + self._shift}{found[2] or ''}"
        if found := _MONTH.fullmatch(text):
            return f"{date(int(found[1]), int(found[2]), 15) + self._shift:%Y-%m}"
        return f"{date(int(text), 7, 1) + self._shift:%Y}"

    def reference(self, text: str) -> str:
        """The new name of what a reference names; the same for all that name it."""
        text = self._aliases.get(text, text)
        found = _REFERENCE.search(text)
        if found is None:
            return self._renamed(text, "#contained" if text.startswith("#") else "urn:uuid:other", "-")
        kind = found[1]
        return self._renamed(f"{kind}/{found[2]}", f"{kind}/{kind.lower()}", "-")

    def _renamed(self, name: str, stem: str, mark: str) -> str:
        if name not in self._names:
            self._numbers[stem] += 1
            self._names[name] = f"{stem}{mark}{self._numbers[stem]}"
        return self._names[name]

    # ------------------------------------------------------------------------------------------- inside

    def _object(self, fields: Mapping[str, Any], *, paying: bool) -> Json:
        kept: Json = {}
        for key, value in fields.items():
            inner = paying or key in _PAYING
            if key == "id" and fields.get("resourceType"):
                kept[key] = self.reference(f"#{value}").removeprefix("#")  # a contained resource
            elif key not in _DROPPED or (key == "identifier" and inner):
                new = self._value(key, value, paying=inner)
                if new not in (None, "", {}, []):
                    kept[key] = new
        return kept

    def _value(self, key: str, value: Any, *, paying: bool) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, Mapping):
            return self._object(value, paying=paying)
        if isinstance(value, list):
            return [new for each in value if (new := self._value(key, each, paying=paying)) not in (None, "", {})]
        return self._text(key, value, paying=paying) if isinstance(value, str) else value

    def _text(self, key: str, text: str, *, paying: bool) -> str:
        if key == "reference":
            return self.reference(text)
        if key == "preAuthRef":
            return "authorization"  # that there is one is a fact; its number leads to the patient
        if key in (_KEPT_OF_PAYERS if paying else _KEPT) or _SCORE.fullmatch(text):
            return text
        try:
            if any(form.fullmatch(text) for form in (_DAY, _MONTH, _YEAR)):
                return self.day(text)
        except ValueError:
            return ""  # no day of any calendar
        # That something was said can be a fact (`abatementString`), whatever it was.
        return self.known(text) or (LEFT_OUT if key.endswith("String") else "")

    def known(self, text: str) -> str:
        """What the vocabularies know of a text: an instrument's name as it is, else phrases that it does not deny."""
        if self._terms.measure_for_name(text) is not None:
            return text
        return " ".join(dict.fromkeys(self._phrases(text)))

    def _phrases(self, text: str) -> Iterator[str]:
        yield from (found.group() for found in _SIDES.finditer(text))
        regions = (region.words for region in self._terms.regions.values() if region.words)
        yield from (found.group() for words in regions for found in words.finditer(text))
        for valueset in self._terms.valuesets.values():
            yield from valueset.phrases_in(text)


def unique(resources: Iterable[tuple[str, str, str, bytes]]) -> Iterator[tuple[str, str, str, bytes]]:
    """Each resource (type, id, URL, JSON) once, however many searches brought it."""
    seen: set[tuple[str, str]] = set()
    for kind, name, url, payload in resources:
        if (kind, name) not in seen:
            seen.add((kind, name))
            yield kind, name, url, payload
