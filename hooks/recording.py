"""What a route knows of a call, put together for the ledger before the answer leaves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from cds.ledger.evidence import RecordingSource
from cds.model import Assessment
from cds.recording import Call, record_call
from cds.service import Asked
from hooks.clients import Client
from hooks.protocol import HookRequest

if TYPE_CHECKING:
    from hooks.app import Deployment

# The JSON of an empty searchset, with its links, is no longer than this.
_EMPTY_BYTES = 1000


def put_on_record(
    deployment: Deployment,
    hook: HookRequest,
    *,
    service: str,
    client: Client,
    began: datetime,
    milliseconds: float,
    asked: Asked,
    aliases: Mapping[str, str],
    source: RecordingSource,
    assessments: Sequence[Assessment],
    problems: Sequence[str],
    response: Mapping[str, Any],
    payload: bytes,
    templates: Collection[str],
    kinds: Collection[str] | None = None,
) -> str:
    """Record one answered call; its entry's id. LedgerUnavailable where it cannot be recorded: then nothing is said.

    `payload` is the response as it leaves.
    """
    zone: ZoneInfo | None = deployment.settings.time_zone
    call = Call(
        service=service,
        hook=hook.hook,
        hook_instance=hook.hook_instance,
        client=client.name,
        user=hook.user,
        began=began,
        milliseconds=milliseconds,
        asked=asked,
        aliases=aliases,
        zone=zone,
        assessments=assessments,
        response=response,
        payload=payload,
        source=source,
        # A server that is not the client's own names nobody's record: no app may show this as that EHR's.
        fhir_server=hook.fhir_server if hook.fhir_server and client.may_name(hook.fhir_server) else None,
        problems=problems,
        prefetch=prefetch_habits(hook.prefetch, templates),
        kinds=kinds,
    )
    return record_call(deployment.ledger, call, deployment.basis, deployment.terms)


def prefetch_habits(prefetch: Mapping[str, bytes | memoryview], templates: Collection[str]) -> dict[str, str]:
    """How each key of discovery came: `sent`, `empty`, `null`, `error` or `absent`; and the keys nobody asked for."""
    habits = {key: _habit(prefetch.get(key)) for key in templates}
    unasked = len(prefetch.keys() - set(templates) - {"organizations"})
    return habits | ({"(not asked for)": str(unasked)} if unasked else {})


def _habit(raw: bytes | memoryview | None) -> str:
    """`empty` is a Bundle without entries. What is sent is not read again for this: its beginning tells."""
    if raw is None:
        return "absent"
    start = bytes(raw[:_EMPTY_BYTES])
    if start.strip() == b"null":
        return "null"
    if b'"OperationOutcome"' in start:
        return "error"
    if len(raw) < _EMPTY_BYTES and b'"Bundle"' in start and b'"resource"' not in start:
        return "empty"
    return "sent"
