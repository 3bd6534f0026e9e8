"""The step for IP addresses: an address and the time it was seen at become a household for so many hours.

household: `203.0.113.7 2026-11-29T10:03:00Z` becomes `203.0.113.7 2026-11-29T00:00Z+24h` under a window of 24
hours. An IPv6 address is cut to its /64, which is what a household is given; one that maps an IPv4 address is that
address. Between the two stands white space, a comma, a semicolon or @. The time is ISO 8601 with its offset (Z, +02:00)
or whole seconds since 1970; one without an offset is refused, since nobody can tell whose clock it was. Windows are
counted from 1970-01-01T00:00Z, so that two parties cut at the same moments. Addresses that are nobody's household
(private, loopback, shared by a carrier, reserved) are refused.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime

from ..rejects import RejectCode
from .setting import Setting
from .steps import Step

LONGEST_WINDOW = 31 * 24
_SPLIT = re.compile(r"[ \t]*[,;@ \t][ \t]*")
_SECONDS = re.compile(r"[0-9]{9,10}")
_EXAMPLES = tuple(
    ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)
"""Addresses of manuals: tests are written with them, so they pass here and are counted as test values."""


class WindowMissing(Exception):
    """An IP address is to be normalised, and nobody said for how long it counts as one household's."""


def household(text: str, setting: Setting) -> str | RejectCode:
    """Errors: WindowMissing."""
    if setting.window is None:
        raise WindowMissing
    written, *rest = _SPLIT.split(text, maxsplit=1)
    address = _address(written)
    if isinstance(address, RejectCode):
        return address
    seen = _seconds(rest[0]) if rest else None
    if seen is None:
        return RejectCode.NO_TIME
    width = setting.window * 3600
    start = datetime.fromtimestamp(seen - seen % width, UTC)
    return f"{address} {start:%Y-%m-%dT%H:%MZ}+{setting.window}h"


def is_example(text: str) -> bool:
    """Whether a normalised address is one of those set aside for manuals."""
    try:
        address = ipaddress.ip_address(text.partition(" ")[0].partition("/")[0])
    except ValueError:
        return False
    return any(address in net for net in _EXAMPLES if net.version == address.version)


def _address(text: str) -> str | RejectCode:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return RejectCode.NOT_AN_ADDRESS
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return RejectCode.PRIVATE_ADDRESS
        address = address.ipv4_mapped or address
    if not address.is_global and not any(address in net for net in _EXAMPLES if net.version == address.version):
        return RejectCode.PRIVATE_ADDRESS
    if address.is_multicast:
        return RejectCode.PRIVATE_ADDRESS
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


def _seconds(text: str) -> int | None:
    """Seconds since 1970, or None where it is no time, or one of nobody's clock."""
    if _SECONDS.fullmatch(text):
        return int(text)
    try:
        time = datetime.fromisoformat(text)
        return int(time.timestamp()) if time.tzinfo is not None and 1970 <= time.year < 9999 else None
    except (ValueError, OverflowError):
        return None


STEPS: dict[str, Step] = {"household": household}
