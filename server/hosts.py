"""The names under which a server may be called: a page of another site must not reach one on this machine."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

# What a browser calls the machine that it runs on.
LOOPBACK_NAME = "localhost"

# As a client writes it into `Host`: names of other scripts in their form for DNS (xn--).
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def is_host_name(name: str) -> bool:
    """Whether ``name`` is one that a `Host` header can have, without port and scheme."""
    return _NAME.fullmatch(name) is not None


def is_loopback(host: str) -> bool:
    """Whether ``host`` is an address that only this machine can reach."""
    try:
        return host == LOOPBACK_NAME or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_allowed(host: str, hosts: Collection[str] | None) -> bool:
    """Whether a server that is called ``hosts`` (None: anything) answers requests to ``host``.

    ``host`` is the header, an IPv6 address in brackets. An IP address is always right: whoever puts another
    name before it (DNS rebinding) cannot send that.
    """
    if hosts is None or not host:
        return True
    name, _, port = host.rpartition(":")
    name = (name if port.isdigit() else host).strip("[]").rstrip(".").lower()
    if name in hosts:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
