"""Whether a call comes from this machine itself: not through a proxy, and not from a web page that is open on it.

A browser on this machine calls from loopback whatever page it shows. A page of elsewhere can reach a service here in
two ways: under its own name, which it lets point to this machine (DNS rebinding), so the `Host` header must be one of
ours; and with a POST that a browser sends without asking first (Fetch standard, CORS-safelisted request headers).
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from werkzeug.datastructures import Headers

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via")
# A body without a type is sent by pages too (a Blob).
_UNASKED = frozenset(("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"))


def is_forwarded(headers: Headers) -> bool:
    """Whether a proxy stands between: behind one on this machine everybody seems to be here."""
    return any(name in headers for name in _FORWARDED)


def is_named_here(host: str, base_url: str = "") -> bool:
    """Whether a `Host` header names this machine by loopback, or is that of the service's own base URL.

    >>> is_named_here("localhost:8000"), is_named_here("[::1]:8000"), is_named_here("evil.example:8000")
    (True, True, False)
    """
    name = _host_of(f"//{host}")
    if name in ("", "localhost") or name == _host_of(base_url):
        return name != ""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def is_from_a_page(method: str, headers: Headers, mimetype: str) -> bool:
    """Whether a POST names an origin, and its type is one for which a browser asks nobody before it sends it."""
    return method == "POST" and "Origin" in headers and mimetype in _UNASKED


def _host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""
