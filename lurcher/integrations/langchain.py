"""LangChain: a retriever and embeddings, by a server or a bundle in this process.

::

    retriever = LurcherRetriever(client=lurcher.open("docs.lurcher"), top_k=5)
    retriever.invoke("how does bread rise", filter={"lang": "en"})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun as AsyncManager
from langchain_core.callbacks import CallbackManagerForRetrieverRun as Manager
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from pydantic import Field, PrivateAttr

from lurcher.integrations.calls import Calls, metadata_of
from lurcher.retrieval.results import SearchResult

__all__ = ["LurcherEmbeddings", "LurcherRetriever"]


class LurcherRetriever(BaseRetriever):
    """Finds passages; each comes as a document, with what a citation needs in its metadata.

    ``client`` is what `lurcher.open` or `lurcher.Client` returned; ``async_client``, a `lurcher.AsyncClient`,
    answers ``ainvoke`` without a thread. ``options`` are those of a search (filter, rank, fold and so on); a
    call may give ``top_k`` and options of its own.
    """

    client: Any = Field(default=None, exclude=True)
    async_client: Any = Field(default=None, exclude=True)
    top_k: int = 10
    options: dict[str, Any] = Field(default_factory=dict)
    _calls: Calls = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Check the clients. Raises FieldError."""
        super().model_post_init(context)
        self._calls = Calls(self.client, self.async_client)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: Manager,  # noqa: ARG002 (LangChain passes it by name)
        **changes: Any,
    ) -> list[Document]:
        return _documents(self._calls.search(query, *self._how(changes)))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncManager,  # noqa: ARG002 (LangChain passes it by name)
        **changes: Any,
    ) -> list[Document]:
        return _documents(await self._calls.asearch(query, *self._how(changes)))

    def _how(self, changes: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        options = {**self.options, **changes}
        return options.pop("top_k", self.top_k), options


class LurcherEmbeddings(Embeddings):
    """Vectors of the encoder that a bundle was built with: those that its searches compare.

    The arguments are those of ``LurcherRetriever``.
    """

    def __init__(self, client: Any = None, *, async_client: Any = None) -> None:
        self._calls = Calls(client, async_client)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of ``texts`` as passages."""
        return self._calls.embed(texts, "passage")

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of ``text`` as a query."""
        return self._calls.embed([text], "query")[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of ``texts`` as passages."""
        return await self._calls.aembed(texts, "passage")

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of ``text`` as a query."""
        return (await self._calls.aembed([text], "query"))[0]


def _documents(found: SearchResult) -> list[Document]:
    return [
        Document(page_content=hit.text, id=hit.id, metadata=metadata_of(hit)) for hit in found.hits
    ]
