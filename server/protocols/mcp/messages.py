"""Messages of JSON-RPC 2.0, as the Model Context Protocol uses it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND = -32700, -32600, -32601
INVALID_PARAMS, INTERNAL_ERROR = -32602, -32603
# The protocol's own.
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022

# HTTP statuses of errors that are the message's own; others are 200.
STATUS = {
    PARSE_ERROR: 400, INVALID_REQUEST: 400, INVALID_PARAMS: 400, HEADER_MISMATCH: 400,
    UNSUPPORTED_VERSION: 400, METHOD_NOT_FOUND: 404,
}  # fmt: skip

Id = str | int | None


class MessageError(Exception):
    """A message that cannot be answered as asked, by its code and text; ``data`` says more to programs."""

    def __init__(self, code: int, text: str, data: Any = None) -> None:
        self.code, self.data = code, data
        super().__init__(text)

    def reply(self, id_: Id) -> dict[str, Any]:
        """Return the message that tells it to who sent the one with that id."""
        error = {"code": self.code, "message": str(self)}
        if self.data is not None:
            error["data"] = self.data
        return {"jsonrpc": "2.0", "id": id_, "error": error}


@dataclass(frozen=True, slots=True)
class Call:
    """A request; ``id`` is None for a notification, which gets no answer."""

    method: str
    params: dict[str, Any]
    id: Id

    def reply(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return the message that answers it."""
        return {"jsonrpc": "2.0", "id": self.id, "result": result}


def read_call(raw: bytes | str) -> Call | None:
    """Return the call in ``raw``, None for an answer to what nobody here asked. Raises MessageError."""
    try:
        message = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise MessageError(PARSE_ERROR, f"not JSON: {error}"[:200]) from error
    if not isinstance(message, dict):
        raise MessageError(INVALID_REQUEST, "a message is one JSON object; batches are not taken")
    if "method" not in message and ("result" in message or "error" in message):
        return None
    method, params, id_ = message.get("method"), message.get("params"), message.get("id")
    if message.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise MessageError(INVALID_REQUEST, 'needs "jsonrpc": "2.0" and the name of a method')
    if "id" in message and (not isinstance(id_, (str, int)) or isinstance(id_, bool)):
        raise MessageError(INVALID_REQUEST, "id: must be a text or an integer")
    if params is not None and not isinstance(params, dict):
        raise MessageError(INVALID_REQUEST, "params: must be an object")
    return Call(method, params or {}, id_)
