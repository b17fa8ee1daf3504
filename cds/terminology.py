"""Code systems, value sets, body regions and instruments, loaded once from the data in `fhir_profiles/`.

Everything here is a question that a reader or a criterion asks of the data: "is this concept in that
set?", "which body site does it name?", "whose work is it?", "which instrument is this code?".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

from cds.errors import CatalogueError
from cds.instruments import Instrument as Instrument
from cds.model import Code, Concept, Discipline, Site
from cds.overrides import OverrideReason, read_override_reasons
from cds.yamlfile import YamlFile, read_yaml

_DENIED = re.compile(r"\b(no|not|never|denies|denied|without)\b[^.]*$", re.IGNORECASE)
_SCORE_WORDS = re.compile(r"[\s_-]*\b(total|overall|summary|score|index)\b", re.IGNORECASE)
ICD10 = "icd-10-cm"
ICD10_LENGTH = 7  # characters of the longest code, its dot aside

# LOINC's generic panels for measures that have no code of their own (patient-reported, performance), and
# their score components: loinc.org 89196-0, 89194-5, 89197-8, 89191-1.
GENERIC_PANELS = (("loinc", "89196-0"), ("loinc", "89197-8"), ("loinc", "89194-5"), ("loinc", "89191-1"))


@dataclass(frozen=True)
class ValueSet:
    """A named set of codes, ICD-10-CM branches and, as a last resort, words."""

    id: str
    title: str
    codes: Mapping[tuple[str, str], Mapping[str, Any]]
    prefixes: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]
    words: re.Pattern[str] | None
    verified: bool = False
    kinds_by_word: Mapping[str, str] = field(default_factory=dict)
    branches: tuple[tuple[str, str, str], ...] = ()

    def has_code(self, code: Code) -> bool:
        """Whether the code is listed, or lies in a listed branch."""
        if (code.system, code.code) in self.codes:
            return True
        if (branches := self.prefixes.get(code.system)) is None:
            return False
        bare = code.code.replace(".", "").upper()
        # Most codes are in no branch at all, which one look tells.
        return bare.startswith(self._starts[code.system]) and any(_in_branch(bare, *branch) for branch in branches)

    @cached_property
    def _starts(self) -> Mapping[str, tuple[str, ...]]:
        """The beginnings of all branches, by system."""
        return {system: tuple(start for start, _ in branches) for system, branches in self.prefixes.items()}

    def has_words(self, concept: Concept) -> bool:
        """Whether one of the set's words stands in the concept's text or displays."""
        if self.words is None:
            return False
        return any(self.words.search(text) for text in (concept.text, *(c.display for c in concept.codes)) if text)

    def told_in(self, text: str) -> bool:
        """Whether a text says one of the set's phrases without denying it just before."""
        return next(self.phrases_in(text), None) is not None

    def phrases_in(self, text: str) -> Iterator[str]:
        """The set's phrases that a text says without denying them just before."""
        for found in self.words.finditer(text) if self.words else ():
            if not _DENIED.search(text[max(0, found.start() - 24) : found.start()]):
                yield found.group()

    def matches(self, concept: Concept) -> bool:
        """Whether the concept is in the set, by code first and by words last."""
        # Asked most of all, of every set: without a closure for each time.
        known: bool | None = concept.answers.get(id(self))
        if known is None:
            known = concept.answers[id(self)] = any(map(self.has_code, concept.codes)) or self.has_words(concept)
        return known

    def is_said_by(self, concept: Concept) -> bool:
        """Whether a code of the concept is in the set, or its words say it undenied: `not pregnant` does not."""
        return once(concept, ("said", id(self)), lambda: any(map(self.has_code, concept.codes)) or self._told(concept))

    def _told(self, concept: Concept) -> bool:
        return any(self.told_in(text) for text in (concept.text, *(code.display for code in concept.codes)) if text)

    def discipline(self, concept: Concept) -> Discipline | None:
        """Whose work the concept is, where its code (or its words) tell."""
        for code in concept.codes:
            named = self.codes.get((code.system, code.code), {}).get("discipline")
            named = named or next(
                (who for system, start, who in self.branches if system == code.system and code.code.startswith(start)),
                None,
            )
            if named:
                return Discipline(named)
        return None


@dataclass(frozen=True)
class Region:
    """A body region: ICD-10-CM branches (with the place of the side character), SNOMED sites, words."""

    id: str
    label: str
    icd10: tuple[tuple[str, Mapping[str, Any]], ...]
    sites: frozenset[tuple[str, str]]
    words: re.Pattern[str] | None


def _pattern(words: Iterable[str]) -> re.Pattern[str] | None:
    """One expression that finds any of the words as whole words, longest first."""
    escaped = sorted((re.escape(str(word).strip()).replace(r"\ ", r"[\s-]+") for word in words), key=len, reverse=True)
    return re.compile(r"(?<![\w])(?:" + "|".join(escaped) + r")(?![\w])", re.IGNORECASE) if escaped else None


def _normal(name: str) -> str:
    """An alias without case, spaces and punctuation: `iHOT-12` and `IHOT 12` are one."""
    return re.sub(r"[^a-z0-9]+", "", name.lower())


class Terminology:
    """All of `fhir_profiles`' vocabularies. Immutable after it is built; safe to share between threads."""

    def __init__(self, root: Traversable | None = None) -> None:
        """Load from `root` (the packaged `fhir_profiles` unless given); raise CatalogueError when unusable."""
        self._root = root or files("fhir_profiles")
        self._systems = self._load_systems()
        self.valuesets = self._load_valuesets()
        self.regions, self._side_words, self._side_codes, self._side_marks = self._load_regions()
        self.instruments = self._load_instruments()
        self.forms = self._load_forms()
        self._by_region, self._any_region = self._load_instruments_by_region()
        self.override_reasons = self._load_override_reasons()
        self.lines_of_business = self._load_lines_of_business()
        self._branches, self._places = self._index_regions()
        self._safety = [i for i in self.instruments.values() if i.data.get("safety-item")]
        self._surgery = [valueset for name, valueset in self.valuesets.items() if name.endswith("-surgery")]

    # ------------------------------------------------------------------------------------------ questions

    def system(self, uri: str) -> str:
        """The short name of a code system (`snomed`), or the URI itself when it is not known."""
        return self._systems.get(uri) or self._systems.get(uri.rstrip("/")) or uri

    def url(self, system: str) -> str:
        """The canonical URI of a short name."""
        return str(self._urls.get(system, system))

    def valueset(self, name: str) -> ValueSet:
        """A value set by its id; raise CatalogueError when there is none."""
        try:
            return self.valuesets[name]
        except KeyError:
            raise CatalogueError(
                f"There is no value set '{name}'",
                where="fhir_profiles/valuesets/",
                remedy=f"Known sets: {', '.join(sorted(self.valuesets))}",
            ) from None

    def in_set(self, concept: Concept, name: str) -> bool:
        """Whether a concept is in a value set."""
        return self.valueset(name).matches(concept)

    def is_surgery(self, concept: Concept) -> bool:
        """Whether a procedure is in one of the surgery sets (`hip-surgery`, …)."""
        return once(concept, "surgery", lambda: any(valueset.matches(concept) for valueset in self._surgery))

    def discipline(self, concept: Concept, *sets: str) -> Discipline | None:
        """Whose work a concept is by the codes of these sets; then by the discipline's own name in words."""
        return once(concept, ("discipline", *sets), lambda: self._discipline(concept, *sets))

    def _discipline(self, concept: Concept, *sets: str) -> Discipline | None:
        for name in sets or (
            "disciplines",
            "therapy-evaluations",
            "therapy-re-evaluations",
            "therapy-services",
        ):
            if name in self.valuesets and (found := self.valuesets[name].discipline(concept)):
                return found
        for text in (concept.text, *(code.display for code in concept.codes)):
            for pattern, named in _DISCIPLINE_WORDS:
                if text and pattern.search(text):
                    return named
        return None

    def sites(self, concept: Concept) -> tuple[Site, ...]:
        """The body sites that a concept names: by ICD-10-CM branch, SNOMED site, or words."""
        return once(concept, "sites", lambda: self._sites(concept))

    def _sites(self, concept: Concept) -> tuple[Site, ...]:
        found: list[Site] = []
        for code in concept.codes:
            found += self._sites_of_code(code)
        if not found:
            texts = [concept.text, *(code.display for code in concept.codes)]
            found = self._sites_in_words(" ".join(text for text in texts if text))
        return tuple(dict.fromkeys(found))

    def _sites_of_code(self, code: Code) -> list[Site]:
        if code.system == ICD10:
            bare = code.code.replace(".", "").upper()
            longest = (bare[:length] for length in range(min(len(bare), ICD10_LENGTH), 0, -1))
            found = next((branch for prefix in longest if (branch := self._branches.get(prefix))), None)
            return [Site(found[0], self._side_of(bare, found[1]))] if found else []
        return [Site(name, self.side(Concept((code,)))) for name in self._places.get((code.system, code.code), ())]

    def _side_of(self, bare: str, entry: Mapping[str, Any]) -> str | None:
        """The side that an ICD-10-CM code says, as its branch's entry in body-regions.yaml reads it."""
        if "side" in entry:
            return str(entry["side"])
        place = entry.get("side-character")
        mark = bare[place - 1] if place and len(bare) >= place else ""
        own = {str(m): side for side in ("right", "left", "bilateral") for m in entry.get(side) or ()}
        return (own or self._side_marks).get(mark)

    def _sites_in_words(self, text: str) -> list[Site]:
        regions = [region for region in self.regions.values() if region.words and region.words.search(text)]
        side = self.side(Concept(text=text)) if regions else None
        return [Site(region.id, side) for region in regions]

    def side(self, concept: Concept) -> str | None:
        """`left`, `right` or `bilateral`, where a qualifier code or a word says so."""
        for code in concept.codes:
            if (code.system, code.code) in self._side_codes:
                return self._side_codes[(code.system, code.code)]
        texts = [concept.text, *(code.display for code in concept.codes)]
        named = {side for side, words in self._side_words.items() if any(t and words.search(t) for t in texts)}
        if named >= {"left", "right"}:
            return "bilateral"
        return named.pop() if len(named) == 1 else None

    def measure_for_code(self, code: Code) -> tuple[Instrument, str | None] | None:
        """Instrument and subscale that a code stands for."""
        return self._measure_codes.get((code.system, code.code))

    def scale_of_code(self, concept: Concept) -> str | None:
        """The scale that a concept's code says (`raw`); None where it does not say."""
        return next(filter(None, (self._scales.get((code.system, code.code)) for code in concept.codes)), None)

    @property
    def measure_codes(self) -> tuple[tuple[str, str], ...]:
        """Every (system, code) that stands for a score, a panel of scores, or a safety item."""
        items = [i.data["safety-item"] for i in self._safety]
        safety = ((item["system"], str(code)) for item in items for code in (item["code"], *item.get("also", ())))
        return (*self._measure_codes, *GENERIC_PANELS, *safety)

    def measure_for_name(self, name: str) -> tuple[Instrument, str | None] | None:
        """Instrument and subscale that a name or alias stands for (case and punctuation do not matter)."""
        if not name:
            return None
        return self._measure_names.get(_normal(name)) or self._measure_names.get(_normal(_SCORE_WORDS.sub("", name)))

    def measure_named(self, concept: Concept) -> tuple[Instrument, str | None] | None:
        """Instrument and subscale of a concept: by code; else by its text or a display (local names)."""
        return once(concept, "measure", lambda: self._measure_named(concept))

    def _measure_named(self, concept: Concept) -> tuple[Instrument, str | None] | None:
        for code in concept.codes:
            if found := self.measure_for_code(code):
                return found
        names = [concept.text, *(code.display for code in concept.codes)]
        return next(filter(None, map(self.measure_for_name, names)), None)

    def asks_safety(self, question: Concept) -> Instrument | None:
        """The instrument whose safety item (thoughts of self-harm) a question is; None for any other question."""
        return once(question, "safety", lambda: next((i for i in self._safety if i.asks_safety(question)), None))

    def measure_for_questionnaire(self, canonical: str) -> Instrument | None:
        """Instrument that a Questionnaire canonical (version left aside) stands for.

        A form that this project ships is served under each deployment's own address, so its last part tells;
        for others too, where it is an instrument's own name (`…/Questionnaire/iHOT-12`).
        """
        url = canonical.split("|")[0]
        shipped = url.rpartition("/fhir/Questionnaire/")[2] if "/fhir/Questionnaire/" in url else ""
        known = self._questionnaires.get(url) or (self.instruments.get(shipped) if shipped in self.forms else None)
        named = self.measure_for_name(url.rstrip("/").rpartition("/")[2])
        return known or (named[0] if named and named[1] is None and not named[0].impairment else None)

    def form_of(self, instrument: Instrument) -> str | None:
        """`phq-9|1.0.0` where this project ships the instrument's Questionnaire; else None."""
        form = self.forms.get(instrument.id)
        return f"{form['id']}|{form['version']}" if form else None

    def suited_instruments(self, sites: Iterable[Site], reasons: Iterable[Concept]) -> tuple[Instrument, ...]:
        """The instruments that suit an order's body regions, the preferred first; those for any region last."""
        codes = [c.code.replace(".", "") for reason in reasons for c in reason.codes if c.system == ICD10]
        names: list[str] = []
        for region in dict.fromkeys(site.region for site in sites):
            rules = self._by_region.get(region, ())
            fitting = [r for r in rules if not r.get("for") or any(c.startswith(_bare(r["for"])) for c in codes)]
            names += [name for rule in fitting for name in rule["instruments"]]
        known = [
            self.instruments[name] for name in dict.fromkeys([*names, *self._any_region]) if name in self.instruments
        ]
        return tuple(known)

    # ------------------------------------------------------------------------------------------ loading

    def _yaml(self, *parts: str) -> YamlFile:
        path = self._root
        for part in parts:
            path = path.joinpath(part)
        return read_yaml(path, CatalogueError, name="fhir_profiles/" + "/".join(parts))

    def _folder(self, name: str) -> list[YamlFile]:
        entries = sorted(self._root.joinpath(name).iterdir(), key=lambda entry: entry.name)
        return [self._yaml(name, entry.name) for entry in entries if entry.name.endswith((".yaml", ".yml"))]

    def _load_systems(self) -> dict[str, str]:
        systems = self._yaml("codesystems", "systems.yaml").data["systems"]
        self._urls = {name: entry["url"] for name, entry in systems.items()}
        names = {entry["url"]: name for name, entry in systems.items()}
        return names | {other: name for name, entry in systems.items() for other in entry.get("also") or ()}

    def _load_valuesets(self) -> dict[str, ValueSet]:
        sets: dict[str, ValueSet] = {}
        for document in self._folder("valuesets"):
            data = document.data
            if not isinstance(data, dict) or not {"codes", "prefixes", "words"} & data.keys():
                continue  # body regions and instruments by region have their own shapes
            prefixes: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
            for entry in data.get("prefixes") or ():
                branch = (entry["prefix"].replace(".", ""), tuple(entry.get("only-ending") or ()))
                prefixes.setdefault(entry["system"], []).append(branch)
            sets[data["id"]] = ValueSet(
                id=data["id"],
                title=str(data.get("title", data["id"])),
                codes={(entry["system"], str(entry["code"])): entry for entry in data.get("codes") or ()},
                prefixes={system: tuple(values) for system, values in prefixes.items()},
                words=_pattern(data.get("words") or ()),
                verified=bool(data.get("verified", False)),
                kinds_by_word=dict(data.get("kinds-by-word") or {}),
                branches=tuple(
                    (entry["system"], str(entry["prefix"]), entry["discipline"])
                    for entry in data.get("prefixes") or ()
                    if "discipline" in entry
                ),
            )
        return sets

    def _load_regions(
        self,
    ) -> tuple[dict[str, Region], dict[str, re.Pattern[str]], dict[tuple[str, str], str], dict[str, str]]:
        data = self._yaml("valuesets", "body-regions.yaml").data
        regions = {
            entry["id"]: Region(
                id=entry["id"],
                label=entry.get("label", entry["id"]),
                icd10=tuple((i["prefix"].replace(".", ""), i) for i in entry.get("icd10") or ()),
                sites=frozenset((site["system"], str(site["code"])) for site in entry.get("body-sites") or ()),
                words=_pattern(entry.get("words") or ()),
            )
            for entry in data["regions"]
        }
        words: dict[str, re.Pattern[str]] = {}
        codes: dict[tuple[str, str], str] = {}
        marks: dict[str, str] = {}
        for name in ("left", "right", "bilateral"):
            side = data["sides"][name]
            if pattern := _pattern(side.get("words") or ()):
                words[name] = pattern
            codes |= {(code["system"], str(code["code"])): name for code in side.get("qualifiers") or ()}
            marks |= {str(mark): name for mark in side.get("icd10-characters") or ()}
        sites = [site for entry in data["regions"] for site in entry.get("body-sites") or () if "side" in site]
        codes |= {(site["system"], str(site["code"])): str(site["side"]) for site in sites}
        return regions, words, codes, marks

    def _index_regions(
        self,
    ) -> tuple[dict[str, tuple[str, Mapping[str, Any]]], dict[tuple[str, str], list[str]]]:
        """Regions by ICD-10-CM branch and by body site code; where two name the same branch, the first counts."""
        branches: dict[str, tuple[str, Mapping[str, Any]]] = {}
        places: dict[tuple[str, str], list[str]] = {}
        for region in self.regions.values():
            for prefix, entry in region.icd10:
                branches.setdefault(prefix, (region.id, entry))
            for site in region.sites:
                places.setdefault(site, []).append(region.id)
        return branches, places

    def _load_instruments(self) -> dict[str, Instrument]:
        instruments: dict[str, Instrument] = {}
        for document in self._folder("instruments"):
            data = document.data
            instruments[data["id"]] = Instrument(data["id"], data["name"], data)
        return instruments

    def _load_forms(self) -> dict[str, Mapping[str, Any]]:
        """The Questionnaires that ship, by the id of their instrument; only of those that may be shown."""
        forms: dict[str, Mapping[str, Any]] = {}
        folder = self._root.joinpath("questionnaires")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name) if folder.is_dir() else ():
            form = self._yaml("questionnaires", entry.name).data  # JSON is YAML
            instrument = self.instruments.get(form.get("id", ""))
            if instrument is None or not instrument.data["licence"]["items-may-be-shown"]:
                raise CatalogueError(
                    "A Questionnaire is there for no instrument whose items may be shown",
                    where=f"fhir_profiles/questionnaires/{entry.name}",
                    remedy="Give it the id of an instrument whose licence says so, or remove it",
                )
            forms[instrument.id] = form
        return forms

    def _load_instruments_by_region(self) -> tuple[dict[str, tuple[Mapping[str, Any], ...]], tuple[str, ...]]:
        data = self._yaml("valuesets", "instruments-by-region.yaml").data
        return {name: tuple(rules) for name, rules in data["regions"].items()}, tuple(data.get("any") or ())

    def _load_override_reasons(self) -> tuple[OverrideReason, ...]:
        return read_override_reasons(self._yaml("codesystems", "override-reasons.json").data)  # JSON is YAML

    def _load_lines_of_business(self) -> dict[str, str]:
        codes = self.valueset("coverage-lines-of-business").codes
        return {code: str(entry["line"]) for (_, code), entry in codes.items()}

    @cached_property
    def _measure_codes(self) -> dict[tuple[str, str], tuple[Instrument, str | None]]:
        found: dict[tuple[str, str], tuple[Instrument, str | None]] = {}
        for instrument in self.instruments.values():
            for code in instrument.data.get("codes") or ():
                if code.get("what", "total") not in ("panel", "item"):
                    found[(code["system"], str(code["code"]))] = (instrument, None)
            for subscale in instrument.data.get("subscales") or ():
                for code in subscale.get("codes") or ():
                    found[(code["system"], str(code["code"]))] = (instrument, subscale["id"])
        return found

    @cached_property
    def _scales(self) -> dict[tuple[str, str], str]:
        entries = (entry for instrument in self.instruments.values() for entry in instrument.data.get("codes") or ())
        return {(entry["system"], str(entry["code"])): str(entry["scale"]) for entry in entries if "scale" in entry}

    @cached_property
    def _measure_names(self) -> dict[str, tuple[Instrument, str | None]]:
        found: dict[str, tuple[Instrument, str | None]] = {}
        for instrument in self.instruments.values():
            own = [
                instrument.id,
                instrument.name,
                instrument.data.get("title", ""),
                *(instrument.data.get("aliases") or ()),
            ]
            for name in own:
                found.setdefault(_normal(str(name)), (instrument, None))
            for subscale in instrument.data.get("subscales") or ():
                parts = [subscale["id"], subscale.get("name", ""), *(subscale.get("aliases") or ())]
                for name in (f"{mine} {part}" for mine in own for part in parts if part):
                    found.setdefault(_normal(name), (instrument, subscale["id"]))
        found.pop("", None)
        return found

    @cached_property
    def _questionnaires(self) -> dict[str, Instrument]:
        return {
            str(url).split("|")[0]: instrument
            for instrument in self.instruments.values()
            for url in instrument.data.get("questionnaires") or ()
        }


T = TypeVar("T")


def once(concept: Concept, question: object, ask: Callable[[], T]) -> T:
    """The answer to a question about a concept, worked out once for this concept.

    It is kept with the concept and not in a cache of ours: a concept may hold words from a patient's record,
    and they must not outlive the call.
    """
    try:
        answer: T = concept.answers[question]
    except KeyError:
        answer = concept.answers[question] = ask()
    return answer


def _in_branch(bare: str, prefix: str, endings: tuple[str, ...]) -> bool:
    """Whether a code is in a branch; one too short to have the seventh character counts as in it."""
    return bare.startswith(prefix) and (not endings or len(bare) < 7 or bare[6:7] in endings)


def _bare(prefixes: Iterable[str]) -> tuple[str, ...]:
    return tuple(prefix.replace(".", "") for prefix in prefixes)


_DISCIPLINE_WORDS = (
    (
        re.compile(r"\b(physical\s+therap|physiotherap|physical\s+medicine)", re.IGNORECASE),
        Discipline.PHYSICAL_THERAPY,
    ),
    (re.compile(r"\boccupational\s+therap", re.IGNORECASE), Discipline.OCCUPATIONAL_THERAPY),
    (re.compile(r"\bspeech", re.IGNORECASE), Discipline.SPEECH_THERAPY),
    (re.compile(r"\bchiropract", re.IGNORECASE), Discipline.CHIROPRACTIC),
)


@lru_cache(maxsize=1)
def packaged() -> Terminology:
    """The vocabularies that ship with this package, loaded once."""
    return Terminology()
