"""What hooks that mostly keep silent still have to say: that something could not be read. Pure."""

from __future__ import annotations

from cds.model import Assessment, Outcome
from cds.service import TECHNICAL
from hooks.asking import Draft

LAST = 9


def unread(assessment: Assessment, why: str = "") -> list[Draft]:
    """One card where another system failed, so that its silence is not taken for an answer.

    `why` no order on file could be found matters only where no policy applies without one.
    """
    lacking = [why] if why and assessment.policy is None else []
    if not assessment.technical and not lacking:
        return []
    failed = lacking or [gap.reason for gap in assessment.gaps if gap.state in TECHNICAL]
    nothing = not lacking and (assessment.outcome is Outcome.NO_POLICY or not failed)
    summary = assessment.says if nothing else f"Therapy was not checked in full: {failed[0]}"
    lead = "What this check would say is not known. It is no sign that all is well."
    return [Draft(LAST, "info", summary, "guideline", lead=lead, about=("not-read",))]
