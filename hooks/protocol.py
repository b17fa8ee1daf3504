"""JSON to hook request and back, by JSON Schema. Pure: no Flask, EHR, ledger or clock.

The body is not parsed whole: prefetch values stay raw JSON until a reader wants them (docs/performance.md).
Unknown members are ignored, as CDS Hooks asks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

import jsonschema
import jsonschema_rs
import msgspec

from cds.errors import MalformedRequest

Json = dict[str, Any]
# Clients that call one hook's service in the words of another: the public sandbox sends each order-select service
# the body of order-sign. Such a body is answered as the hook that it names.
SPEAKS_FOR: Mapping[str, frozenset[str]] = {"order-select": frozenset(("order-sign",))}


@dataclass(frozen=True)
class HookRequest:
    """One call of a service, read as far as every hook shares it. The token never shows in a repr."""

    hook: str
    hook_instance: str
    patient: str
    user: str
    context: Mapping[str, Any]
    fhir_server: str | None = None
    access_token: str | None = field(default=None, repr=False)
    prefetch: Mapping[str, bytes | memoryview] = field(default_factory=dict, repr=False)
    extension: Mapping[str, Any] = field(default_factory=dict)

    def drafts(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Where each draft order stands in the body, and the order as it was sent."""
        return self.resources("draftOrders")

    def resources(self, member: str) -> list[tuple[str, Mapping[str, Any]]]:
        """Where each resource of one of the context's Bundles stands in the body, and the resource as it was sent."""
        return [(f"context.{member}.entry[{i}].resource", entry["resource"]) for i, entry in self._entries(member)]

    def aliases(self, member: str = "draftOrders") -> dict[str, str]:
        """`fullUrl` of the entries of one of the context's Bundles, and the `Type/id` each stands for."""
        return {
            entry["fullUrl"]: f"{entry['resource']['resourceType']}/{entry['resource'].get('id', '')}"
            for _, entry in self._entries(member)
            if entry.get("fullUrl")
        }

    def _entries(self, member: str) -> enumerate[Json]:
        return enumerate((self.context.get(member) or {}).get("entry") or ())


class _Envelope(msgspec.Struct):
    hook: msgspec.Raw = msgspec.Raw()
    hookInstance: msgspec.Raw = msgspec.Raw()
    fhirServer: msgspec.Raw = msgspec.Raw()
    fhirAuthorization: msgspec.Raw = msgspec.Raw()
    context: msgspec.Raw = msgspec.Raw()
    prefetch: msgspec.Raw = msgspec.Raw()
    extension: msgspec.Raw = msgspec.Raw()


class _WellFormed(msgspec.Struct):
    """A request whose prefetch is what it should be: then the body is gone through once for it, not twice."""

    hook: msgspec.Raw = msgspec.Raw()
    hookInstance: msgspec.Raw = msgspec.Raw()
    fhirServer: msgspec.Raw = msgspec.Raw()
    fhirAuthorization: msgspec.Raw = msgspec.Raw()
    context: msgspec.Raw = msgspec.Raw()
    prefetch: dict[str, msgspec.Raw] | None = None
    extension: msgspec.Raw = msgspec.Raw()


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_WELL_FORMED = msgspec.json.Decoder(_WellFormed)
_RAW_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PLAIN = msgspec.json.Decoder()
_MEMBERS = ("hook", "hookInstance", "fhirServer", "fhirAuthorization", "context", "extension")


def parse_request(body: bytes, hook: str) -> HookRequest:
    """Read a request to a service of `hook`; MalformedRequest says what is wrong, where, and what to do.

    The hook that is read is the one that the body names: the service's own, or one of `SPEAKS_FOR`.
    """
    envelope, prefetch = _take_apart(body)
    # Each prefetch value stands in the checked envelope as an empty object, null, or whatever it wrongly is.
    checked: Json = {name: value for name, value in envelope.items() if value is not None or name == "context"}
    if prefetch is not None:
        checked["prefetch"] = {key: _stand_in(raw) for key, raw in prefetch.items()}
    check(checked, "hook-request")
    said = checked["hook"]
    if said != hook and said not in SPEAKS_FOR.get(hook, ()):
        raise MalformedRequest(
            f"This service answers the hook '{hook}', not '{said}'",
            where="hook",
            remedy="GET /cds-services lists which service answers which hook",
        )
    check(checked["context"], said, prefix="context")
    authorization = checked.get("fhirAuthorization") or {}
    if authorization and not checked.get("fhirServer"):
        raise MalformedRequest(
            "fhirAuthorization came without fhirServer",
            where="fhirServer",
            remedy="Send the base URL that the token is for",
        )
    return HookRequest(
        hook=said,
        hook_instance=checked["hookInstance"],
        patient=checked["context"]["patientId"].removeprefix("Patient/"),
        user=checked["context"].get("userId") or "",
        context=checked["context"],
        fhir_server=checked.get("fhirServer"),
        access_token=authorization.get("access_token") or None,
        prefetch={key: memoryview(raw) for key, raw in (prefetch or {}).items()},
        extension=checked.get("extension") or {},
    )


def _take_apart(body: bytes) -> tuple[Json, dict[str, msgspec.Raw] | None]:
    """The envelope's members parsed, and the prefetch's members raw."""
    if not body:
        raise MalformedRequest("The body is empty", where="body", remedy="POST a CDS Hooks request as JSON")
    try:
        envelope = _envelope_of(body)
        members = {name: getattr(envelope, name) for name in _MEMBERS}
        parsed = {name: _PLAIN.decode(raw) for name, raw in members.items() if memoryview(raw).nbytes}
        prefetch = envelope.prefetch if isinstance(envelope, _WellFormed) else _prefetch_members(envelope.prefetch)
    except msgspec.ValidationError as problem:
        raise MalformedRequest(
            f"The JSON is no CDS Hooks request: {problem}",
            where="body",
            remedy="Send one object with hook, hookInstance, context",
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise MalformedRequest(
            f"The body is not JSON: {problem}",
            where="body",
            remedy="Send UTF-8 JSON with Content-Type application/json",
        ) from None
    except RecursionError:
        raise MalformedRequest(
            "The JSON is nested too deeply to be a CDS Hooks request",
            where="body",
            remedy="FHIR resources need less than a hundred levels",
        ) from None
    return parsed, prefetch


def _envelope_of(body: bytes) -> _WellFormed | _Envelope:
    try:
        return _WELL_FORMED.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # what is wrong is told member by member
        return _ENVELOPE.decode(body)


def _prefetch_members(raw: msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    """Each prefetch value raw; None where no prefetch was sent."""
    if bytes(memoryview(raw)[:4]) in (b"", b"null"):
        return None
    try:
        return _RAW_MEMBERS.decode(raw)
    except msgspec.ValidationError:
        raise MalformedRequest(
            "The prefetch must be an object",
            where="prefetch",
            remedy="Send each key of GET /cds-services with its value",
        ) from None


def _stand_in(raw: msgspec.Raw) -> object:
    first = bytes(memoryview(raw)[:1])
    return {b"{": {}, b"n": None, b"[": [], b'"': "", b"t": True, b"f": False}.get(first, 0)


# --------------------------------------------------------------------------------------------------- schemas


@lru_cache(maxsize=32)
def schema(name: str) -> Json:
    """A JSON Schema of `hooks/schemas/`."""
    loaded: Json = json.loads(files("hooks").joinpath("schemas").joinpath(f"{name}.json").read_text("utf-8"))
    return loaded


@lru_cache(maxsize=32)
def _quick(name: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(schema(name))


def check(data: object, name: str, prefix: str = "") -> None:
    """MalformedRequest where data breaks a schema of `hooks/schemas/`; only then it is found out where and why.

    `prefix` is where the data stands in the body. No value is told: it may be the patient's.
    """
    if _quick(name).is_valid(data):
        return
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema(name)).iter_errors(data))
    if error is None:
        return
    raise MalformedRequest(
        f"The request is not valid: {_tell(error)}",
        where=_path(prefix, error.absolute_path),
        remedy=_remedy(error),
    )


def _tell(error: jsonschema.ValidationError) -> str:
    """What is wrong, without the value: it may be the patient's."""
    wanted: Any = error.validator_value
    instance: Any = error.instance
    match error.validator:
        case "required":
            missing = [name for name in wanted if name not in instance]
            return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        case "minItems":
            return "it holds no entry"
        case "minLength":
            return "it is empty"
        case "type":
            return f"it must be {wanted if isinstance(wanted, str) else ' or '.join(wanted)}"
        case "enum":
            return f"it must be {' or '.join(map(repr, wanted))}"
        case "maxLength" | "maxItems":
            return f"it is longer than {wanted}"
        case "const":
            return f"it must be '{wanted}'"
        case _:
            return f"it breaks the rule '{error.validator}'"


def _remedy(error: jsonschema.ValidationError) -> str:
    if error.validator == "pattern":
        return f"It must match {error.validator_value}"
    return "CDS Hooks 2.0.1 says what a request holds: https://cds-hooks.hl7.org/2.0/#http-request_1"


def _path(prefix: str, parts: Sequence[str | int]) -> str:
    text = prefix
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "body"
