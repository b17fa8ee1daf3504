"""Whether two addresses belong to the same server."""

from __future__ import annotations

from urllib.parse import urlsplit


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port; a user name in an address makes it another origin.

    >>> origin("https://fhir.example.org/r4") == origin("https://fhir.example.org:443/token")
    True
    """
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ("", None, None)
    return ("", None, None) if "@" in parts.netloc else (parts.scheme, parts.hostname, port)
