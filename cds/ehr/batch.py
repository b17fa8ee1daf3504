"""Several searches in one request: a `batch` Bundle, and its answer read entry by entry.

FHIR R4, 3.1.0.11 (batch/transaction): the entries of a `batch-response` come in the order of the request, each
with its own status. What does not keep to that is not guessed at: the searches are made one by one instead.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from cds.ehr.answers import answer_of
from cds.ehr.asking import failure_of
from cds.ehr.failure import Failed
from cds.fhir.bundles import Answer

# What one search came to; None where its entry says nothing that can be used.
Part = Answer | Failed | None
_STATUS = re.compile(r"[1-5][0-9]{2}(?![0-9])")
_TYPE = re.compile(r"(?:[A-Z][a-z]+)+")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class UnusableBatch(Exception):
    """An answer that is no answer to the batch, or not to this one. The text names no patient."""


class _Response(msgspec.Struct):
    status: str = ""


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()
    response: _Response | None = None


class _Link(msgspec.Struct):
    relation: str = ""
    url: str = ""


class _Page(msgspec.Struct):
    link: tuple[_Link, ...] = ()


class _Batch(msgspec.Struct):
    resourceType: str = ""  # noqa: N815 - FHIR's own name
    type: str = ""
    entry: tuple[_Entry, ...] = ()


def batch_of(urls: Sequence[str]) -> bytes:
    """The Bundle that asks for these addresses, which are relative to the FHIR base, in their order.

    >>> batch_of(["Patient/f000"])
    b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/f000"}}]}'
    """
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    return msgspec.json.encode({"resourceType": "Bundle", "type": "batch", "entry": entries})


def read_batch(payload: bytes, urls: Sequence[str]) -> tuple[Part, ...]:
    """What each of these searches and reads came to; UnusableBatch where that cannot be told."""
    try:
        bundle = msgspec.json.decode(payload, type=_Batch)
    except _UNREADABLE:
        raise UnusableBatch("the answer to a batch cannot be read") from None
    if bundle.resourceType != "Bundle" or bundle.type not in ("batch-response", "transaction-response"):
        raise UnusableBatch("the answer to a batch is no batch-response")
    if len(bundle.entry) != len(urls):
        raise UnusableBatch(f"a batch of {len(urls)} searches was answered with {len(bundle.entry)} entries")
    return tuple(_part(entry, url) for entry, url in zip(bundle.entry, urls, strict=True))


def kind_of(url: str) -> str:
    """The resource type that a search or a read asks for.

    >>> kind_of("Encounter?patient=f000"), kind_of("Patient/f000")
    ('Encounter', 'Patient')
    """
    return url.partition("?")[0].partition("/")[0]


def _part(entry: _Entry, url: str) -> Part:
    found = _STATUS.match(entry.response.status.strip()) if entry.response else None
    if found is None:
        return None
    status = int(found.group())
    if status != 200:
        return failure_of(status)
    if not memoryview(entry.resource).nbytes:
        return None
    try:
        answer = answer_of(memoryview(entry.resource), is_read="?" not in url)
    except Failed as failure:
        return failure
    if not _answers(answer, kind_of(url), _self_of(entry.resource)):
        raise UnusableBatch("the entries of a batch's answer are not in the order of its searches")
    return answer


def _answers(answer: Answer, kind: str, url: str) -> bool:
    """Whether an answer may be that to a search or read of a type: by its own address, and by what it holds."""
    types = {resource.type for resource in answer.resources}
    if types and kind not in types:
        return False
    named = urlsplit(url).path.rstrip("/").removesuffix("/_search").rsplit("/", 1)[-1] if url else ""
    return named == kind or not _TYPE.fullmatch(named)


def _self_of(resource: msgspec.Raw) -> str:
    """The address of which a page of results says that it is its own; empty where it says none."""
    try:
        page = msgspec.json.decode(resource, type=_Page)
        url = next((link.url for link in page.link if link.relation == "self"), "")
        urlsplit(url)
    except (*_UNREADABLE, ValueError):
        return ""
    return url
