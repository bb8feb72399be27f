"""One batch of queries through the stages: encode, search, rank, fetch, read; and what needs their parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter

import faiss
import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Passage
from lurcher.bundle.vectors import Vectors
from lurcher.feedback.online import Change
from lurcher.models.encoders.tokenizer import Tokens
from lurcher.models.engines import EngineName
from lurcher.models.errors import FieldError, LurcherError
from lurcher.models.ranker.maxsim import blend
from lurcher.models.threads import thread_count
from lurcher.retrieval.answering import Answered, Answering, Question, Written, write
from lurcher.retrieval.matches import Match, matches
from lurcher.retrieval.ranking import T5, Asked, Ranking
from lurcher.retrieval.reading import PassageReader
from lurcher.retrieval.reranking import PassageSide, Read, Reading, Rerank, Reranked, Reranking
from lurcher.retrieval.searching import Hits, Query, Searching, Spoke


@dataclass(frozen=True, slots=True)
class Found:
    """One passage found; ``score`` is what the hits are ordered by.

    ``dense`` is the inner product of query and passage, ``neighbours`` what known queries say of it and
    ``mixed`` both, ``late`` how well its tokens meet the query's, each None where it was not asked;
    ``spoke`` says which known queries it was, and ``matches`` which tokens met, if that was asked.
    """

    passage: Passage
    score: float
    dense: float
    neighbours: float | None = None
    mixed: float | None = None
    late: float | None = None
    spoke: list[Spoke] | None = None
    matches: list[Match] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What one search found, best first, and what of it answers, if that was a question.

    ``seconds`` by stage are those of the whole batch; ``degraded`` are stages that were left out, or cut
    short, for want of time.
    """

    found: list[Found]
    truncated: bool
    seconds: dict[str, float]
    degraded: list[str] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    written: Written | None = None


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
        threads = thread_count(threads)
        self._threads = threads
        self.bundle = bundle
        self._encoder = bundle.query_encoder(threads, engine)
        self._searching = Searching(bundle)
        decoder, states = bundle.reader(threads), bundle.states
        self._t5 = None if decoder is None or states is None else T5(decoder, states)
        self._side = PassageSide(bundle, self._encoder, threads)
        self._reader = (
            None
            if bundle.manifest.reader is None  # then the passages' encoder need not be loaded
            else PassageReader.of(bundle, self._side.encoder, threads)
        )
        self._answering = None if self._reader is None else Answering(self._reader)
        self._ranking = Ranking(bundle.tokens, bundle.decoder(threads), self._t5, self._reader)
        self._reranking = Reranking(bundle, self._encoder, self._side, self._ranking)

    def run(self, queries: Sequence[Query]) -> list[Result | LurcherError]:
        """The result of each query, in order; an error in the place of a query at fault."""
        faiss.omp_set_num_threads(self._threads)  # OpenMP keeps it for each thread that calls
        watch = _Stopwatch()
        plans = [self._ranking.plan(query) for query in queries]
        with watch.stage("encode"):
            tokens = self._encoder.tokenise([query.text for query in queries])
            asked: list[Asked | None] = [None] * len(queries)
            by_token = [isinstance(plan, int) for plan in plans]
            if self.bundle.tokens is not None and any(by_token):
                vectors, states = self._encoder.encode_states(tokens)
                asked = [
                    self._ranking.asked(self._encoder, text, found, query.rank) if needed else None
                    for query, needed, text, found in zip(
                        queries, by_token, tokens, states, strict=True
                    )
                ]
            else:
                vectors = self._encoder.encode_tokens(tokens)
        with watch.stage("search"):
            deep = [
                replace(query, top_k=plan) if isinstance(plan, int) else query
                for query, plan in zip(queries, plans, strict=True)
            ]
            found = self._searching.run(deep, vectors)
        with watch.stage("rank"):
            ranked = [
                plan if isinstance(plan, FieldError) else self._ranked(query, plan, one, hits)
                for query, plan, one, hits in zip(queries, plans, asked, found, strict=True)
            ]
        with watch.stage("fetch"):
            rows = {row for hits in ranked if isinstance(hits, Hits) for row in hits.rows.tolist()}
            order = sorted(rows)
            passages = dict(zip(order, self.bundle.passages.get(order), strict=True))
            met = [
                self._matches(query, one, hits, passages)
                for query, one, hits in zip(queries, asked, ranked, strict=True)
            ]
        results = [
            Result(
                _found(hits, passages, theirs), text.truncated, watch.seconds,
                ["rank"] if plan is not None and hits.rank is None else [],
            )
            if isinstance(hits, Hits)
            else hits
            for hits, theirs, text, plan in zip(ranked, met, tokens, plans, strict=True)
        ]  # fmt: skip
        if any(isinstance(query, Question) for query in queries):
            with watch.stage("read"):
                results = [
                    self._answered(query, text, one, hits, result)
                    for query, text, one, hits, result in zip(
                        queries, tokens, asked, ranked, results, strict=True
                    )
                ]
        return results

    def _ranked(
        self, query: Query, plan: int | None, asked: Asked | None, hits: Hits | LurcherError
    ) -> Hits | LurcherError:
        """The hits that ``query`` gets, ranked if there is a ``plan`` to and time is left."""
        if plan is None or not isinstance(hits, Hits):
            return hits
        try:
            hits = self._ranking.run(query, asked, hits)
        except LurcherError as error:  # not that of searches in the same batch
            return error
        return hits.take(np.arange(min(query.top_k, len(hits.rows))))

    def _matches(
        self, query: Query, asked: Asked | None, hits: Hits | LurcherError,
        passages: dict[int, Passage],
    ) -> list[list[Match]] | None:  # fmt: skip
        """Where the query's tokens met those of each hit, if it wants to know and they were ranked."""
        if not query.matches or asked is None or not isinstance(hits, Hits) or hits.late is None:
            return None
        places = self._encoder.own_spans(query.text)
        return [
            matches(self._ranking, asked, places, self._side.reader, row, passages[row])
            for row in hits.rows.tolist()
        ]

    def _answered(
        self, query: Query, text: Tokens, asked: Asked | None, hits: Hits | LurcherError,
        result: Result | LurcherError,
    ) -> Result | LurcherError:  # fmt: skip
        """``result`` with what the ``hits`` answer, if ``query`` is a question."""
        if not isinstance(query, Question) or not isinstance(hits, Hits):
            return result
        assert isinstance(result, Result)  # noqa: S101 (of those hits)
        passages = [found.passage for found in result.found]
        if query.write and self._t5 is not None:
            result = replace(result, written=write(self._t5, query, hits.rows, passages))
        if self._answering is None or self._reader is None:
            return result
        # What a T5 says is on another scale than what the reader's weight was made for, and what the reader
        # says of a passage it says of its spans.
        by_t5 = query.rank == "decoder" and self.bundle.states is not None
        late = hits.late if by_t5 or query.rank == "reader" else None
        scores = hits.best if late is None else blend(hits.dense, late)
        try:
            inquiry = None if asked is None else asked.inquiry
            if inquiry is None:
                inquiry = self._reader.asked(self._encoder, text)
            answers = self._answering.run(query, inquiry, hits.rows, scores, passages)
        except LurcherError as error:  # not that of searches in the same batch
            return error
        degraded = [*result.degraded, "read"] if answers.hurried else result.degraded
        return replace(result, degraded=degraded, answers=answers.found)

    def read(self, works: Sequence[Reading]) -> list[Read]:
        """What the texts of ``works`` come to as passages. Raises ModelError."""
        return self._reranking.read(works)

    def rerank(self, work: Rerank) -> Reranked:
        """The scores of the passages of ``work``."""
        return self._reranking.rerank(work)

    def learn(self, changes: Sequence[Change]) -> None:
        """Take in judgements; the next search knows them."""
        online = self._searching.online
        texts = online.unknown(changes)
        vectors = self._encoder.encode(texts)
        online.learn(changes, texts, vectors)


def _found(hits: Hits, passages: dict[int, Passage], met: list[list[Match]] | None) -> list[Found]:
    """``hits`` with what is in their passages."""
    none: list[None] = [None] * len(hits.rows)

    def column(scores: Vectors | None) -> list[float] | list[None]:
        return none if scores is None else scores.tolist()

    return [
        Found(passages[row], *scores)
        for row, *scores in zip(
            hits.rows.tolist(), hits.best.tolist(), hits.dense.tolist(), column(hits.neighbours),
            column(hits.mixed), column(hits.late), hits.spoke or none, met or none, strict=True,
        )
    ]  # fmt: skip
