"""What all integrations share: which client answers a call, and what a hit says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Literal

from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError
from lurcher.retrieval.results import Hit, RerankResult, SearchResult

# What `metadata_of` adds to a passage's own metadata.
OURS = ("id", "title", "section", "document", "start", "end", "anchor", "url", "score", "scores")


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls to a ``client``, which `lurcher.open` or `lurcher.Client` gave.

    Those with an ``a`` in front go to ``async_client``, a `lurcher.AsyncClient`, or to a thread.
    """

    client: Any = None
    async_client: Any = None

    def __post_init__(self) -> None:
        if self.client is None and self.async_client is None:
            raise FieldError("client", "give what lurcher.open or lurcher.Client returned")
        if iscoroutinefunction(getattr(self.client, "search", None)):
            raise FieldError("client", "is asynchronous; pass it as async_client")
        if self.async_client is not None and not iscoroutinefunction(self.async_client.search):
            raise FieldError("async_client", "must be a lurcher.AsyncClient")

    def search(self, query: str, top_k: int, options: Mapping[str, Any]) -> SearchResult:
        """Return the hits of ``query``."""
        result: SearchResult = self._here().search(query, top_k, **options)
        return result

    async def asearch(self, query: str, top_k: int, options: Mapping[str, Any]) -> SearchResult:
        """Return the hits of ``query``."""
        if self.async_client is None:
            return await asyncio.to_thread(self.search, query, top_k, options)
        result: SearchResult = await self.async_client.search(query, top_k, **options)
        return result

    def embed(self, texts: Sequence[str], side: Literal["query", "passage"]) -> list[list[float]]:
        """Return the vector of each text."""
        return _lists(self._here().embed(texts, side))

    async def aembed(
        self, texts: Sequence[str], side: Literal["query", "passage"]
    ) -> list[list[float]]:
        """Return the vector of each text."""
        if self.async_client is None:
            return await asyncio.to_thread(self.embed, texts, side)
        return _lists(await self.async_client.embed(texts, side))

    def rerank(self, query: str, documents: Sequence[str]) -> list[float]:
        """Return the score of each document."""
        result: RerankResult = self._here().rerank(query, documents)
        return result.scores

    async def arerank(self, query: str, documents: Sequence[str]) -> list[float]:
        """Return the score of each document."""
        if self.async_client is None:
            return await asyncio.to_thread(self.rerank, query, documents)
        result: RerankResult = await self.async_client.rerank(query, documents)
        return result.scores

    def _here(self) -> Any:
        if self.client is None:
            reason = "there is only an async_client, which cannot answer a call that does not await"
            raise FieldError("client", reason)
        return self.client


def _lists(vectors: Vectors) -> list[list[float]]:
    found: list[list[float]] = vectors.tolist()
    return found


def metadata_of(hit: Hit) -> dict[str, Any]:
    """Return the passage's metadata, and beside it what a citation needs (``OURS``).

    ``start`` and ``end`` are the passage's place in its document, in code points. A field of the passage's
    own that has the name of one of ours is called ``passage_NAME``.
    """
    passage = hit.passage
    ours: dict[str, Any] = {
        "id": passage.id, "title": passage.title, "section": list(passage.section),
        "document": passage.document, "start": passage.start, "end": passage.end,
        "anchor": passage.anchor, "url": passage.url, "score": hit.score, "scores": dict(hit.scores),
    }  # fmt: skip
    own = {name: value for name, value in passage.metadata.items() if name not in ours}
    for name in passage.metadata.keys() & ours.keys():
        renamed = f"passage_{name}"
        while renamed in passage.metadata:
            renamed = f"passage_{renamed}"
        own[renamed] = passage.metadata[name]
    return own | ours
