"""API keys: who may search and who may give feedback and write passages.

The settings contain hashes of keys, so that whoever reads the settings cannot use the keys. A key is 256
random bits, which nobody can guess, so a plain SHA-256 is enough.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from lurcher.server.admission import Caller
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


def to_search(settings: Settings) -> list[Any]:
    """Return the dependencies of routes that read: any key, if there are read keys."""
    if not settings.read_keys:
        return []
    return [Depends(_demand([*settings.read_keys, *settings.write_keys], []))]


def to_write(settings: Settings) -> list[Any]:
    """Return the dependencies of routes that change something: a write key, if there are write keys."""
    if not settings.write_keys:
        return []
    return [Depends(_demand(settings.write_keys, settings.read_keys))]


def client_of(request: Request) -> str:
    """Return who sent ``request``: the start of its key's hash, or the address it came from."""
    key: str | None = getattr(request.state, "key", None)
    if key is not None:
        return f"key:{key.removeprefix('sha256:')[:16]}"
    return f"address:{_address(request.client.host if request.client else '')}"


def _address(host: str) -> str:
    """Return ``host`` if it is an IP address: a proxy's word for it (X-Forwarded-For) may be anything."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return "unknown"


def caller_of(request: Request) -> Caller:
    """Return whose ``request`` it is."""
    return Caller(client_of(request), request.is_disconnected)


def _demand(allowed: Sequence[str], known: Sequence[str]) -> Callable[..., Any]:
    """Return a dependency that accepts ``allowed`` keys; ``known`` ones get 403, others 401."""

    # Async, because FastAPI would run a plain function in a thread.
    async def key_needed(request: Request, bearer: _Bearer, header: _Header) -> None:
        presented = bearer.credentials if bearer else header
        if presented is None:
            raise _refusal("this needs an API key: Authorization: Bearer KEY, or X-API-Key: KEY")
        given = key_hash(presented)
        if _among(given, allowed):
            request.state.key = given
        elif _among(given, known):
            raise HTTPException(403, "this key may search; for this a write key is needed")
        else:
            raise _refusal("this API key is not known here")

    return key_needed


def _refusal(detail: str) -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})


def _among(given: str, hashes: Sequence[str]) -> bool:
    """Return whether ``given`` is one of ``hashes``, in constant time."""
    return any([hmac.compare_digest(given, one) for one in hashes])  # noqa: C419 (a generator stops early)
