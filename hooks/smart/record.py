"""Which assessment of the ledger a session shows: that of the link, for its own patient and EHR only, or the newest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cds.ledger.ledger import CALL, Entry, Ledger
from cds.recording import patient_name
from hooks.smart.errors import NotShown
from hooks.smart.registration import Ehr

Json = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """One assessment as it is on record: its id, what it says (`cds.as_json.whole_assessment`), and its entry."""

    id: str
    assessment: Json
    entry: Entry

    @property
    def order(self) -> Json:
        """The order as it was sent, without names; empty where the entry holds none of this reference."""
        orders = (self.entry.body or {})["question"]["orders"]
        found: Json = next((each["resource"] for each in orders if each["where"] == self.assessment["order"]), {})
        return found


def linked(ledger: Ledger, app_context: str, ehr: Ehr, patient: str) -> Shown:
    """The assessment that a link names; NotShown where it is not this patient's at this EHR, or not on record.

    Whoever tries other ids learns nothing: it is one answer for all of these.
    """
    shown = _in(ledger.find(app_context), app_context, ehr, patient)
    if shown is None:
        raise NotShown(
            "The assessment of this link is not on record for this patient at this EHR",
            remedy="Open it from a card of this patient's own order",
        )
    return shown


def newest(ledger: Ledger, ehr: Ehr, patient: str) -> Shown | None:
    """The patient's newest assessment from this EHR; None where there is none (any more)."""
    entries = [ledger.find(patient_name(server, patient)) for server in (ehr.iss, *ehr.fhir_servers)]
    found = [entry for entry in entries if entry is not None and entry.body is not None]
    if not found:
        return None
    last = max(found, key=lambda entry: entry.sequence)
    ids = [each["id"] for each in (last.body or {})["assessments"]]
    return _in(last, ids[0], ehr, patient) if ids else None


def others(shown: Shown) -> list[Json]:
    """The assessments of the same call, of which each may be opened instead: id, order, what it says."""
    rows = (shown.entry.body or {})["assessments"]
    return [{"id": row["id"], "order": row["is"]["orderLabel"], "says": row["is"]["says"]} for row in rows]


def _in(entry: Entry | None, id_: str, ehr: Ehr, patient: str) -> Shown | None:
    if entry is None or entry.kind != CALL or entry.body is None:
        return None
    body = entry.body
    if body["question"]["patient"] != patient or not ehr.is_behind(body["fhirServer"]):
        return None
    found = next((row["is"] for row in body["assessments"] if row["id"] == id_), None)
    return None if found is None else Shown(id_, found, entry)
