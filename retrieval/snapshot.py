"""A bundle ready to answer: its models loaded, its stages in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from time import perf_counter

import faiss
import numpy as np

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.neighbours import VotingSettings
from lurcher.bundle.parts import nearest_parts
from lurcher.bundle.passages import Condition, Rows
from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError, LurcherError
from lurcher.feedback.online import Change, OnlineIndex
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.engines import EngineName
from lurcher.models.neighbours.adapted import unit
from lurcher.models.neighbours.nearness import UNRELATED_WORDS
from lurcher.retrieval.capabilities import NO_TOKENS, Capabilities
from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.duplicates import folded
from lurcher.retrieval.passage_reader import PassageReader
from lurcher.retrieval.phrases import quoted, rows_with
from lurcher.retrieval.query import (
    SCORES,
    Query,
    QueryState,
    RankerName,
    ReadOptions,
    RetrieverName,
)
from lurcher.retrieval.questions import is_question
from lurcher.retrieval.rankers import Ranker
from lurcher.retrieval.rankers.maxsim import MaxSimRanker, ReaderRanker
from lurcher.retrieval.rankers.t5 import T5, T5Ranker
from lurcher.retrieval.rerank import (
    Document,
    EncodedDocument,
    Reranker,
    RerankRequest,
    RerankScores,
)
from lurcher.retrieval.results import Explanation, Hit, SearchResult
from lurcher.retrieval.retrievers import Retriever
from lurcher.retrieval.retrievers.dense import DenseRetriever
from lurcher.retrieval.retrievers.lexical import LexicalRetriever
from lurcher.retrieval.retrievers.neighbours import KnownQueries, VotingRetriever
from lurcher.retrieval.stages import Stage
from lurcher.retrieval.stages.encode import Encode, Planned
from lurcher.retrieval.stages.fetch import Explain, Fetch
from lurcher.retrieval.stages.fuse import Fuse
from lurcher.retrieval.stages.group import Deepen, FirstStage, Group
from lurcher.retrieval.stages.rank import Rank
from lurcher.retrieval.stages.read import Read
from lurcher.retrieval.stages.retrieve import Retrieve, RetrieveLexical
from lurcher.text import normalised


class Snapshot:
    """An opened bundle that answers queries; call it from one thread at a time."""

    def __init__(
        self, bundle: Bundle, threads: int, engine: EngineName = "onnxruntime",
        costs: CostModel | None = None,
    ) -> None:  # fmt: skip
        """Load the models of ``bundle``, the query encoder into ``engine``.

        Raises BundleError or ModelError.
        """
        self._threads = threads
        self.bundle, self.costs = bundle, costs or CostModel()
        self._online = OnlineIndex(
            bundle.vectors.dimension, bundle.passages.rows_of, bundle.vectors.vectors
        )
        self._learnt = False
        self.capabilities = Capabilities.of(bundle)
        # A page of results, or a user's own documents: the same filter comes again and again.
        self._allowed = lru_cache(maxsize=16)(self._allow)
        self._queries = bundle.query_encoder(threads, engine)
        # What reads no tokens of passages at all needs their encoder for `encode_passages` alone.
        self._passages = None if bundle.tokens is None else self._passage_encoder()
        t5_decoder, tokens = bundle.t5(threads), bundle.tokens
        t5 = None if t5_decoder is None or bundle.states is None else T5(t5_decoder, bundle.states)
        reader = self._passage_reader()
        self._reranker = (
            None
            if tokens is None or self._passages is None
            else Reranker(self._queries, self._passages, tokens, bundle.vectors)
        )
        known = KnownQueries(bundle.neighbours, self._online, self._common_direction())
        voting = self._voting(known)
        dense: dict[RetrieverName, Retriever] = {"dense": DenseRetriever(bundle.vectors)}
        if bundle.neighbours is not None:
            dense["adapted"] = DenseRetriever(bundle.neighbours.adapted, "fused")
        first_stage: list[tuple[str, FirstStage, Callable[[QueryState], bool]]] = [
            ("retrieve_dense", Retrieve(dense), _finds_by("dense")),
            ("retrieve_neighbours", Retrieve(voting), _finds_by("voting", "online")),
            ("fuse", Fuse(bundle.vectors, bundle.lexical, known), _always),
        ]
        if bundle.lexical is not None:
            lexical = RetrieveLexical(LexicalRetriever(bundle.lexical), self.costs)
            first_stage.insert(2, ("retrieve_lexical", lexical, _finds_by("lexical")))
        self._encode = Encode(self._queries, tokens, bundle.lexical, reader)
        analyser = None if bundle.lexical is None else bundle.lexical.analyser
        explain = Explain(known, voting, self._queries, self._passages, tokens, analyser)
        # Each with the queries that need it: a stage that no query of a batch needs is not timed.
        self._stages: list[tuple[str, Stage, Callable[[QueryState], bool]]] = [
            *first_stage,
            ("group", Deepen(bundle.passages, [stage for _, stage, _ in first_stage]), _groups),
            ("rank", Rank(self._rankers(t5, reader), self.costs), _always),
            ("group", Group(bundle.passages), _groups),
            ("fetch", Fetch(bundle.passages), _always),
            ("explain", explain, _explains),
            ("read", Read(self._queries, reader, t5, self.costs), _reads),
        ]

    def _passage_encoder(self) -> Encoder:
        """The encoder of passages: the queries' own where it is the same."""
        config = self._queries.config
        if (config.query_prompt, config.query_graph) == (
            config.passage_prompt,
            config.passage_graph,
        ):
            return self._queries
        # Not by the engine of a sparse student, which cannot run every graph.
        return Encoder.load(self.bundle.path / ENCODER, "passage", self._threads)

    def _passage_reader(self) -> PassageReader | None:
        bundle, encoder = self.bundle, self._passages
        reader = bundle.reader(self._threads)
        if reader is None or bundle.reading is None or bundle.tokens is None or encoder is None:
            return None
        return PassageReader(reader, bundle.reading, bundle.tokens.coder, bundle.passages, encoder)

    def _common_direction(self) -> Vectors:
        """The direction (d,) that all words have in common by the query encoder, at norm 1."""
        return unit(self.encode_queries(UNRELATED_WORDS).mean(axis=0))

    def _voting(self, known: KnownQueries) -> dict[RetrieverName, VotingRetriever]:
        found: dict[RetrieverName, VotingRetriever] = {
            "online": VotingRetriever(known, VotingSettings(), of_bundle=False)
        }
        if self.bundle.neighbours is not None:
            tuned = self.bundle.neighbours.settings.voting
            found["voting"] = VotingRetriever(known, tuned, of_bundle=True)
        return found

    def _rankers(self, t5: T5 | None, reader: PassageReader | None) -> dict[RankerName, Ranker]:
        tokens, decoder = self.bundle.tokens, self.bundle.decoder(self._threads)
        rankers: dict[RankerName, Ranker] = {}
        if tokens is not None:
            rankers["maxsim"] = MaxSimRanker(tokens)
            if decoder is not None:
                rankers["decoder"] = MaxSimRanker(tokens, decoder)
            if reader is not None:
                rankers["reader"] = ReaderRanker(tokens, reader)
        if t5 is not None:
            rankers["t5"] = T5Ranker(t5, tokens)
        return rankers

    def run(self, queries: Sequence[Query]) -> list[SearchResult | LurcherError]:
        """The result of each query, in order; an error in the place of a query at fault."""
        faiss.omp_set_num_threads(self._threads)  # OpenMP keeps it for each thread that calls
        outcomes: dict[int, SearchResult | LurcherError] = {}
        planned: dict[int, Planned] = {}
        for place, query in enumerate(queries):
            try:
                planned[place] = self._plan(query)
            except LurcherError as error:
                outcomes[place] = error
        start, seconds = perf_counter(), {}
        states = dict(zip(planned, self._encode(list(planned.values())), strict=True))
        seconds["encode"] = perf_counter() - start
        for name, stage, needs in self._stages:
            if not any(needs(state) for state in states.values()):
                continue
            start = perf_counter()
            for place, state in zip(list(states), stage(list(states.values())), strict=True):
                if isinstance(state, LurcherError):
                    outcomes[place] = state
                    del states[place]
                else:
                    states[place] = state
            seconds[name] = seconds.get(name, 0.0) + perf_counter() - start
        outcomes |= {place: _result(state, seconds) for place, state in states.items()}
        return [outcomes[place] for place in range(len(queries))]

    def _plan(self, query: Query) -> Planned:
        plan = self.capabilities.plan(query, self._learnt)
        phrases = quoted(query.text) if query.query_syntax == "phrase" else ()
        return Planned(query, plan, *self._allowed(query.conditions, phrases, query.fold))

    def _allow(
        self, conditions: tuple[Condition, ...], phrases: tuple[str, ...], fold: bool
    ) -> tuple[Rows | None, Rows | None]:
        """The rows that may be found, None: all; and how many passages each stands for, None: one."""
        allow = self.bundle.passages.rows(conditions) if conditions else None
        for phrase in phrases:
            assert self.bundle.lexical is not None  # noqa: S101 (the plan refuses phrases without it)
            rows = rows_with(phrase, self.bundle.lexical, self.bundle.passages)
            allow = rows if allow is None else np.intersect1d(allow, rows, assume_unique=True)
        if not fold or self.bundle.copies is None:
            return allow, None
        return folded(self.bundle.copies, allow)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """The vectors (n, d) float32 of ``texts`` as queries."""
        return self._queries.encode(texts)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """The vectors (n, d) float32 of ``texts`` as passages."""
        if self._passages is None:
            self._passages = self._passage_encoder()
        return self._passages.encode(texts)

    def encode_documents(self, documents: Sequence[Document]) -> list[EncodedDocument]:
        """The ``documents``, ready to be scored. Raises ModelError, FieldError without tokens."""
        return self._reranker_or_error.encode(documents)

    def rerank(self, requests: Sequence[RerankRequest]) -> list[RerankScores | LurcherError]:
        """The scores of the passages of each request; an error in the place of one at fault."""
        scores: list[RerankScores | LurcherError] = []
        for request in requests:
            try:
                scores.append(self._reranker_or_error.score(request))
            except LurcherError as error:
                scores.append(error)
        return scores

    @property
    def _reranker_or_error(self) -> Reranker:
        if self._reranker is None:
            raise FieldError("documents", NO_TOKENS)
        return self._reranker

    def nearest_parts(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """The id of the passage nearest to the query, for pairs of a query and a document that was split.

        Queries that count as the same in feedback have the same one.
        """
        texts = list(dict.fromkeys(normalised(query) for query, _ in pairs))
        rows = {text: row for row, text in enumerate(texts)}
        by_row = [(rows[normalised(query)], document) for query, document in pairs]
        vectors = self._queries.encode(texts)
        return nearest_parts(by_row, vectors, self.bundle.passages, self.bundle.vectors)

    def learn(self, changes: Sequence[Change]) -> None:
        """Take in what is judged relevant; the next search knows it."""
        texts = self._online.unknown(changes)
        vectors = self._queries.encode(texts)
        self._online.learn(changes, texts, vectors)
        self._learnt = len(self._online) > 0

    def warm_up(self) -> None:
        """Answer a query made from the first passage. Raises LurcherError where that fails."""
        text = self.bundle.passages.get([0])[0].content or "a query to warm up"
        read = ReadOptions() if self.capabilities.reader else None
        for result in self.run([Query(text, read=read)]):
            if isinstance(result, LurcherError):
                raise result

    def close(self) -> None:
        """Close the bundle's files."""
        self.bundle.close()


def _always(_: QueryState) -> bool:
    return True


def _finds_by(*names: RetrieverName) -> Callable[[QueryState], bool]:
    return lambda state: any(name in state.plan.retrievers for name in names)


def _groups(state: QueryState) -> bool:
    return state.query.group_by is not None


def _explains(state: QueryState) -> bool:
    return bool(state.query.extras)


def _reads(state: QueryState) -> bool:
    return state.query.read is not None


def _result(state: QueryState, seconds: dict[str, float]) -> SearchResult:
    candidates = state.candidates
    columns = {
        name: candidates.columns[name].tolist() for name in SCORES if name in candidates.columns
    }
    explanations = state.explanations or (_UNEXPLAINED,) * len(state.passages)
    duplicates = [0] * len(state.passages)
    if state.stands_for is not None and state.allow is not None:
        places = np.searchsorted(state.allow, candidates.rows)
        duplicates = (state.stands_for[places] - 1).tolist()
    hits = [
        Hit(passage, score, dict(zip(columns, scores, strict=True)), explanation, folded)
        for passage, score, explanation, folded, *scores in zip(
            state.passages,
            candidates.score.tolist(),
            explanations,
            duplicates,
            *columns.values(),
            strict=True,
        )
    ]
    return SearchResult(
        hits, state.features.tokens.truncated, seconds, list(state.degraded), list(state.answers),
        state.written, is_question(state.query.text),
    )  # fmt: skip


_UNEXPLAINED = Explanation()
