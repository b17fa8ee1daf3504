"""The letter as a DocumentReference that other systems can take."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone

from fhir.resources.R4B.documentreference import DocumentReference
from flask import Flask

from hooks.smart.story.letter import Kind, Letter, Section, Sentence, letter_of
from hooks.smart.story.letter_fhir import document_of
from hooks.smart.story.letter_pdf import pdf_of
from tests.hooks.smart.story.stories import signed

MADE = datetime(2025, 3, 10, 8, tzinfo=timezone(timedelta(hours=-4)))


def test_document_is_valid_and_preliminary_when_gaps_are_open(app: Flask) -> None:
    story = signed(app)
    letter = letter_of(story.said, story.id, Kind.NECESSITY)
    pdf = pdf_of(letter, MADE)
    document = document_of(letter, pdf, "f000", "ServiceRequest/1", MADE, "Practitioner/1")
    DocumentReference.model_validate(document)
    assert (document["docStatus"], document["date"]) == ("preliminary", "2025-03-10T12:00:00+00:00")
    assert document["subject"] == {"reference": "Patient/f000"}
    assert document["context"] == {"related": [{"reference": "ServiceRequest/1"}]}
    assert document["author"] == [{"reference": "Practitioner/1"}]
    (content,) = document["content"]
    assert base64.b64decode(content["attachment"]["data"]) == pdf


def test_document_names_neither_order_nor_author_when_they_are_not_known() -> None:
    letter = Letter(Kind.REVIEW, "Review summary", (Section("To", (Sentence("A.", ("b",)),)),))
    document = document_of(letter, b"%PDF-", "f000", "", MADE)
    DocumentReference.model_validate(document)
    assert document["docStatus"] == "final"
    assert not {"context", "author"} & document.keys()
