"""One batch of queries through the stages: encode, search, fetch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter

import faiss
import numpy as np

from bundle.bundle import Bundle
from bundle.passages import Condition, Passage, Rows
from bundle.vectors import Vectors
from models.engines import EngineName
from models.errors import LurcherError
from models.threads import available_cpus


@dataclass(frozen=True, slots=True)
class Query:
    """What one search asks."""

    text: str
    top_k: int = 10
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """One passage found, with its inner product with the query."""

    passage: Passage
    dense: float


@dataclass(frozen=True, slots=True)
class Result:
    """What one search found, best first; ``seconds`` by stage are those of the whole batch."""

    found: list[Found]
    truncated: bool
    seconds: dict[str, float]


class _Stopwatch:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.seconds[name] = perf_counter() - start


class Pipeline:
    """An opened bundle that answers queries; call it from one thread at a time."""

    def __init__(
        self, bundle: Bundle, threads: int | None = None, engine: EngineName = "onnxruntime"
    ) -> None:
        """Load the query encoder of ``bundle`` into ``engine``; ``threads`` None takes all cores allowed."""
        threads = threads or available_cpus()
        self._threads = threads
        self.bundle = bundle
        self._encoder = bundle.query_encoder(threads, engine)

    def run(self, queries: Sequence[Query]) -> list[Result | LurcherError]:
        """The result of each query, in order; an error in the place of a query at fault."""
        faiss.omp_set_num_threads(self._threads)  # OpenMP keeps it for each thread that calls
        watch = _Stopwatch()
        with watch.stage("encode"):
            tokens = self._encoder.tokenise([query.text for query in queries])
            vectors = self._encoder.encode_tokens(tokens)
        with watch.stage("search"):
            hits = self._search(queries, vectors)
        with watch.stage("fetch"):
            rows = {int(row) for hit in hits if not isinstance(hit, LurcherError) for row in hit[1]}
            order = sorted(rows)
            passages = dict(zip(order, self.bundle.passages.get(order), strict=True))
        return [
            hit
            if isinstance(hit, LurcherError)
            else Result(
                [Found(passages[int(row)], float(score)) for score, row in zip(*hit, strict=True)],
                text.truncated,
                watch.seconds,
            )
            for hit, text in zip(hits, tokens, strict=True)
        ]

    def _search(
        self, queries: Sequence[Query], vectors: Vectors
    ) -> list[tuple[Vectors, Rows] | LurcherError]:
        """Scores and rows of each query, best first."""
        hits: list[tuple[Vectors, Rows] | LurcherError] = [
            self._search_filtered(query, vector) if query.conditions else _NOTHING
            for query, vector in zip(queries, vectors, strict=True)
        ]
        # By depth: a graph searched deeper finds more, and a query's hits must not depend on its company.
        for depth in {query.top_k for query in queries if not query.conditions}:
            alike = [i for i, q in enumerate(queries) if q.top_k == depth and not q.conditions]
            index = self.bundle.vectors
            scores, rows = index.search(vectors[alike], min(index.count, depth))
            for i, score, row in zip(alike, scores, rows, strict=True):
                hits[i] = score[row >= 0], row[row >= 0]
        return hits

    def _search_filtered(
        self, query: Query, vector: Vectors
    ) -> tuple[Vectors, Rows] | LurcherError:
        try:
            allowed = self._allowed(query.conditions)
        except LurcherError as error:
            return error
        return self.bundle.vectors.search_among(vector, query.top_k, allowed)

    # A page of results, or a user's own documents: the same filter comes again and again.
    @lru_cache(maxsize=16)  # noqa: B019 (a pipeline lives as long as its process)
    def _allowed(self, conditions: tuple[Condition, ...]) -> Rows:
        return self.bundle.passages.rows(conditions)


_NOTHING = (np.zeros(0, np.float32), np.zeros(0, np.int64))
