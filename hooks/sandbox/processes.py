"""Programs the sandbox starts: their port, their log, their readiness, and their end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from hooks.sandbox.errors import SandboxError
from hooks.sandbox.http import session_for

START_SECONDS = 60.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.05
TAIL_LINES = 15


def free_port() -> int:
    """Find a port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def held_port(number: int = 0) -> Iterator[int]:
    """Keep a port of the loopback interface until the block is left: this one, or whichever is free.

    A server that sets SO_REUSEADDR, as nearly all do, can listen on it meanwhile; whoever asks for a free port does
    not get it.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # the server that is started there says so in better words
            holder.bind(("127.0.0.1", number))
        yield number or holder.getsockname()[1]


class Program:
    """A program that runs beside this one until the `with` block is left, by whatever way.

    It gets a process group of its own, so that Ctrl-C reaches it only through this class, and its children
    end with it.

    Args:
        name: what to call it in messages.
        command: the program and its arguments.
        log: the file that takes all it prints.
        ready_url: a URL that answers below 500 as soon as the program is ready.
        environment: its whole environment; without it, this process's own.
        directory: where it runs.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        ready_url: str,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.ready_url = ready_url
        with log.open("wb") as output:
            self.process = subprocess.Popen(  # noqa: S603  (the command is built here, never from a request)
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment) if environment is not None else None,
                cwd=directory,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        """Give back the running program."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the program."""
        self.stop()

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until the program answers.

        Raises:
            SandboxError: it ended or did not answer in time; the message shows the tail of its log.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SandboxError(f"{self.name} ended at once ({self.process.returncode}).\n{self.tail()}")
            if self._answers():
                return
            time.sleep(POLL_SECONDS)
        raise SandboxError(f"{self.name} did not answer within {seconds:.0f} s.\n{self.tail()}")

    def _answers(self) -> bool:
        with contextlib.suppress(requests.RequestException), session_for(self.ready_url) as session:
            return session.get(self.ready_url, timeout=2).status_code < 500
        return False

    def tail(self) -> str:
        """Give the last lines of the program's log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join(f"  | {line}" for line in lines) or "  | (it printed nothing)"

    def stop(self) -> None:
        """End the program and its children: ask first, then insist."""
        self.process.terminate()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        finally:
            # Also when somebody presses Ctrl-C again while this waits, and for children left behind.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
