"""The time that an answer has, and why there is none."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cds.model import EvidenceState


@dataclass(frozen=True)
class Deadline:
    """The moment (on `time.monotonic`'s clock) by which an answer must be ready."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """So many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left; 0 when it has passed."""
        return max(0.0, self.at - time.monotonic())


class Failed(Exception):
    """A request that came to nothing. The reason names no address, patient or token."""

    def __init__(self, state: EvidenceState, reason: str, *, status: int = 0, down: bool = False) -> None:
        """`status` of an answer, 0 without one; `down` when the server seems to be in trouble."""
        super().__init__(reason)
        self.state = state
        self.reason = reason
        self.status = status
        self.down = down

    @property
    def answered(self) -> bool:
        """Whether it was the server that said so: by its status, or by more than is taken."""
        return bool(self.status) or self.state is EvidenceState.CUT


class Again(Failed):
    """A failure after which the same request may be made again: `tries` in all, `pause` seconds later if it says so."""

    tries = 2
    pause: float | None = None

    def but(self, tries: int, pause: float | None = None) -> Again:
        """The same failure, with another number of tries and the pause that the server asked for."""
        self.tries = tries
        self.pause = pause
        return self
