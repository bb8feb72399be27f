"""Haystack: a retriever for pipelines, by a server or a bundle in this process.

::

    pipeline.add_component("retriever", LurcherRetriever("http://localhost:8080", top_k=5))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.utils import Secret, deserialize_secrets_inplace

import lurcher
from lurcher.errors import FieldError
from lurcher.integrations.calls import Calls, metadata_of
from lurcher.retrieval.results import SearchResult

__all__ = ["LurcherRetriever"]

_RANGES = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


@component
class LurcherRetriever:
    """Finds passages; each comes as a document, with what a citation needs in its metadata.

    ``client`` is a server's URL, a bundle's path, or what `lurcher.open` or `lurcher.Client` returned; a
    pipeline can be stored only with one of the former. ``api_key`` is for a URL. ``async_client``, a
    `lurcher.AsyncClient`, answers ``run_async`` without a thread. ``options`` are those of a search.
    """

    def __init__(
        self, client: Any = None, *, async_client: Any = None, top_k: int = 10,
        options: dict[str, Any] | None = None, api_key: Secret | None = None,
    ) -> None:  # fmt: skip
        self.client, self.async_client, self.api_key = client, async_client, api_key
        self.top_k, self.options = top_k, dict(options or {})
        self._calls: Calls | None = None
        if not isinstance(client, str):
            self.warm_up()

    def warm_up(self) -> None:
        """Open the bundle, or the connection to the server, once. Raises LurcherError."""
        if self._calls is None:
            self._calls = Calls(self._opened(), self.async_client)

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return the ``documents`` of ``query``, best first. Raises LurcherError."""
        self.warm_up()
        assert self._calls is not None  # noqa: S101 (warm_up has just made it)
        return _documents(self._calls.search(query, top_k or self.top_k, self._how(filters)))

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return the ``documents`` of ``query``, best first. Raises LurcherError."""
        self.warm_up()
        assert self._calls is not None  # noqa: S101 (warm_up has just made it)
        found = await self._calls.asearch(query, top_k or self.top_k, self._how(filters))
        return _documents(found)

    def to_dict(self) -> dict[str, Any]:
        """Return what makes the same component again. Raises FieldError if a client is open."""
        if not isinstance(self.client, str) or self.async_client is not None:
            reason = "an open client cannot be stored; give the URL or the path"
            raise FieldError("client", reason)
        made: dict[str, Any] = default_to_dict(
            self, client=self.client, top_k=self.top_k, options=self.options,
            api_key=None if self.api_key is None else self.api_key.to_dict(),
        )  # fmt: skip
        return made

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LurcherRetriever:
        """Return the component that ``to_dict`` described."""
        deserialize_secrets_inplace(data["init_parameters"], keys=["api_key"])
        made: LurcherRetriever = default_from_dict(cls, data)
        return made

    def _opened(self) -> Any:
        if not isinstance(self.client, str):
            return self.client
        if not self.client.startswith(("http://", "https://")):
            return lurcher.open(self.client)
        key = None if self.api_key is None else self.api_key.resolve_value()
        return lurcher.Client(self.client, key)

    def _how(self, filters: Mapping[str, Any] | None) -> dict[str, Any]:
        return self.options if not filters else {**self.options, "filter": lurcher_filter(filters)}


def lurcher_filter(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return Haystack's ``filters`` as conditions of a search.

    Raises FieldError for operators that a search does not have: OR, NOT, != and "not in".
    """
    if "conditions" not in filters:
        name, operator = str(filters.get("field")).removeprefix("meta."), filters.get("operator")
        if operator == "==":
            return {name: filters.get("value")}
        if operator == "in":
            return {name: {"in": filters.get("value")}}
        if operator in _RANGES:
            return {name: {_RANGES[operator]: filters.get("value")}}
        every = ", ".join(["==", "in", *_RANGES])
        raise FieldError("filters", f"operator {operator!r}: a search has {every}")
    if filters.get("operator") != "AND":
        reason = f"operator {filters.get('operator')!r}: a search has AND alone"
        raise FieldError("filters", reason)
    merged: dict[str, Any] = {}
    for condition in filters["conditions"]:
        for name, test in lurcher_filter(condition).items():
            both = isinstance(test, dict) and isinstance(merged.get(name), dict)
            if name in merged and not (both and not test.keys() & merged[name].keys()):
                raise FieldError("filters", f"{name!r} has two conditions that cannot be joined")
            merged[name] = merged[name] | test if name in merged else test
    return merged


def _documents(found: SearchResult) -> dict[str, list[Document]]:
    documents = [
        Document(id=hit.id, content=hit.text, meta=metadata_of(hit), score=hit.score)
        for hit in found.hits
    ]
    return {"documents": documents}
