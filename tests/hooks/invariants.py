"""The rules that a coverage-information extension is held against, by version of CRD: shape, codes, invariants.

Cardinalities, value types, value sets and the invariants crd-ci-q1 to q9 as the guides' extension definitions state
them. Where an expression and its text differ, both are asked.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
_CODES = {
    "covered": {"covered", "not-covered", "conditional"},
    "pa-needed": {"no-auth", "auth-needed", "satisfied", "performpa", "conditional"},
    "doc-purpose": {"withpa", "withclaim", "withorder", "retain-doc", "OTH"},
    "info-needed": {"performer", "location", "timeframe", "contract-window", "OTH"},
}
CODES = {
    "2.0": _CODES | {"doc-needed": {"clinical", "admin", "both", "conditional"}},
    "2.1": _CODES | {"doc-needed": {"clinical", "admin", "patient", "conditional"}},
    "2.2": _CODES
    | {
        "covered": _CODES["covered"] | {"indeterminate"},
        "pa-needed": _CODES["pa-needed"] | {"indeterminate"},
        "doc-needed": {"clinical", "admin", "patient", "conditional", "indeterminate"},
        "info-needed": _CODES["info-needed"] | {"detail-code"},
    },
}
REASONS = {"gold-card", "no-member-found", "no-active-coverage", "coverage-not-found", "auth-out-network", "technical"}
# url: least, most, member that holds its value
_PARTS: dict[str, tuple[int, int | None, str]] = {
    "coverage": (1, 1, "valueReference"),
    "covered": (1, 1, "valueCode"),
    "pa-needed": (0, 1, "valueCode"),
    "doc-needed": (0, None, "valueCode"),
    "doc-purpose": (0, None, "valueCode"),
    "info-needed": (0, None, "valueCode"),
    "billingCode": (0, None, "valueCoding"),
    "reason": (0, None, "valueCodeableConcept"),
    "detail": (0, None, "extension"),
    "dependency": (0, None, "valueReference"),
    "questionnaire": (0, None, "valueCanonical"),
    "date": (1, 1, "valueDate"),
    "coverage-assertion-id": (1, 1, "valueString"),
    "satisfied-pa-id": (0, 1, "valueString"),
    "contact": (0, None, "valueContactPoint"),
    "expiry-date": (0, 1, "valueDate"),
}
PARTS = {
    "2.0": {name: part for name, part in _PARTS.items() if name != "expiry-date"} | {"doc-needed": (0, 1, "valueCode")},
    "2.1": _PARTS,
    "2.2": _PARTS | {"contact": (0, None, "valueContactDetail")},
}


def values(extension: Json, url: str) -> list[Any]:
    """Every value of a part, such as the codes of `doc-needed`; a detail's value are its own parts."""
    found = [part for part in extension["extension"] if part["url"] == url]
    return [next(value for name, value in part.items() if name != "url") for part in found]


def broken(extension: Json, version: str) -> list[str]:
    """The rules of a version that an extension breaks, by name."""
    return [*_shape(extension, version), *_invariants(extension, version)]


def _shape(extension: Json, version: str) -> list[str]:
    problems = []
    for part in extension["extension"]:
        _, _, member = PARTS[version].get(part["url"], (0, 0, "none"))
        if set(part) != {"url", member} or part[member] in ("", None, {}, []):
            problems.append(f"part {part['url']}")
    for url, (least, most, _) in PARTS[version].items():
        number = len(values(extension, url))
        if number < least or (most is not None and number > most):
            problems.append(f"{url} {number} times")
    problems += [
        f"code {code} of {url}"
        for url, codes in CODES[version].items()
        for code in values(extension, url)
        if code not in codes
    ]
    for detail in values(extension, "detail"):
        wanted = {"code", "value"} | ({"category"} if version == "2.2" else set())
        if {part["url"] for part in detail} - {"qualification"} != wanted:
            problems.append("parts of a detail")
    return problems


def _invariants(extension: Json, version: str) -> list[str]:
    def has(url: str, *codes: str) -> bool:
        return any(value in codes for value in values(extension, url)) if codes else bool(values(extension, url))

    said = ("covered", "pa-needed", "doc-needed")
    conditional = any(has(url, "conditional") for url in said)
    reasons = values(extension, "reason")
    codes = {coding.get("code") for reason in reasons for coding in reason.get("coding", [])}
    rules = {
        "q1": not has("questionnaire") or has("doc-needed"),
        "q2": not (has("covered", "not-covered") and has("pa-needed")),
        "q3": conditional == has("info-needed"),
        "q4": not (has("pa-needed", "satisfied", "no-auth", "not-covered") and has("doc-purpose", "withpa")),
        "q5": has("pa-needed", "satisfied") == has("satisfied-pa-id"),
        "q6": not has("info-needed", "OTH") or bool(reasons),
        "q7": all("text" in reason for reason in reasons) or codes <= REASONS,
        "q8": not has("doc-purpose") or bool(reasons),
        "q9": not any(has(url, "indeterminate") for url in said) or bool(reasons),
    }
    if version == "2.0":  # what its expression asks beside what its text says
        rules["q2 of 2.0.1"] = has("covered", "not-covered") or has("pa-needed")
    return [name for name, holds in rules.items() if not holds]
