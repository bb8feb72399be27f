"""What each call sends, and what it makes of the replies; who drives them owns the connection.

Each function here is a generator: it yields requests, is sent the body of each one's reply, and returns the
result.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args
from urllib.parse import quote

from lurcher.client.replies import (
    answered,
    bundle,
    document_passages,
    found,
    found_many,
    most_texts,
    scored,
    vectors,
)
from lurcher.errors import FieldError, VersionMismatch

if TYPE_CHECKING:
    from lurcher.bundle.passages import Passage
    from lurcher.bundle.vectors import Vectors
    from lurcher.collection import SearchOptions
    from lurcher.retrieval.results import RerankResult, SearchResult
    from lurcher.server.schemas.bundle import BundleReply

Result = TypeVar("Result")

# Queries of one request, and texts: a server's batch, so that others get in between.
BATCH = 64
_NEIGHBOUR_OPTIONS = ("neighbours", "dense_weight")
_ALWAYS = ["text", "metadata", "scores"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a server.

    ``method`` "" is POST with a ``body``, else GET. The body of a request that is ``timed`` says how long the
    server has. A request of a ``key`` is done once, however often it is sent.
    """

    path: str
    body: dict[str, Any] | None = None
    method: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    key: str = ""
    timed: bool = True


Steps = Generator[Request, bytes, Result]


def search(query: str, top_k: int, options: SearchOptions) -> Steps[SearchResult]:
    """Return the result of one search."""
    reply = yield Request("/v1/search", {"query": query, "top_k": top_k, **_options(options)})
    return found(reply)


def search_many(
    queries: Sequence[str], top_k: int, options: SearchOptions
) -> Steps[list[SearchResult]]:
    """Return the result of each of ``queries``, asked for in batches that the server's limits allow."""
    if not queries:
        return []
    limits = bundle((yield Request("/v1/bundle"))).limits
    for name in ("ranked", "queries", "hits"):
        if name not in limits:
            raise VersionMismatch(f"limits.{name}: the server does not say it")
    ranked = limits["ranked"] // max(top_k, options.get("candidates") or 100)
    step = max(1, min(BATCH, limits["queries"], limits["hits"] // max(1, top_k), ranked))
    results: list[SearchResult] = []
    for first in range(0, len(queries), step):
        some = list(queries[first : first + step])
        reply = yield Request(
            "/v1/search/batch", {"queries": some, "top_k": top_k, **_options(options)}
        )
        results += found_many(reply, some, first)
    return results


def answer(
    question: str, top_k: int, read_depth: int, min_score: float | None, write: bool,
    options: SearchOptions,
) -> Steps[SearchResult]:  # fmt: skip
    """Return the answers to one question."""
    sent = _options(options)
    for name in ("fold", "group_by"):
        if sent.pop(name, None):
            raise FieldError(name, "a server does not take it for an answer")
    if sent.pop("include") != _ALWAYS:
        raise FieldError("include", "a server explains the hits of a search, none of an answer")
    body = {
        "query": question, "top_k": top_k, "read_depth": read_depth, "min_score": min_score,
        "write": write, "include": ["passage"], **sent,
    }  # fmt: skip
    return answered((yield Request("/v1/answer", body)))


def rerank(
    query: str, documents: Sequence[str] | None, passages: Sequence[str] | None,
    max_tokens: int | None,
) -> Steps[RerankResult]:  # fmt: skip
    """Return the scores of ``documents`` or ``passages``, in the order given."""
    body = {
        "query": query, "documents": None if documents is None else list(documents),
        "passages": None if passages is None else list(passages), "max_tokens_per_doc": max_tokens,
    }  # fmt: skip
    return scored((yield Request("/v1/rerank", body)))


def embed(texts: Sequence[str], side: Literal["query", "passage"]) -> Steps[Vectors]:
    """Return the vectors of ``texts``."""
    if side not in ("query", "passage"):
        raise FieldError("side", f"{side!r}: must be one of query, passage")
    parts: list[bytes] = []
    step = BATCH if len(texts) < 2 else min(BATCH, most_texts((yield Request("/info"))))
    for first in range(0, len(texts), step):
        body = {
            "texts": list(texts[first : first + step]), "embedding_types": ["base64"],
            "input_type": "search_query" if side == "query" else "search_document",
        }  # fmt: skip
        parts.append((yield Request("/v2/embed", body)))
    return vectors(parts, len(texts))


def about() -> Steps[BundleReply]:
    """Return what the server says of its bundle."""
    return bundle((yield Request("/v1/bundle")))


def of_document(id_: str) -> Steps[list[Passage]]:
    """Return the passages of a document."""
    return document_passages((yield Request(f"/v1/documents/{quote(id_, safe='')}")))


def _options(options: SearchOptions) -> dict[str, Any]:
    """Return ``options`` as a request has them. Raises FieldError for one that there is not."""
    from lurcher.retrieval.query import Extra

    known = {
        "filter",
        "retrieve",
        "query_syntax",
        "rank",
        "candidates",
        "offset",
        "include",
        "fold",
        "group_by",
    }
    for name in options:
        if name not in known and name not in _NEIGHBOUR_OPTIONS:
            every = ", ".join(sorted([*known, *_NEIGHBOUR_OPTIONS]))
            raise FieldError(name, f"there is no such option; there are: {every}")
    sent = {name: value for name, value in options.items() if name not in _NEIGHBOUR_OPTIONS}
    extras = list(options.get("include", ()))
    for extra in extras:
        if extra not in get_args(Extra):
            raise FieldError("include", f"{extra!r}: must be one of {', '.join(get_args(Extra))}")
    sent["include"] = [*_ALWAYS, *sorted(extras)]
    sent["filter"] = _filter(options.get("filter"))
    mode, weight = options.get("neighbours"), options.get("dense_weight")
    sent["neighbours"] = {"mode": mode, "lambda": weight}
    return sent


def _filter(given: Mapping[str, Any] | str | None) -> Mapping[str, Any] | None:
    if not isinstance(given, str):
        return given
    try:
        read = json.loads(given)
    except ValueError as error:
        raise FieldError("filter", f"not JSON: {error}") from error
    if not isinstance(read, dict):
        raise FieldError("filter", "must be an object")
    return read
