"""LlamaIndex: a retriever, a reranker and embeddings, by a server or a bundle in this process.

::

    retriever, rerank = LurcherRetriever(docs, top_k=20), LurcherRerank(client=docs, top_n=5)
    engine = RetrieverQueryEngine.from_args(retriever, node_postprocessors=[rerank])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import (
    MetadataMode,
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)

from lurcher.errors import FieldError
from lurcher.integrations.calls import OURS, Calls, metadata_of
from lurcher.retrieval.results import SearchResult

__all__ = ["LurcherEmbedding", "LurcherRerank", "LurcherRetriever"]

# What a model should not read as if it were the passage's text.
_FOR_PROGRAMS = [name for name in OURS if name not in ("title", "section")]


class LurcherRetriever(BaseRetriever):
    """Finds passages; each comes as a text node, with what a citation needs in its metadata.

    ``client`` is what `lurcher.open` or `lurcher.Client` returned; ``async_client``, a `lurcher.AsyncClient`,
    answers ``aretrieve`` without a thread. ``options`` are those of a search (filter, rank, fold and so on).
    """

    def __init__(
        self, client: Any = None, *, async_client: Any = None, top_k: int = 10,
        options: Mapping[str, Any] | None = None, **others: Any,
    ) -> None:  # fmt: skip
        self._calls = Calls(client, async_client)
        self._top_k, self._search_with = top_k, dict(options or {})
        super().__init__(**others)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        query = query_bundle.query_str
        return _nodes(self._calls.search(query, self._top_k, self._search_with))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        query = query_bundle.query_str
        return _nodes(await self._calls.asearch(query, self._top_k, self._search_with))


class LurcherRerank(BaseNodePostprocessor):
    """Puts nodes, whoever found them, into the order of late interaction, and keeps the best ``top_n``.

    The clients are those of ``LurcherRetriever``.
    """

    client: Any = Field(default=None, exclude=True)
    async_client: Any = Field(default=None, exclude=True)
    top_n: int = 10
    _calls: Calls = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Check the clients. Raises FieldError."""
        super().model_post_init(context)
        self._calls = Calls(self.client, self.async_client)

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex stores."""
        return "LurcherRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not nodes:
            return []
        query, texts = _asked(nodes, query_bundle)
        return self._best(nodes, self._calls.rerank(query, texts))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not nodes:
            return []
        query, texts = _asked(nodes, query_bundle)
        return self._best(nodes, await self._calls.arerank(query, texts))

    def _best(self, nodes: Sequence[NodeWithScore], scores: list[float]) -> list[NodeWithScore]:
        scored = [
            NodeWithScore(node=one.node, score=score)
            for one, score in zip(nodes, scores, strict=True)
        ]
        return sorted(scored, key=lambda one: -(one.score or 0.0))[: self.top_n]


class LurcherEmbedding(BaseEmbedding):
    """Vectors of the encoder that a bundle was built with: those that its searches compare.

    The clients are those of ``LurcherRetriever``.
    """

    client: Any = Field(default=None, exclude=True)
    async_client: Any = Field(default=None, exclude=True)
    model_name: str = "lurcher"
    embed_batch_size: int = 64
    _calls: Calls = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Check the clients. Raises FieldError."""
        super().model_post_init(context)
        self._calls = Calls(self.client, self.async_client)

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex stores."""
        return "LurcherEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._calls.embed([query], "query")[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return (await self._calls.aembed([query], "query"))[0]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._calls.embed([text], "passage")[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._calls.aembed([text], "passage"))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._calls.embed(texts, "passage")

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await self._calls.aembed(texts, "passage")


def _asked(
    nodes: Sequence[NodeWithScore], query_bundle: QueryBundle | None
) -> tuple[str, list[str]]:
    """Return the query, and what is compared with it: each text, with the metadata meant for encoders."""
    if query_bundle is None:
        raise FieldError("query_bundle", "nodes are ranked for a query; there is none")
    texts = [one.node.get_content(metadata_mode=MetadataMode.EMBED) for one in nodes]
    return query_bundle.query_str, texts


def _nodes(found: SearchResult) -> list[NodeWithScore]:
    return [
        NodeWithScore(
            node=TextNode(
                id_=hit.id, text=hit.text, metadata=metadata_of(hit),
                start_char_idx=hit.passage.start, end_char_idx=hit.passage.end,
                relationships={
                    NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.passage.document)
                },
                excluded_embed_metadata_keys=_FOR_PROGRAMS, excluded_llm_metadata_keys=_FOR_PROGRAMS,
            ),
            score=hit.score,
        )
        for hit in found.hits
    ]  # fmt: skip
