"""Which tokens have been used: a token's id (`jti`) counts once for each issuer until the token expires.

Only tokens whose signature is right get here, so strangers cannot fill it. Ids are kept as hashes.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import Protocol

from sqlalchemy import Engine, delete, insert
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from cds.errors import TechnicalError
from cds.ledger.breaker import Breaker, NotAsked
from cds.ledger.database import writing
from cds.ledger.tables import seen_tokens

log = logging.getLogger(__name__)
CLEAN_SECONDS = 300.0


class SeenTokens(Protocol):
    """Remembers tokens."""

    def first_time(self, issuer: str, jti: str, until: int) -> bool:
        """Whether this id comes for the first time; it is remembered until a moment (seconds since 1970, UTC).

        TechnicalError where nobody can tell: such a call is not let in.
        """


class SeenInDatabase:
    """Remembers for all workers that share a database."""

    def __init__(self, engine: Engine, breaker: Breaker | None = None) -> None:
        """`engine` leads to a database whose tables are up to date (`cds.ledger.database.migrate`).

        `breaker` is shared with others that use the same database.
        """
        self._engine = engine
        self._breaker = breaker or Breaker()
        self._clean = 0.0

    def first_time(self, issuer: str, jti: str, until: int) -> bool:
        """As SeenTokens says: the primary key lets one of two workers win."""
        now = int(time.time())
        row = {"client": issuer, "token": _digest(jti), "until": until}
        same = (seen_tokens.c.client == issuer) & (seen_tokens.c.token == row["token"])
        try:
            with self._breaker.guarding(), writing(self._engine) as connection:
                connection.execute(delete(seen_tokens).where(same, seen_tokens.c.until < now))
                connection.execute(insert(seen_tokens).values(**row))
        except IntegrityError:
            return False
        except (SQLAlchemyError, NotAsked) as problem:
            log.warning("the used tokens cannot be looked up: %s", type(problem).__name__)
            raise TechnicalError(
                "The service cannot tell whether this token was used before", remedy="Try again in a moment"
            ) from None
        self._forget_expired(now)
        return True

    def _forget_expired(self, now: int) -> None:
        """Now and then. A failure costs nothing but space: another worker may be at the same rows."""
        if now < self._clean:
            return
        self._clean = now + CLEAN_SECONDS
        try:
            with writing(self._engine) as connection:
                connection.execute(delete(seen_tokens).where(seen_tokens.c.until < now))
        except SQLAlchemyError as problem:
            log.info("expired tokens stay a while longer: %s", type(problem).__name__)


def _digest(jti: str) -> str:
    return hashlib.sha256(jti.encode(errors="surrogatepass")).hexdigest()
