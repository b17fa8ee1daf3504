"""A letter as a FHIR DocumentReference (R4), as it is saved to the record. Pure."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from hooks.smart.story.letter import Letter

Json = dict[str, Any]


def document_of(letter: Letter, pdf: bytes, patient: str, order: str, made: datetime, author: str = "") -> Json:
    """The letter as a document about the patient, related to the order.

    It is preliminary as long as something is to be completed. `order` is left out where it is a draft that the EHR
    does not hold (`made` has a time zone; `author` is the user's FHIR reference, "" where it is not known).
    """
    moment = made.astimezone(UTC).isoformat(timespec="seconds")
    document: Json = {
        "resourceType": "DocumentReference",
        "id": "letter",
        "status": "current",
        "docStatus": "preliminary" if letter.open else "final",
        "type": {"text": letter.title},
        "subject": {"reference": f"Patient/{patient}"},
        "date": moment,
        "description": letter.title,
        "content": [
            {
                "attachment": {
                    "contentType": "application/pdf",
                    "language": "en",
                    "data": base64.b64encode(pdf).decode("ascii"),
                    "title": letter.title,
                    "creation": moment,
                }
            }
        ],
    }
    if order:
        document["context"] = {"related": [{"reference": order}]}
    return document | ({"author": [{"reference": author}]} if author else {})
