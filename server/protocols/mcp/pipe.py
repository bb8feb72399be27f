"""The protocol over a pipe: a message a line, from a collection in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, BinaryIO

from lurcher.bundle.passages import Passage
from lurcher.collection import Collection
from lurcher.retrieval.results import SearchResult
from lurcher.server.protocols.mcp.dispatch import answered
from lurcher.server.protocols.mcp.messages import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    Call,
    MessageError,
    read_call,
)

# As much as a server reads of a body.
LONGEST = 1_048_576


async def serve_pipe(
    collection: Collection, messages: BinaryIO, replies: BinaryIO, longest: int = LONGEST
) -> None:
    """Answer each of ``messages`` in ``replies`` until they end, one after the other."""
    corpus = _Opened(collection)
    while line := await asyncio.to_thread(messages.readline, longest + 1):
        if len(line) > longest and not line.endswith(b"\n"):
            await asyncio.to_thread(_skip_line, messages, longest)
            reason = f"a message is longer than {longest} bytes"
            reply: dict[str, Any] | None = MessageError(INVALID_REQUEST, reason).reply(None)
        elif not line.strip():
            continue
        else:
            reply = await _answer(line, corpus)
        if reply is not None:
            replies.write(json.dumps(reply).encode() + b"\n")
            replies.flush()


async def _answer(line: bytes, corpus: _Opened) -> dict[str, Any] | None:
    call: Call | None = None
    try:
        call = read_call(line)
        return None if call is None else await answered(call, corpus)
    except MessageError as error:
        return error.reply(None if call is None else call.id)
    # Any error: who is at the other end would wait for ever.
    except Exception as error:
        failed = MessageError(INTERNAL_ERROR, f"the tool failed: {type(error).__name__}")
        return failed.reply(None if call is None else call.id)


def _skip_line(messages: BinaryIO, longest: int) -> None:
    """Read to the end of the line without holding it."""
    while (part := messages.readline(longest)) and not part.endswith(b"\n"):
        pass


class _Opened:
    """A collection, asked in a thread."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    @property
    def answers(self) -> bool:
        return self._collection.manifest.reader is not None

    async def search(self, query: str, top_k: int, conditions: Mapping[str, Any]) -> SearchResult:
        return await asyncio.to_thread(
            self._collection.search, query, top_k, filter=conditions, fold=True
        )

    async def answer(self, question: str, top_k: int) -> SearchResult:
        return await asyncio.to_thread(self._collection.answer, question, top_k)

    async def passage(self, id_: str) -> Passage:
        (found,) = await asyncio.to_thread(self._collection.passages.get, [id_])
        return found
