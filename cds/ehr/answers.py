"""What a FHIR server sent, taken apart and held against what it was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from cds.ehr.failure import Failed
from cds.fhir.bundles import Answer, parse_answer
from cds.model import EvidenceState, Resource


def answer_of(payload: bytes | memoryview, *, is_read: bool) -> Answer:
    """The answer to a search or a read; Failed where it is none, so that it is not taken for an empty one."""
    try:
        answer = parse_answer(payload)
    except ValueError as problem:
        raise _unreadable(str(problem)) from None
    except RecursionError:
        raise Failed(EvidenceState.FAILED, "the FHIR server's answer is nested too deeply") from None
    if answer.is_null:
        raise _unreadable("it is null")
    if not is_read and any(resource.payload is payload for resource in answer.resources):
        raise _unreadable(f"it is {_a(answer.resources[0].type)} where a searchset was due")
    return answer


def check_kind(kind: str, resources: Sequence[Resource], *, is_read: bool) -> None:
    """Failed where a server answered with other types only, or a read with nothing: that tells nothing of this type."""
    types = {resource.type: None for resource in resources}
    if kind in types or (not types and not is_read):
        return
    found = _a(next(iter(types))) if types else "nothing"
    raise Failed(EvidenceState.FAILED, f"the FHIR server answered with {found} where {kind} was asked for")


def _unreadable(why: str) -> Failed:
    return Failed(EvidenceState.FAILED, f"the FHIR server's answer cannot be read: {why}")


def _a(kind: str) -> str:
    """A resource type with its article; what is none is not repeated.

    >>> _a("Encounter"), _a("<script>")
    ('an Encounter', 'something else')
    """
    if not (kind.isascii() and kind.isalpha() and len(kind) <= 40):
        return "something else"
    return f"{'an' if kind[0] in 'AEIO' else 'a'} {kind}"
