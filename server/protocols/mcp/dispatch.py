"""From a call to its answer, whatever carried it."""

from __future__ import annotations

from typing import Any

from lurcher.bundle.manifest import lurcher_version
from lurcher.server.protocols.mcp.messages import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
    Call,
    MessageError,
)
from lurcher.server.protocols.mcp.tools import Corpus, call_tool, described_tools

# Revisions that begin with `initialize`, and those whose requests each say their own.
HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
PER_REQUEST = ("2026-07-28",)

# What a request of the latter says in its `_meta`.
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
_SERVER_KEY = "io.modelcontextprotocol/serverInfo"

_INSTRUCTIONS = (
    "Search this corpus before you answer from memory, and cite what you use: each result names its "
    "document and the characters in it."
)


async def answered(call: Call, corpus: Corpus) -> dict[str, Any] | None:
    """Return the message that answers ``call``, None if it wants none. Raises MessageError."""
    if call.id is None:
        return None
    meta = call.params.get("_meta")
    version = meta.get(VERSION_KEY) if isinstance(meta, dict) else None
    if version is None and call.method != "server/discover":
        return call.reply(await _result(call, corpus, ping=True))
    _check_request(version, meta)
    result = await _result(call, corpus, ping=False)
    stamp = {"resultType": "complete", "_meta": {_SERVER_KEY: _server()}}
    cached = {} if call.method == "tools/call" else {"ttlMs": 60_000, "cacheScope": "private"}
    return call.reply({**result, **stamp, **cached})


async def _result(call: Call, corpus: Corpus, *, ping: bool) -> dict[str, Any]:
    """Return what ``call`` asks for; only old revisions ``ping`` and ``initialize``. Raises MessageError."""
    match call.method:
        case "initialize" if ping:
            return _initialised(call.params)
        case "ping" if ping:
            return {}
        case "server/discover":
            return {
                "supportedVersions": [*HANDSHAKE, *PER_REQUEST], "capabilities": {"tools": {}},
                "instructions": _INSTRUCTIONS,
            }  # fmt: skip
        case "tools/list":
            return {"tools": described_tools(corpus)}
        case "tools/call":
            name = call.params.get("name")
            found = await call_tool(corpus, name, call.params.get("arguments"))
            if found is None:
                raise MessageError(INVALID_PARAMS, f"there is no tool {str(name)[:100]!r}")
            return found
    raise MessageError(METHOD_NOT_FOUND, f"there is no method {call.method[:100]!r}")


def _initialised(params: dict[str, Any]) -> dict[str, Any]:
    wanted = params.get("protocolVersion")
    return {
        "protocolVersion": wanted if wanted in HANDSHAKE else HANDSHAKE[-1],
        "capabilities": {"tools": {}}, "serverInfo": _server(), "instructions": _INSTRUCTIONS,
    }  # fmt: skip


def _check_request(version: Any, meta: Any) -> None:
    """Raise MessageError unless a request says what each has to since 2026-07-28."""
    if not isinstance(meta, dict) or version is None or _CAPABILITIES_KEY not in meta:
        reason = f"params._meta: needs {VERSION_KEY} and {_CAPABILITIES_KEY}"
        raise MessageError(INVALID_PARAMS, reason)
    if not isinstance(version, str):
        raise MessageError(INVALID_PARAMS, f"params._meta.{VERSION_KEY}: must be a text")
    if version not in PER_REQUEST:
        supported = {"supported": [*HANDSHAKE, *PER_REQUEST], "requested": version[:100]}
        raise MessageError(UNSUPPORTED_VERSION, "this revision is not spoken here", supported)


def _server() -> dict[str, str]:
    return {"name": "lurcher", "title": "Lurcher", "version": lurcher_version()}
