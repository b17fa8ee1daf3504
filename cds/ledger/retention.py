"""Retention: bodies and evidence whose time is over are taken away, on record, and the chain stays.

In portions, each a transaction of its own, so that a first clearing of a large ledger keeps no call waiting for long.
Policies and vocabularies stay: they hold nothing of a patient, and each version is kept once.
"""

from __future__ import annotations

import json
from uuid import uuid4

from sqlalchemy import Connection, delete, select, update

from cds.ledger.chain import RETENTION, append
from cds.ledger.tables import blobs, entries, head, names

# Content of these kinds holds nothing of a patient: it stays for good, and so is handed to the database only once.
LASTING = frozenset(("policies", "vocabularies"))
PORTION = 200


def forget_portion(connection: Connection, before: str, now: str) -> int:
    """Take away at most `PORTION` bodies recorded before a moment (as entries tell it), and what only they rested on.

    How many bodies went; fewer than `PORTION` where nothing is left to do.
    """
    # The head first: of two workers the second finds nothing left.
    connection.execute(select(head.c.id).where(head.c.id == 1).with_for_update())
    due = (entries.c.recorded < before) & entries.c.body.is_not(None)
    found = connection.execute(
        select(entries.c.sequence).where(due).order_by(entries.c.recorded).limit(PORTION)
    ).scalars().all()  # fmt: skip
    if not found:
        return 0
    last = max(found)
    append(connection, str(uuid4()), RETENTION, now, json.dumps({"before": before, "last": last}))
    gone = connection.execute(update(entries).where(due, entries.c.sequence <= last).values(body=None))
    connection.execute(delete(names).where(names.c.sequence <= last))
    connection.execute(delete(blobs).where(blobs.c.last_used <= last, blobs.c.kind.not_in(LASTING)))
    return int(gone.rowcount)
