"""`lurcher.AsyncClient`: as `lurcher.Client`, for programs with an event loop."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack

from lurcher.client import feedback, paging, steps
from lurcher.client.connection import Target, httpx_module
from lurcher.client.feedback import GivenFeedback, Pair
from lurcher.client.steps import Request, Steps
from lurcher.client.tries import Tries
from lurcher.errors import VersionMismatch

if TYPE_CHECKING:
    from lurcher.bundle.facets import Facet
    from lurcher.bundle.passages import Passage
    from lurcher.bundle.vectors import Vectors
    from lurcher.collection import SearchOptions
    from lurcher.retrieval.results import RerankResult, SearchResult
    from lurcher.server.schemas.bundle import BundleReply
    from lurcher.server.schemas.feedback import FeedbackCounts

_Result = TypeVar("_Result")


class AsyncClient:
    """A server at a URL, as `Client`. Close it, or use it in an `async with` block."""

    def __init__(
        self, url: str, key: str | None = None, *, collection: str | None = None,
        timeout: float = 30.0, retries: int = 2, transport: Any = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        """Ask ``collection``, or the server's default.

        ``transport`` is httpx's, for a proxy or another connection than TCP.
        """
        self._target = Target(url, key, timeout, retries, collection)
        self._httpx = httpx_module()
        self._connection = self._httpx.AsyncClient(transport=transport)
        self._sleep = sleep

    @property
    def url(self) -> str:
        """The server's address."""
        return self._target.url

    def within(self, seconds: float) -> Self:
        """Return a client over the same connection whose calls have so many seconds."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._target = replace(self._target, timeout=seconds)
        return other

    async def search(
        self, query: str, top_k: int = 10, **options: Unpack[SearchOptions]
    ) -> SearchResult:
        """Return the passages nearest to ``query``, best first, at most ``top_k`` of them."""
        return await self._run(steps.search(query, top_k, options))

    async def search_many(
        self, queries: Sequence[str], top_k: int = 10, **options: Unpack[SearchOptions]
    ) -> list[SearchResult]:
        """Return the result of each of ``queries``, in order, in batches that the server allows."""
        return await self._run(steps.search_many(queries, top_k, options))

    async def answer(
        self, question: str, top_k: int = 3, *, read_depth: int = 10, min_score: float | None = None,
        write: bool = False, **options: Unpack[SearchOptions],
    ) -> SearchResult:  # fmt: skip
        """Return at most ``top_k`` answers to ``question``; a server sends no hits with them."""
        return await self._run(steps.answer(question, top_k, read_depth, min_score, write, options))

    async def rerank(
        self, query: str, documents: Sequence[str] | None = None, *,
        passages: Sequence[str] | None = None, max_tokens: int | None = None,
    ) -> RerankResult:  # fmt: skip
        """Return the scores of ``documents`` (texts) or ``passages`` (ids), in the order given."""
        return await self._run(steps.rerank(query, documents, passages, max_tokens))

    async def embed(
        self, texts: Sequence[str], side: Literal["query", "passage"] = "query"
    ) -> Vectors:
        """Return the vectors (n, d) float32 of ``texts``, encoded as queries or as passages are."""
        return await self._run(steps.embed(texts, side))

    async def of_document(self, id_: str) -> list[Passage]:
        """Return the passages of the document with that id, in the order of its text."""
        return await self._run(steps.of_document(id_))

    async def get_passage(self, id_: str) -> Passage:
        """Return the passage with that id."""
        return await self._run(paging.get(id_))

    async def list_passages(
        self, filter: Mapping[str, Any] | str | None = None
    ) -> AsyncIterator[Passage]:
        """Give all passages that meet ``filter``, in the order of their ids, as many as needed at a time."""
        cursor: str | None = None
        while True:
            passages, cursor = await self._run(paging.page(filter, cursor))
            for one in passages:
                yield one
            if cursor is None:
                return

    async def list_documents(
        self, filter: Mapping[str, Any] | str | None = None
    ) -> AsyncIterator[str]:
        """Give the id of each document of which a passage meets ``filter``, once."""
        seen = set[str]()
        async for passage in self.list_passages(filter):
            if passage.document not in seen:
                seen.add(passage.document)
                yield passage.document

    async def facets(
        self, fields: Sequence[str], filter: Mapping[str, Any] | str | None = None, limit: int = 10
    ) -> dict[str, Facet]:
        """Return the ``limit`` most frequent values of each of ``fields`` where ``filter`` is met."""
        return await self._run(paging.facets(fields, filter, limit))

    async def give_feedback(
        self, pairs: Sequence[Pair], *, key: str | None = None
    ) -> GivenFeedback:
        """Tell which passages answered which queries: (query, passage's id) or with a weight as well.

        With the same ``key`` (None: a new one) the same pairs count once, however often they are given.
        """
        return await self._run(feedback.give(pairs, key))

    async def remove_feedback(
        self, keys: Sequence[str] = (), *, before: str | float | None = None
    ) -> int:
        """Return how many judgements no longer count: those given with ``keys``, or ``before`` a time."""
        return await self._run(feedback.remove(keys, before))

    async def count_feedback(self) -> FeedbackCounts:
        """Return the counts of feedback that is not in the bundle."""
        return await self._run(feedback.count())

    async def about(self) -> BundleReply:
        """Return what the server says of its bundle: encoder, measured figures, limits."""
        return await self._run(steps.about())

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        await self.close()

    async def _run(self, of: Steps[_Result]) -> _Result:
        """Return the result of the steps ``of`` a call."""
        deadline = time.monotonic() + self._target.timeout
        try:
            request = next(of)
            while True:
                request = of.send(await self._send(request, deadline))
        except StopIteration as done:
            result: _Result = done.value
            return result
        except VersionMismatch as error:
            raise self._target.explained(error, await self._openapi()) from error

    async def _send(self, request: Request, deadline: float) -> bytes:
        tries = Tries(self._target, self._httpx, request, deadline)
        while True:
            try:
                reply = await self._connection.request(**tries.arguments())
            except self._httpx.TransportError as error:
                pause = tries.after_error(error)
            else:
                if reply.is_success:
                    content: bytes = reply.content
                    return content
                pause = tries.after_reply(reply)
            await self._sleep(pause)

    async def _openapi(self) -> dict[str, Any] | None:
        """Return what the server says of itself, None where it says nothing."""
        try:
            reply = await self._connection.request(
                **self._target.arguments(Request("/openapi.json"), 1.0)
            )
            found = json.loads(reply.content)
        except (self._httpx.HTTPError, ValueError):
            return None
        return found if isinstance(found, dict) else None
