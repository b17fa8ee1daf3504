"""Short forms that a case may use in FHIR resources: system names, `system|code`, bare status codes."""

from __future__ import annotations

from typing import Any

from cds.terminology import Terminology

# Elements that are a CodeableConcept of one code system, so that the bare code says everything.
_STATUSES = {
    "clinicalStatus": "condition-clinical",
    "verificationStatus": "condition-verification",
    "achievementStatus": "goal-achievement",
}
# Elements that are a Coding, not a CodeableConcept.
_CODINGS = frozenset(("class", "modality", "valueCoding"))
# CodeableConcepts that FHIR repeats: one may be written without a list.
_REPEATED = frozenset(("reasonCode", "procedureCode"))


def expand(key: str, value: Any, terms: Terminology) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """A value with its short forms written out. `key` is the element's name (of a path, the last part).

    >>> from cds.terminology import packaged
    >>> expand("code", "loinc|72514-3", packaged())
    {'coding': [{'system': 'http://loinc.org', 'code': '72514-3'}]}
    >>> expand("clinicalStatus", "active", packaged())["coding"][0]["code"]
    'active'
    """
    name = key.rpartition(".")[2]
    if isinstance(value, dict):
        return {part: expand(part, item, terms) for part, item in value.items()}
    if isinstance(value, list):
        return [expand(key, item, terms) for item in value]
    if not isinstance(value, str):
        return value
    if name in _STATUSES:
        return _concept(terms.url(_STATUSES[name]), value)
    if name == "system":
        return terms.url(value) if _known(value, terms) else value
    system, bar, code = value.partition("|")
    if not bar or not _known(system, terms):
        return value
    if name in _CODINGS:
        return {"system": terms.url(system), "code": code}
    concept = _concept(terms.url(system), code)
    return [concept] if name in _REPEATED else concept


def _concept(url: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": url, "code": code}]}


def _known(system: str, terms: Terminology) -> bool:
    return bool(system) and ":" not in system and terms.url(system) != system
