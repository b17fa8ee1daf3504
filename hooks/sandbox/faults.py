"""What an EHR can do wrong on request: faults by name, in what it prefetches and in what its FHIR server answers.

A fault of prefetch changes the request that the sandbox posts. A fault of the server is carried out by a
proxy before the real server (hooks.sandbox.fault_proxy). docs/faults.md says what a user then sees.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hooks.sandbox.errors import InputError
from hooks.sandbox.shapes_r5 import r5_shape

Json = dict[str, Any]
# It must never be seen anywhere but at the FHIR server: the sandbox has no other secrets.
TOKEN = "sandbox-token-0815"  # noqa: S105 - made up, and only ever sent to a proxy on this machine
ZONE = re.compile(r"(T\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(?:Z|[+-]\d\d:\d\d)$")
OUTCOME: Json = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "exception", "diagnostics": "Something went wrong here"}],
}


@dataclass(frozen=True)
class Around:
    """What a change of an answer may look at: the address asked, the patient, and a server that is not the EHR's."""

    url: str
    patient: str
    elsewhere: str


PrefetchChange = Callable[[Any], Any]
PageChange = Callable[[Json, Around], Json]


@dataclass(frozen=True)
class Fault:
    """One kind of misbehaviour.

    Attributes:
        name: what the command line calls it.
        does: what the EHR then does.
        prefetch: how it changes one prefetch value; None from it means that the key is left out.
        page: how it changes what the FHIR server answered.
        wire: the server's own way to answer: a key of hooks.sandbox.fault_proxy.WIRES.
        count: the `_count` that the server really uses; 0 means its own default, None what was asked for.
        value: seconds, or the number of requests, where none is given.
        types: the resource types that it befalls where none is given; empty for all.
    """

    name: str
    does: str
    prefetch: PrefetchChange | None = None
    page: PageChange | None = None
    wire: str = ""
    count: int | None = None
    value: float = 0
    types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chosen:
    """A fault as it was asked for: `delay=2:Encounter` is Fault delay, value 2, of Encounters only."""

    fault: Fault
    value: float
    types: tuple[str, ...]

    def befalls(self, kind: str) -> bool:
        """Whether answers of a resource type are wrong."""
        return not self.types or kind in self.types


def choose(text: str) -> Chosen:
    """Read a fault as the command line has it: NAME, NAME=VALUE, NAME:TYPE or NAME=VALUE:TYPE,TYPE.

    Raises:
        InputError: there is no such fault, or the value is no number.
    """
    head, _, types = text.partition(":")
    name, equals, number = head.partition("=")
    fault = FAULTS.get(name)
    if fault is None:
        raise InputError(f"there is no fault {name!r}; choose among {', '.join(sorted(FAULTS))}")
    try:
        value = float(number) if equals else fault.value
    except ValueError:
        raise InputError(f"fault {name}: {number!r} is no number") from None
    return Chosen(fault, value, tuple(filter(None, types.split(","))) or fault.types)


def kind_of(query: str) -> str:
    """The resource type of a search or a read: `Encounter` of `Encounter?patient=1`."""
    return query.split("?")[0].split("/")[0]


def change_request(request: Json, templates: dict[str, str], *, chosen: Sequence[Chosen], proxy: str) -> Json:
    """The order-sign request of an EHR with these faults.

    Where only prefetch is wrong, the EHR gives no access to its FHIR server, or nobody would see the fault: the
    service would ask there. Where the server is wrong, the EHR prefetches nothing, so that the service has to ask.
    """
    if not chosen:
        return request
    changed = {key: value for key, value in request.items() if key not in ("prefetch", "fhirServer")}
    of_prefetch = [one for one in chosen if one.fault.prefetch]
    if len(of_prefetch) < len(chosen):
        changed |= access_to(proxy, request["context"]["userId"])
    if of_prefetch:
        changed["prefetch"] = change_prefetch(request.get("prefetch") or {}, of_prefetch, templates)
    return changed


def access_to(fhir_url: str, subject: str) -> Json:
    """The members of a request that let the service ask a FHIR server, with a marked token."""
    return {
        "fhirServer": fhir_url,
        "fhirAuthorization": {
            "access_token": TOKEN,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/*.read",
            "subject": subject,
        },
    }


def change_prefetch(prefetch: Json, chosen: Sequence[Chosen], templates: dict[str, str]) -> Json:
    """Prefetch as an EHR with these faults sends it."""
    changed: Json = {}
    for key, value in prefetch.items():
        for one in chosen:
            if one.fault.prefetch and one.befalls(kind_of(templates.get(key, key))):
                value = one.fault.prefetch(value)
        if value is not LEFT_OUT:
            changed[key] = value
    return changed


# ------------------------------------------------------------------------------------------------------- prefetch

LEFT_OUT = object()


def _first_page(value: Any) -> Any:  # noqa: ANN401 - a prefetch value is any JSON
    if not isinstance(value, dict) or value.get("resourceType") != "Bundle":
        return value
    following = {"relation": "next", "url": "https://ehr.example.org/fhir?page=2"}
    return value | {"entry": (value.get("entry") or [])[:1], "link": [following]}


# -------------------------------------------------------------------------------------------------------- answers


def _bundles_only(change: PageChange) -> PageChange:
    def changed(body: Json, around: Around) -> Json:
        return change(body, around) if body.get("resourceType") == "Bundle" else body

    return changed


def _each_string(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {key: _each_string(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_each_string(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def _other_patient(body: Json, around: Around) -> Json:
    mine, other = f"Patient/{around.patient}", "Patient/somebody-else"
    changed: Json = _each_string(body, lambda text: other if text.endswith(mine) else text)
    if body.get("resourceType") == "Patient":
        changed["id"] = "somebody-else"
    return changed


def _without_zones(body: Json, around: Around) -> Json:
    changed: Json = _each_string(body, lambda text: ZONE.sub(r"\1", text))
    return changed


def _in_r5(body: Json, around: Around) -> Json:
    if body.get("resourceType") != "Bundle":
        return r5_shape(body)
    entries = [entry | {"resource": r5_shape(entry.get("resource") or {})} for entry in body.get("entry") or []]
    return body | {"entry": entries}


@_bundles_only
def _broken(body: Json, around: Around) -> Json:
    entries = copy.deepcopy(body.get("entry") or [])
    if entries:
        entries[0]["resource"] = {key: 7 for key in entries[0]["resource"] if key not in ("resourceType", "id")} | {
            "resourceType": entries[0]["resource"]["resourceType"],
            "id": entries[0]["resource"]["id"],
        }
    nameless = {"resource": {"id": "nameless", "status": "finished"}}
    return body | {"entry": [*entries, nameless, "no entry", {"resource": None}, {}]}


@_bundles_only
def _twice(body: Json, around: Around) -> Json:
    return body | {"entry": [entry for entry in body.get("entry") or [] for _ in range(2)]}


@_bundles_only
def _with_outcome(body: Json, around: Around) -> Json:
    return body | {"entry": [*(body.get("entry") or []), {"resource": OUTCOME, "search": {"mode": "outcome"}}]}


def _next(body: Json, url: str) -> Json:
    links = [link for link in body.get("link") or [] if link.get("relation") != "next"]
    return body | {"link": [*links, {"relation": "next", "url": url}]}


@_bundles_only
def _looping(body: Json, around: Around) -> Json:
    return _next(body, around.url)


@_bundles_only
def _foreign(body: Json, around: Around) -> Json:
    return _next(body, f"{around.elsewhere}/page-2")


ADVICE = ("Procedure", "Observation", "Goal", "CarePlan", "DocumentReference")
FAULTS = {
    fault.name: fault
    for fault in (
        Fault("drop-prefetch-keys", "leaves prefetch keys out", prefetch=lambda _: LEFT_OUT, types=ADVICE),
        Fault("null-prefetch", "sends null under a prefetch key", prefetch=lambda _: None),
        Fault("prefetch-operation-outcome", "sends an OperationOutcome as prefetch", prefetch=lambda _: OUTCOME),
        Fault("paged-prefetch", "sends the first page of what it found as prefetch", prefetch=_first_page),
        Fault("page-by-one", "sends one resource on each page", count=1),
        Fault("count-ignored", "ignores _count and uses pages of its own size", count=0),
        Fault("looping-next", "names the page itself as the next page", page=_looping),
        Fault("foreign-next", "names a next page on another server", page=_foreign),
        Fault("redirect", "redirects to another server", wire="redirect"),
        Fault("delay", "answers after 10 seconds", wire="delay", value=10),
        Fault("slow-drip", "sends a byte of its answer now and then", wire="slow-drip"),
        Fault("cut-body", "ends its answer in the middle", wire="cut-body"),
        Fault("html", "sends a page to log in, with status 200", wire="html"),
        Fault("empty-body", "sends nothing, with status 200", wire="empty-body"),
        Fault("refuse", "answers 403", wire="status", value=403),
        Fault("expire-token", "answers 401 after two requests", wire="expire-token", value=2),
        Fault("not-found", "answers 404", wire="status", value=404),
        Fault("gone", "answers 410", wire="status", value=410),
        Fault("too-many", "answers 429 with Retry-After: 60", wire="status", value=429),
        Fault("server-error", "answers 500", wire="status", value=500),
        Fault("unavailable", "answers 503", wire="status", value=503),
        Fault("other-patient", "answers with another patient's resources", page=_other_patient),
        Fault("zone-less-times", "writes times without a zone", page=_without_zones),
        Fault("r5-shapes", "writes resources as R5 has them", page=_in_r5),
        Fault("broken-entries", "mixes entries that are no resources into its answers", page=_broken),
        Fault("duplicate-entries", "sends each entry twice", page=_twice),
        Fault("operation-outcome-entries", "sends an error among the entries", page=_with_outcome),
    )
}
