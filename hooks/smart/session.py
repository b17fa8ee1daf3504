"""Launches that have begun, and sessions: kept on the server, sealed, for as long as they last; shared by all workers.

The browser holds an opaque id only (hooks/smart/cookie.py). A session has a handle of its own, which stands in the
addresses of its pages: so two windows of one browser can show two patients, and neither becomes the other's. The handle
opens nothing in another browser.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import msgspec
from cryptography.fernet import InvalidToken
from sqlalchemy import Engine, Table, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from cds.errors import TechnicalError
from cds.ledger.database import writing
from cds.ledger.tables import smart_launches, smart_sessions
from hooks.smart.keys import Keys

log = logging.getLogger(__name__)
LAUNCH_SECONDS = 600
T = TypeVar("T")


@dataclass(frozen=True)
class Launch:
    """A launch that waits for the EHR's answer: what went there, and what the answer is to be checked with."""

    iss: str
    browser: str = field(repr=False)
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    scopes: str
    token_endpoint: str
    issuer: str


@dataclass(frozen=True)
class Session:
    """One launched app: for one patient of one EHR, in one browser.

    `until` is when it ends whatever happens, `token_until` when its access token does (seconds since 1970).
    `assessment` is what is shown, "" where nothing is on record; `user` the FHIR reference of who looks at it, ""
    where the EHR did not say; `banner` whether the page itself has to say who the patient is.
    """

    iss: str
    patient: str
    assessment: str
    browser: str = field(repr=False)
    access_token: str = field(repr=False)
    token_endpoint: str
    token_until: int
    until: int
    asked: str
    granted: str
    encounter: str = ""
    user: str = ""
    banner: bool = True
    refresh_token: str = field(default="", repr=False)
    handle: str = field(default="", repr=False)


class Store:
    """The two tables. Safe to share between threads. TechnicalError where the database is away."""

    def __init__(self, engine: Engine, keys: Keys) -> None:
        """`engine` leads to a database whose tables are up to date; `keys` seal what is written there."""
        self._engine = engine
        self._keys = keys

    def begin(self, launch: Launch) -> str:
        """Keep a launch; the `state` by which the EHR's answer finds it: 256 bits, good once."""
        state = secrets.token_urlsafe(32)
        self._put(smart_launches, state, launch, int(time.time()) + LAUNCH_SECONDS)
        return state

    def take(self, state: str, browser: str) -> Launch | None:
        """The launch of a state, which is then gone; None where there is none (any more), or in another browser."""
        gone = delete(smart_launches).where(smart_launches.c.name == _digest(state), smart_launches.c.until > _now())
        with self._telling(), writing(self._engine) as connection:
            body = connection.execute(gone.returning(smart_launches.c.body)).scalar()
        launch = self._opened(body, Launch)
        return launch if launch and hmac.compare_digest(launch.browser, _digest(browser)) else None

    def add(self, session: Session) -> str:
        """Keep a new session; its handle."""
        handle = secrets.token_urlsafe(24)
        self._put(smart_sessions, handle, replace(session, handle=handle), session.until)
        return handle

    def find(self, handle: str, browser: str) -> Session | None:
        """The session of a handle in the browser that launched it; None where there is none, or it has ended."""
        wanted = select(smart_sessions.c.body).where(
            smart_sessions.c.name == _digest(handle), smart_sessions.c.until > _now()
        )
        with self._telling(), self._engine.connect() as connection:
            session = self._opened(connection.execute(wanted).scalar(), Session)
        if session is None or not hmac.compare_digest(session.browser, _digest(browser)):
            return None
        return session if session.handle == handle and session.until > time.time() else None

    def change(self, session: Session) -> None:
        """Keep a session as it is now, with new tokens or another assessment; one that has ended stays ended."""
        changed = update(smart_sessions).where(smart_sessions.c.name == _digest(session.handle))
        with self._telling(), writing(self._engine) as connection:
            connection.execute(changed.values(body=self._sealed(session), until=session.until))

    def end(self, session: Session) -> None:
        """Forget a session and its tokens."""
        with self._telling(), writing(self._engine) as connection:
            connection.execute(delete(smart_sessions).where(smart_sessions.c.name == _digest(session.handle)))

    # ------------------------------------------------------------------------------------------- the rows

    def _put(self, table: Table, name: str, body: Launch | Session, until: int) -> None:
        row = {"name": _digest(name), "body": self._sealed(body), "until": until}
        with self._telling(), writing(self._engine) as connection:
            connection.execute(delete(table).where(table.c.until <= _now()))
            connection.execute(insert(table).values(**row))

    def _sealed(self, body: Launch | Session) -> bytes:
        return self._keys.seal().encrypt(msgspec.json.encode(body))

    def _opened(self, body: bytes | None, kind: type[T]) -> T | None:
        """What a row holds; None where it was not sealed here, or with a key that is gone."""
        if body is None:
            return None
        try:
            return msgspec.json.decode(self._keys.seal().decrypt(body), type=kind)
        except (InvalidToken, ValueError) as problem:
            log.warning("a sealed row could not be opened (%s)", type(problem).__name__)
            return None

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Errors of the database as ours, their class only."""
        try:
            yield
        except SQLAlchemyError as problem:
            log.error("the app's sessions could not be reached (%s)", type(problem).__name__)
            raise TechnicalError("Sessions cannot be kept or found right now", remedy="Try again in a moment") from None


def browser_digest(browser: str) -> str:
    """By what a launch and a session know their browser; the id itself is kept by the browser only."""
    return _digest(browser)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _now() -> int:
    return int(time.time())
