"""One batch of queries through the stages: encode, search, fetch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import faiss

from bundle.bundle import Bundle
from bundle.passages import Passage
from models.engines import EngineName
from models.errors import LurcherError
from models.threads import available_cpus
from server.live import Change
from server.searching import Hits, Query, Searching, Spoke


@dataclass(frozen=True, slots=True)
class Found:
    """One passage found; ``score`` is what the hits are ordered by.

    ``dense`` is the inner product of query and passage, ``neighbours`` what known queries say of it, None
    where they were not asked, and ``spoke`` which of them it was, if that was asked.
    """

    passage: Passage
    score: float
    dense: float
    neighbours: float | None = None
    spoke: list[Spoke] | None = None


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
        self._searching = Searching(bundle)

    def run(self, queries: Sequence[Query]) -> list[Result | LurcherError]:
        """The result of each query, in order; an error in the place of a query at fault."""
        faiss.omp_set_num_threads(self._threads)  # OpenMP keeps it for each thread that calls
        watch = _Stopwatch()
        with watch.stage("encode"):
            tokens = self._encoder.tokenise([query.text for query in queries])
            vectors = self._encoder.encode_tokens(tokens)
        with watch.stage("search"):
            found = self._searching.run(queries, vectors)
        with watch.stage("fetch"):
            rows = {row for hits in found if isinstance(hits, Hits) for row in hits.rows.tolist()}
            order = sorted(rows)
            passages = dict(zip(order, self.bundle.passages.get(order), strict=True))
        return [
            Result(_found(hits, passages), text.truncated, watch.seconds)
            if isinstance(hits, Hits)
            else hits
            for hits, text in zip(found, tokens, strict=True)
        ]

    def learn(self, changes: Sequence[Change]) -> None:
        """Take in judgements; the next search knows them."""
        live = self._searching.live
        texts = live.unknown(changes)
        vectors = self._encoder.encode(texts)
        live.learn(changes, texts, vectors, self.bundle.vectors.vectors)


def _found(hits: Hits, passages: dict[int, Passage]) -> list[Found]:
    """``hits`` with what is in their passages."""
    dense = hits.dense.tolist()
    none: list[None] = [None] * len(dense)
    return [
        Found(passages[row], *scores)
        for row, *scores in zip(
            hits.rows.tolist(),
            dense if hits.mixed is None else hits.mixed.tolist(),
            dense,
            none if hits.neighbours is None else hits.neighbours.tolist(),
            none if hits.spoke is None else hits.spoke,
            strict=True,
        )
    ]
