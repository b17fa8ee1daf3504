"""The browser's cookie: an opaque id, signed, out of scripts' reach, and sent within an EHR's frame too."""

from __future__ import annotations

import secrets

from flask import Request, Response
from itsdangerous import BadSignature, Signer

from hooks.smart.keys import Keys

_MAX = 200


class BrowserCookie:
    """Knows a browser again. Over https it is partitioned: each EHR's frame has an id of its own."""

    def __init__(self, keys: Keys, base_url: str) -> None:
        """`base_url` is the public one: over https the cookie is Secure and bound to this host (`__Host-`)."""
        self._keys = keys
        self._is_https = base_url.startswith("https://")
        self.name = "__Host-therapy-cds" if self._is_https else "therapy-cds"

    def read(self, request: Request) -> str | None:
        """The browser's id; None where it sent none, or one that was not made here."""
        value = request.cookies.get(self.name, "")
        if not value or len(value) > _MAX:
            return None
        try:
            return self._signer().unsign(value).decode()
        except (BadSignature, UnicodeDecodeError):
            return None

    def write(self, response: Response, browser: str) -> None:
        """Have the browser keep its id until it is closed."""
        response.set_cookie(
            self.name,
            self._signer().sign(browser).decode(),
            path="/",
            httponly=True,
            secure=self._is_https,
            # In an EHR's frame the EHR is the site, so this one's cookies are those of a third party.
            samesite="None" if self._is_https else "Lax",
            partitioned=self._is_https,
        )

    def _signer(self) -> Signer:
        return Signer(self._keys.cookie_secrets(), salt="therapy-cds browser")


def new_browser() -> str:
    """An id for a browser that has none: 256 bits."""
    return secrets.token_urlsafe(32)
