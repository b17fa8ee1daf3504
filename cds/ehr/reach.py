"""Which addresses a connection may lead to: checked on the connected socket, before anything is sent.

A name on the allow-list may resolve to whatever its DNS says at that moment. What counts is where the socket leads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

_NAT64 = IPv6Network("64:ff9b::/96")
# Public by their numbers for `ipaddress`: IANA's own block with a cloud's metadata in it, other ways to write an
# IPv4 address (RFC 8215, RFC 4291 2.5.5.1, RFC 2765), and site-local addresses (RFC 3879).
_NOT_PUBLIC = tuple(
    map(ip_network, ("192.0.0.0/24", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96", "fec0::/10")),
)
# Public by its number, but answered by the host of a virtual machine (Azure's wire server).
_METADATA = frozenset((IPv4Address("168.63.129.16"),))
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Reach:
    """Public addresses; loopback where it says so; anything for the hosts and ports that are listed as private."""

    loopback: bool = False
    private: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def of(cls, private: Iterable[str], *, loopback: bool) -> Reach:
        """For base URLs whose servers may have private addresses."""
        parts = [urlsplit(url) for url in private]
        places = ((each.hostname or "", each.port or _PORTS.get(each.scheme, 0)) for each in parts)
        return cls(loopback, frozenset(places))

    def allows(self, host: str, port: int | None, address: str) -> bool:
        """Whether a socket of this host and port that leads to this address may be used.

        >>> Reach().allows("fhir.example.org", 443, "93.184.215.14")
        True
        >>> [Reach().allows("fhir.example.org", 443, each) for each in ("10.0.0.5", "::ffff:169.254.169.254")]
        [False, False]
        """
        if (host.lower().strip("[]"), port) in self.private:
            return True
        try:
            found = _plain(ip_address(address.partition("%")[0]))
        except ValueError:
            return False
        if found.is_loopback:
            return self.loopback
        if any(found in network for network in _NOT_PUBLIC):
            return False
        return found.is_global and not found.is_multicast and found not in _METADATA


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address leads to, where it is only another way to write one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address
