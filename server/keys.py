"""API keys: who may search, who may give feedback and write passages, who may administer, and where.

The settings and the key file contain hashes of keys, so that whoever reads them cannot use the keys. A key is
256 random bits, which nobody can guess, so a plain SHA-256 is enough.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from lurcher.server.admission import Caller, stays
from lurcher.server.key_ring import Grant, Level, demands_key
from lurcher.server.noted import note
from lurcher.server.rates import Rate, Rates
from lurcher.server.service import Service
from lurcher.server.settings import Settings

_Bearer = Annotated[
    HTTPAuthorizationCredentials | None,
    Security(HTTPBearer(scheme_name="bearer", auto_error=False)),
]
_Header = Annotated[
    str | None, Security(APIKeyHeader(name="X-API-Key", scheme_name="header", auto_error=False))
]


def new_key() -> str:
    """Return a new random key."""
    return secrets.token_urlsafe(32)


def key_hash(key: str) -> str:
    """Return the hash of ``key`` as the settings contain it."""
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def to(level: Level, settings: Settings) -> list[Any]:
    """Return the dependencies of routes that do what ``level`` says: a key for that, if it needs one."""
    return [Depends(_demand(level))] if demands_key(settings, level) else []


def may_ask(request: Request, *names: str) -> bool:
    """Return whether the key of ``request`` is for the collection that has these names.

    That it may do there what the route does; without a demand of the route, everybody may.
    """
    grants: list[Grant] | None = getattr(request.state, "grants", None)
    return grants is None or any(one.covers(names) for one in grants)


def client_of(request: Request) -> str:
    """Return who sent ``request``: the start of its key's hash, or the address it came from."""
    key: str | None = getattr(request.state, "key", None)
    if key is not None:
        return _short(key)
    return f"address:{_address(request.client.host if request.client else '')}"


def _short(key: str) -> str:
    """Return what stands for the key with the hash ``key``: the start of that."""
    return f"key:{key.removeprefix('sha256:')[:16]}"


def _address(host: str) -> str:
    """Return ``host`` if it is an IP address: a proxy's word for it (X-Forwarded-For) may be anything."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return "unknown"


def caller_of(request: Request) -> Caller:
    """Return whose ``request`` it is."""
    # ``edge`` tells it; no other server does.
    return Caller(client_of(request), getattr(request.state, "is_disconnected", stays))


# What a key of each level may do, in words.
_MAY: dict[Level, str] = {"read": "search", "write": "write", "admin": "administer"}


def _demand(level: Level) -> Callable[..., Any]:
    """Return a dependency that accepts keys of ``level`` or above; other known ones get 403, the rest 401."""

    # Async, because FastAPI would run a plain function in a thread.
    async def key_needed(request: Request, bearer: _Bearer, header: _Header) -> None:
        presented = bearer.credentials if bearer else header
        if presented is None:
            raise _refusal("this needs an API key: Authorization: Bearer KEY, or X-API-Key: KEY")
        given = key_hash(presented)
        service: Service = request.app.state.service
        grants = service.keys.of(given)
        if not grants:
            raise _refusal("this API key is not known here")
        note(request, key=next((one.name for one in grants if one.name), _short(given)))
        _check_rate(request, given, service.keys.rate_of(grants), service.rates)
        enough = [one for one in grants if one.reaches(level)]
        if not enough:
            best = max((one.may for one in grants), key=list(_MAY).index)
            reason = f"this key may {_MAY[best]}; for this a key that may {_MAY[level]} is needed"
            raise HTTPException(403, reason)
        request.state.key, request.state.grants = given, enough

    return key_needed


def _check_rate(request: Request, key: str, rate: Rate | None, rates: Rates) -> None:
    """Raise HTTPException where ``key`` has sent too many requests; let the reply say how many are left."""
    if rate is None:
        return
    taken = rates.take(key, rate)
    request.state.rate_headers = taken.headers
    if not taken.allowed:
        note(request, rejected="rate")
        reason = f"this key may send {rate.per_second:g} requests a second, {rate.burst} at once"
        raise HTTPException(429, f"{reason}; the next one in {taken.wait:.3g} s", taken.headers)


def _refusal(detail: str) -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})
