"""What can go wrong in the sandbox and its commands, each with the exit status it leads to.

SandboxError          the program, or a server it talks to, failed: exit status 1
├── RefusalError      a server answered with a status that is no success; the text is the server's own
└── InputError        what was asked is wrong, and the message says what to do: exit status 2
"""

from __future__ import annotations


class SandboxError(Exception):
    """Something failed; the message is one line that says what, and what to do."""

    exit_status = 1


class InputError(SandboxError):
    """What the person asked for is wrong: a file, an id, an option."""

    exit_status = 2


class RefusalError(SandboxError):
    """A server refused a request.

    Args:
        status: the HTTP status of the answer.
        text: what the server's OperationOutcome, or its body, says.
        where: which server, for the message.
    """

    def __init__(self, status: int, text: str, where: str) -> None:
        self.status = status
        self.text = text
        super().__init__(f"{where} answered {status}: {text}")
        if 400 <= status < 500 and status not in (401, 403, 408, 429):
            self.exit_status = InputError.exit_status
