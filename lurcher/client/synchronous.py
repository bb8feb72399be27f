"""`lurcher.Client`: a server, called as a collection in this process is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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


class Client:
    """A server at a URL; safe to call from several threads. Close it, or use it in a `with` block.

    A call gets its answer within ``timeout`` seconds, all ``retries`` included, and the server is told how
    many are left. Tried again is what a server could not take (429, 503, after its ``Retry-After``) and a
    connection that failed: each call only reads. Raises the errors of `lurcher.open`'s collection, and
    ServiceError, AccessRefused or VersionMismatch.
    """

    def __init__(
        self, url: str, key: str | None = None, *, collection: str | None = None,
        timeout: float = 30.0, retries: int = 2, transport: Any = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:  # fmt: skip
        """Ask ``collection``, or the server's default.

        ``transport`` is httpx's, for a proxy or another connection than TCP.
        """
        self._target = Target(url, key, timeout, retries, collection)
        self._httpx = httpx_module()
        self._connection = self._httpx.Client(transport=transport)
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

    def search(self, query: str, top_k: int = 10, **options: Unpack[SearchOptions]) -> SearchResult:
        """Return the passages nearest to ``query``, best first, at most ``top_k`` of them."""
        return self._run(steps.search(query, top_k, options))

    def search_many(
        self, queries: Sequence[str], top_k: int = 10, **options: Unpack[SearchOptions]
    ) -> list[SearchResult]:
        """Return the result of each of ``queries``, in order, in batches that the server allows."""
        return self._run(steps.search_many(queries, top_k, options))

    def answer(
        self, question: str, top_k: int = 3, *, read_depth: int = 10, min_score: float | None = None,
        write: bool = False, **options: Unpack[SearchOptions],
    ) -> SearchResult:  # fmt: skip
        """Return at most ``top_k`` answers to ``question``; a server sends no hits with them."""
        return self._run(steps.answer(question, top_k, read_depth, min_score, write, options))

    def rerank(
        self, query: str, documents: Sequence[str] | None = None, *,
        passages: Sequence[str] | None = None, max_tokens: int | None = None,
    ) -> RerankResult:  # fmt: skip
        """Return the scores of ``documents`` (texts) or ``passages`` (ids), in the order given."""
        return self._run(steps.rerank(query, documents, passages, max_tokens))

    def embed(self, texts: Sequence[str], side: Literal["query", "passage"] = "query") -> Vectors:
        """Return the vectors (n, d) float32 of ``texts``, encoded as queries or as passages are."""
        return self._run(steps.embed(texts, side))

    def of_document(self, id_: str) -> list[Passage]:
        """Return the passages of the document with that id, in the order of its text."""
        return self._run(steps.of_document(id_))

    def get_passage(self, id_: str) -> Passage:
        """Return the passage with that id."""
        return self._run(paging.get(id_))

    def list_passages(self, filter: Mapping[str, Any] | str | None = None) -> Iterator[Passage]:
        """Give all passages that meet ``filter``, in the order of their ids, as many as needed at a time."""
        cursor: str | None = None
        while True:
            passages, cursor = self._run(paging.page(filter, cursor))
            yield from passages
            if cursor is None:
                return

    def list_documents(self, filter: Mapping[str, Any] | str | None = None) -> Iterator[str]:
        """Give the id of each document of which a passage meets ``filter``, once."""
        seen = set[str]()
        for passage in self.list_passages(filter):
            if passage.document not in seen:
                seen.add(passage.document)
                yield passage.document

    def facets(
        self, fields: Sequence[str], filter: Mapping[str, Any] | str | None = None, limit: int = 10
    ) -> dict[str, Facet]:
        """Return the ``limit`` most frequent values of each of ``fields`` where ``filter`` is met."""
        return self._run(paging.facets(fields, filter, limit))

    def give_feedback(self, pairs: Sequence[Pair], *, key: str | None = None) -> GivenFeedback:
        """Tell which passages answered which queries: (query, passage's id) or with a weight as well.

        With the same ``key`` (None: a new one) the same pairs count once, however often they are given.
        """
        return self._run(feedback.give(pairs, key))

    def remove_feedback(
        self, keys: Sequence[str] = (), *, before: str | float | None = None
    ) -> int:
        """Return how many judgements no longer count: those given with ``keys``, or ``before`` a time."""
        return self._run(feedback.remove(keys, before))

    def count_feedback(self) -> FeedbackCounts:
        """Return the counts of feedback that is not in the bundle."""
        return self._run(feedback.count())

    def about(self) -> BundleReply:
        """Return what the server says of its bundle: encoder, measured figures, limits."""
        return self._run(steps.about())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def _run(self, of: Steps[_Result]) -> _Result:
        """Return the result of the steps ``of`` a call."""
        deadline = time.monotonic() + self._target.timeout
        try:
            request = next(of)
            while True:
                request = of.send(self._send(request, deadline))
        except StopIteration as done:
            result: _Result = done.value
            return result
        except VersionMismatch as error:
            raise self._target.explained(error, self._openapi()) from error

    def _send(self, request: Request, deadline: float) -> bytes:
        tries = Tries(self._target, self._httpx, request, deadline)
        while True:
            try:
                reply = self._connection.request(**tries.arguments())
            except self._httpx.TransportError as error:
                pause = tries.after_error(error)
            else:
                if reply.is_success:
                    content: bytes = reply.content
                    return content
                pause = tries.after_reply(reply)
            self._sleep(pause)

    def _openapi(self) -> dict[str, Any] | None:
        """Return what the server says of itself, None where it says nothing."""
        try:
            reply = self._connection.request(
                **self._target.arguments(Request("/openapi.json"), 1.0)
            )
            found = json.loads(reply.content)
        except (self._httpx.HTTPError, ValueError):
            return None
        return found if isinstance(found, dict) else None
