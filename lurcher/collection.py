"""A bundle in this process: search, rerank, answer and embed without a server.

Every text, filter and option means what it means over HTTP, and scores are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, Unpack, get_args

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.facets import Facet, facet
from lurcher.bundle.manifest import Manifest
from lurcher.bundle.passages import Passage
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError, LurcherError
from lurcher.models.engines import EngineName
from lurcher.retrieval.capabilities import NO_READER, NO_T5
from lurcher.retrieval.checks import (
    check_choice,
    check_count,
    check_share,
    check_unicode,
    rows_of,
)
from lurcher.retrieval.filters import parse_filter
from lurcher.retrieval.query import (
    Extra,
    GroupBy,
    NeighbourMode,
    Query,
    QuerySyntax,
    RankMode,
    ReadOptions,
    RetrieveMode,
    check_candidates,
    check_text,
)
from lurcher.retrieval.rerank import Document, RerankRequest
from lurcher.retrieval.results import RerankResult, SearchResult
from lurcher.retrieval.snapshot import Snapshot
from lurcher.text import lone_surrogate
from lurcher.threads import thread_count


class SearchOptions(TypedDict, total=False):
    """What a search may say besides its query.

    ``filter`` has conditions on metadata, as a dict or as JSON. ``retrieve`` says whether vectors
    (``dense``), words (``lexical``) or both (``hybrid``) find candidates. With ``query_syntax`` "phrase",
    hits have what the query has in quotes. ``candidates`` of the first stage are ranked by ``rank``. The
    ``offset`` best hits are left out; with the same ``candidates``, pages are parts of one order.
    ``neighbours`` says whether and how known queries count, and ``dense_weight`` (lambda) what a passage's
    own score counts beside them. ``include`` asks for explanations of the hits. ``fold`` shows one of all
    passages with nearly the same text, ``group_by`` the best passage of each document.
    """

    filter: Mapping[str, Any] | str | None
    retrieve: RetrieveMode
    query_syntax: QuerySyntax
    rank: RankMode
    candidates: int | None
    offset: int
    neighbours: NeighbourMode
    dense_weight: float | None
    include: Iterable[Extra]
    fold: bool
    group_by: GroupBy | None


# Queries that go through the stages together.
_BATCH = 64


def open_collection(
    path: str | Path, *, threads: int | None = None, engine: EngineName = "auto",
    check_hashes: bool = True,
) -> Collection:  # fmt: skip
    """The bundle at ``path``, ready to answer.

    ``threads`` None takes all cores that the process may use. ``check_hashes`` False trusts the disk. Raises
    BundleError or ModelError.
    """
    bundle = Bundle.open(Path(path), check_hashes)
    return Collection(Snapshot(bundle, thread_count(threads), engine))


class Collection:
    """An opened bundle; safe to call from several threads. Close it, or use it in a `with` block."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot, self._lock = snapshot, Lock()
        self.passages = PassageView(snapshot.bundle.passages)

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself: encoder, settings, measured figures."""
        return self._snapshot.bundle.manifest

    def search(self, query: str, top_k: int = 10, **options: Unpack[SearchOptions]) -> SearchResult:
        """The passages nearest to ``query``, best first, at most ``top_k`` of them.

        Raises FieldError for an option that cannot be used, naming it.
        """
        (result,) = self.search_many([query], top_k, **options)
        return result

    def search_many(
        self, queries: Sequence[str], top_k: int = 10, **options: Unpack[SearchOptions]
    ) -> list[SearchResult]:
        """The result of each of ``queries``, in order; as ``search``."""
        for i, text in enumerate(queries):
            _check_query("query" if len(queries) == 1 else f"queries.{i}", text)
        template = self._query("top_k", top_k, options)
        return self._run([replace(template, text=text) for text in queries])

    def answer(
        self, question: str, top_k: int = 3, *, read_depth: int = 10, min_score: float | None = None,
        write: bool = False, **options: Unpack[SearchOptions],
    ) -> SearchResult:  # fmt: skip
        """The hits of ``question`` with at most ``top_k`` answers from the first ``read_depth`` of them.

        An answer has a probability of at least ``min_score`` (None: the reader's threshold). ``write`` lets
        the bundle's T5 write one as well. Raises FieldError, also where the bundle has no reader.
        """
        _check_query("question", question)
        capabilities = self._snapshot.capabilities
        if write and not capabilities.t5:
            raise FieldError("write", NO_T5)
        if not capabilities.reader and not write:
            raise FieldError("question", NO_READER)
        query = self._query("read_depth", read_depth, options)
        check_count("top_k", top_k)
        if min_score is not None:
            check_share("min_score", min_score)
        read = ReadOptions(top_k, min_score, write)
        (result,) = self._run([replace(query, text=question, read=read)])
        return result

    def rerank(
        self, query: str, documents: Sequence[str] | None = None, *,
        passages: Sequence[str] | None = None, max_tokens: int | None = None,
    ) -> RerankResult:  # fmt: skip
        """The scores of ``documents`` (texts) or ``passages`` (ids), one of both, in the order given.

        Documents are cut to ``max_tokens``, None: to what the encoder reads. Raises FieldError.
        """
        _check_query("query", query)
        if (documents is None) == (passages is None):
            raise FieldError("documents", "give either documents or passages")
        check_unicode("documents", documents or [])
        if not (documents or passages):
            raise FieldError("passages" if documents is None else "documents", "there are none")
        if max_tokens is not None:
            check_count("max_tokens", max_tokens)
            if documents is None:
                reason = "is for documents; passages are as the build read them"
                raise FieldError("max_tokens", reason)
        with self._lock:
            cut: list[int] = []
            if documents is None:
                request = RerankRequest(
                    query, rows_of(self._snapshot.bundle.passages, passages or [])
                )
            else:
                encoded = self._snapshot.encode_documents(
                    [Document(text, max_tokens) for text in documents]
                )
                cut = [i for i, one in enumerate(encoded) if one.truncated]
                request = RerankRequest(query, tuple(encoded))
            (scores,) = self._snapshot.rerank([request])
        if isinstance(scores, LurcherError):
            raise scores
        return RerankResult(scores.scores.tolist(), scores.truncated, cut)

    def embed(self, texts: Sequence[str], side: Literal["query", "passage"] = "query") -> Vectors:
        """The vectors (n, d) float32 of ``texts``, encoded as queries or as passages are.

        Raises FieldError.
        """
        check_choice("side", side, ("query", "passage"))
        check_unicode("texts", texts)
        with self._lock:
            if side == "query":
                return self._snapshot.encode_queries(texts)
            return self._snapshot.encode_passages(texts)

    def facets(
        self, fields: Sequence[str], filter: Mapping[str, Any] | str | None = None, limit: int = 10
    ) -> dict[str, Facet]:
        """The ``limit`` most frequent values of each of ``fields`` in the passages that meet ``filter``.

        Raises FieldError.
        """
        check_count("limit", limit)
        tests = parse_filter({} if filter is None else filter)
        with self._lock:
            bundle = self._snapshot.bundle
            allow = bundle.passages.rows(tests) if tests else None
            return {field: facet(bundle, field, allow, limit) for field in fields}

    def close(self) -> None:
        """Close the bundle's files, once no other thread is being answered."""
        with self._lock:
            self._snapshot.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def _query(self, name: str, wanted: int, options: SearchOptions) -> Query:
        """A query without text, that wants so many hits by the argument ``name``. Raises FieldError."""
        check_count(name, wanted)
        _check(options)
        rank, candidates = options.get("rank", "auto"), options.get("candidates")
        if self._snapshot.capabilities.ranks(rank):
            check_candidates(name, wanted, candidates)
        extras = frozenset(options.get("include", ()))
        for part in extras:
            check_choice("include", part, get_args(Extra))
        wanted_filter = options.get("filter")
        return Query(
            "", wanted, parse_filter({} if wanted_filter is None else wanted_filter),
            options.get("neighbours", "auto"), options.get("dense_weight"), rank, candidates,
            extras=extras, fold=options.get("fold", False), group_by=options.get("group_by"),
            retrieve=options.get("retrieve", "auto"), query_syntax=options.get("query_syntax", "plain"),
            offset=options.get("offset", 0),
        )  # fmt: skip

    def _run(self, queries: Sequence[Query]) -> list[SearchResult]:
        found: list[SearchResult] = []
        for start in range(0, len(queries), _BATCH):
            with self._lock:
                results = self._snapshot.run(queries[start : start + _BATCH])
            for result in results:
                if isinstance(result, LurcherError):
                    raise result
                found.append(result)
        return found


def _check(options: SearchOptions) -> None:
    """Raise FieldError for an option that there is not, or a value that it cannot have."""
    for name in options:
        if name not in SearchOptions.__annotations__:
            known = ", ".join(SearchOptions.__annotations__)
            raise FieldError(name, f"there is no such option; there are: {known}")
    check_choice("retrieve", options.get("retrieve", "auto"), get_args(RetrieveMode))
    check_choice("query_syntax", options.get("query_syntax", "plain"), get_args(QuerySyntax))
    check_choice("rank", options.get("rank", "auto"), get_args(RankMode))
    check_choice("neighbours", options.get("neighbours", "auto"), get_args(NeighbourMode))
    group_by = options.get("group_by")
    if group_by is not None:
        check_choice("group_by", group_by, get_args(GroupBy))
    candidates, weight = options.get("candidates"), options.get("dense_weight")
    if candidates is not None:
        check_count("candidates", candidates)
    if (offset := options.get("offset", 0)) < 0:
        raise FieldError("offset", f"must be at least 0, not {offset}")
    if weight is not None:
        check_share("dense_weight", weight)


class PassageView:
    """The passages of a collection, by id."""

    def __init__(self, passages: PassageStore) -> None:
        self._passages = passages

    def __len__(self) -> int:
        """How many there are."""
        return self._passages.count

    @property
    def fields(self) -> list[str]:
        """The metadata fields that a filter may name."""
        return self._passages.fields

    def get(self, ids: Sequence[str]) -> list[Passage]:
        """The passages with ``ids``, in that order. Raises FieldError for an id that no passage has."""
        return self._passages.get(rows_of(self._passages, ids).tolist())

    def of_document(self, document: str) -> list[Passage]:
        """The passages of the document with that id, in the order of its text.

        ``lurcher.bundle.documents.joined`` makes its text of them. Raises FieldError if there is no such.
        """
        found = self._passages.of_document(document)
        if not found:
            raise FieldError("document", f"no document has the id {document!r}")
        return found

    def known(self, ids: Sequence[str]) -> set[str]:
        """Which of ``ids`` are ids of passages, or of documents that were split."""
        return {*self._passages.rows_of(ids), *self._passages.parts(ids)}


def _check_query(field: str, text: str) -> None:
    check_text(field, text)
    if lone_surrogate(text) is not None:
        raise FieldError(field, "is not valid Unicode")
