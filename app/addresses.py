"""IP addresses as servers and proxies write them."""

from __future__ import annotations

import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_WITH_PORT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+))(?::[0-9]{1,5})?")


def read_address(text: str) -> Address | None:
    """The address in a text, None where there is none.

    A port after it does not count, which some proxies write into X-Forwarded-For; an IPv4 address that a socket for
    both protocols shows as an IPv6 one (RFC 4291 section 2.5.5.2) is the IPv4 address.
    """
    found = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address((found["v6"] or found["v4"]) if found else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
