"""What entries rest on, checked: evidence, policies and vocabularies that were changed or are gone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Label, select, type_coerce
from sqlalchemy.types import NullType
from zstandard import ZstdError

from cds.ledger.chain import Break
from cds.ledger.evidence import unpack
from cds.ledger.tables import blobs, entries

Json = dict[str, Any]
# SQLite keeps text where bytes belong, if somebody puts it there: taken as it is, so that it can be told.
AS_IT_LIES: Label[Any] = type_coerce(blobs.c.body, NullType()).label("body")


def content_of(body: Json) -> list[str]:
    """The hashes of all that an entry rests on."""
    basis = body.get("basis", {})
    named = [basis.get("policies"), basis.get("vocabularies"), *(each.get("blob") for each in body.get("evidence", ()))]
    return [name for name in named if name]


def content_breaks(connection: Connection) -> Iterator[Break]:
    """Each entry with content that was changed or is gone; content is checked once, however many rest on it."""
    state: dict[str, str] = {}
    rows = connection.execute(
        select(entries.c.sequence, entries.c.id, entries.c.body)
        .where(entries.c.body.is_not(None))
        .order_by(entries.c.sequence)
        .execution_options(yield_per=100)
    )
    for row in rows:
        try:
            wanted = content_of(json.loads(row.body))
        except (ValueError, AttributeError, TypeError):
            continue  # the chain itself tells of a body that was changed
        for name in wanted:
            if name not in state:
                state[name] = _state(connection, name)
            if state[name]:
                yield Break(row.sequence, row.id, f"what it rests on {state[name]} ({name[:12]}…)")


def _state(connection: Connection, name: str) -> str:
    body = connection.execute(select(AS_IT_LIES).where(blobs.c.hash == name)).scalar()
    if body is None:
        return "is gone"
    return "was changed" if unchanged(name, body) is None else ""


def unchanged(name: str, body: object) -> bytes | None:
    """Packed content, unpacked, if it is still what its hash says; None where it was changed."""
    if not isinstance(body, bytes):
        return None
    try:
        content = unpack(body)
    except ZstdError:
        return None
    return content if hashlib.sha256(content).hexdigest() == name else None
