"""A bundle ready to answer: its models loaded, its stages in order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache

import faiss
import numpy as np

from lurcher.bundle.bundle import NO_VECTORS, Bundle
from lurcher.bundle.model_cache import ModelCache
from lurcher.bundle.passages import Condition, Rows
from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError, LurcherError
from lurcher.feedback.online import Change
from lurcher.models.engines import Choice, EngineName
from lurcher.retrieval.capabilities import NO_TOKENS, Capabilities
from lurcher.retrieval.contents import BundleContents, Contents
from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.duplicates import folded
from lurcher.retrieval.embedder import Embedder
from lurcher.retrieval.models import Models
from lurcher.retrieval.outcomes import outcome_of_each
from lurcher.retrieval.passage_reader import PassageReader
from lurcher.retrieval.phrases import quoted, rows_with
from lurcher.retrieval.prices import price_of_query, price_of_rerank, price_of_text
from lurcher.retrieval.query import (
    SCORES,
    Plan,
    Query,
    QueryState,
    ReadOptions,
    RetrieverName,
)
from lurcher.retrieval.questions import is_question
from lurcher.retrieval.rerank import (
    Document,
    EncodedDocument,
    Reranker,
    RerankRequest,
    RerankScores,
)
from lurcher.retrieval.results import Explanation, Hit, SearchResult
from lurcher.retrieval.retrievers.lexical import LexicalRetriever
from lurcher.retrieval.stages import Stage
from lurcher.retrieval.stages.encode import Encode, Encoded, Planned
from lurcher.retrieval.stages.fetch import Explain, Fetch
from lurcher.retrieval.stages.fuse import Fuse, only_words
from lurcher.retrieval.stages.group import Deepen, FirstStage, Group
from lurcher.retrieval.stages.rank import Rank
from lurcher.retrieval.stages.read import Read
from lurcher.retrieval.stages.retrieve import Retrieve, RetrieveLexical
from lurcher.retrieval.turns import ALONE
from lurcher.retrieval.vector_side import VectorSide


class Snapshot:
    """An opened bundle that answers queries; call it from one thread at a time."""

    def __init__(
        self, bundle: Bundle, threads: int, engine: EngineName = "auto",
        costs: CostModel | None = None, cache: ModelCache | None = None,
    ) -> None:  # fmt: skip
        """Load the models of ``bundle`` that are not in ``cache``, the query encoder into ``engine``.

        Raises BundleError or ModelError.
        """
        self._threads, self._engine, self._cache = threads, engine, cache
        side = None
        if bundle.index is not None:
            side = VectorSide(bundle, Models(bundle, threads, engine, cache))
        self._answer_from(bundle, side, costs or CostModel())

    def moved(self, bundle: Bundle) -> Snapshot:
        """A snapshot of ``bundle``, which shares this one's models and what it has learnt.

        ``bundle`` is another generation of this one's bundle, or has other segments; close both. What one of
        both learns, the other knows. With other models in it, or another calibration of its reader, all is
        loaded anew and nothing is learnt yet.
        """
        before, now = self.bundle.manifest, bundle.manifest
        if now.models != before.models or now.reader != before.reader:
            return Snapshot(bundle, self._threads, self._engine, self.costs, self._cache)
        other = Snapshot.__new__(Snapshot)
        other._threads, other._engine, other._cache = self._threads, self._engine, self._cache
        side = None if self._side is None else self._side.moved(bundle)
        other._answer_from(bundle, side, self.costs)
        return other

    def _answer_from(self, bundle: Bundle, side: VectorSide | None, costs: CostModel) -> None:
        """Put the stages in order."""
        self.bundle, self.costs, self._side = bundle, costs, side
        self.capabilities = Capabilities.of(bundle)
        # A page of results, or a user's own documents: the same filter comes again and again.
        self._allowed = lru_cache(maxsize=16)(self._allow)
        # What of a text costs anything: without vectors none of it is encoded.
        self._max_tokens = 0 if side is None else side.queries.config.max_tokens
        first_stage = _first_stage(bundle, side, self.costs)
        self._encode = Encode(
            None if side is None else side.queries, bundle.tokens, bundle.lexical,
            None if side is None else side.reader,
        )  # fmt: skip
        self.rankers = {} if side is None else side.rankers()
        # Each with the queries that need it: a stage that no query of a batch needs is not timed.
        self._stages: list[tuple[str, Stage, Callable[[QueryState], bool]]] = [
            *first_stage,
            ("group", Deepen(bundle.passages, [stage for _, stage, _ in first_stage]), _groups),
            ("rank", Rank(self.rankers, self.costs), _always),
            ("group", Group(bundle.passages), _groups),
            ("fetch", Fetch(bundle.passages), _always),
            ("explain", _explain(bundle, side), _explains),
        ]
        if side is not None:
            self._stages.append(
                ("read", Read(side.queries, side.reader, side.t5, self.costs), _reads)
            )

    @property
    def engine(self) -> Choice | None:
        """What runs the query encoder, and why; None without vectors."""
        return None if self._side is None else self._side.queries.choice

    @property
    def contents(self) -> Contents:
        """What it has, read by id; from any thread."""
        return BundleContents(self.bundle)

    @property
    def reader(self) -> PassageReader | None:
        """What reads passages for answers; None where nothing does."""
        return None if self._side is None else self._side.reader

    def encoded(self, queries: Sequence[Query]) -> list[Encoded | None]:
        """What the encoder makes of each query; None if nothing reads it, or `run` has an error for it."""
        planned = outcome_of_each(self._plan, queries)
        texts = iter(self._encode.texts([one for one in planned if isinstance(one, Planned)]))
        return [next(texts) if isinstance(one, Planned) else None for one in planned]

    def run(
        self, queries: Sequence[Query], encoded: Sequence[Encoded | None] = ()
    ) -> list[SearchResult | LurcherError]:
        """The result of each query, in order; an error in the place of a query at fault.

        ``encoded`` has each query as a snapshot with the same encoder encoded it.
        """
        turn = queries[0].turn if queries else ALONE
        start = turn.clock()
        outcomes: list[QueryState | SearchResult | LurcherError] = [*self.begin(queries, encoded)]
        seconds = {"encode": turn.clock() - start}
        places = [i for i, one in enumerate(outcomes) if isinstance(one, QueryState)]
        states = [one for one in outcomes if isinstance(one, QueryState)]
        for place, state in zip(places, self.advance(states, seconds), strict=True):
            outcomes[place] = result_of(state, seconds) if isinstance(state, QueryState) else state
        return [one for one in outcomes if not isinstance(one, QueryState)]

    def begin(
        self, queries: Sequence[Query], encoded: Sequence[Encoded | None] = ()
    ) -> list[QueryState | LurcherError]:
        """The state of each query before it is looked for, or its error; ``encoded`` as in ``run``."""
        faiss.omp_set_num_threads(self._threads)  # OpenMP keeps it for each thread that calls
        planned = outcome_of_each(self._plan, queries)
        places = [i for i, one in enumerate(planned) if isinstance(one, Planned)]
        some = [one for one in planned if isinstance(one, Planned)]
        states = iter(self._encode(some, [encoded[i] for i in places] if encoded else []))
        return [next(states) if isinstance(one, Planned) else one for one in planned]

    def advance(
        self, states: Sequence[QueryState], seconds: dict[str, float],
        stages: Collection[str] | None = None,
    ) -> list[QueryState | LurcherError]:  # fmt: skip
        """The ``states`` after the ``stages`` so named, None: all; an error in the place of one at fault.

        What each stage takes is added to ``seconds``.
        """
        turn = states[0].query.turn if states else ALONE
        outcomes: dict[int, QueryState | LurcherError] = dict(enumerate(states))
        left = dict(enumerate(states))
        for name, stage, needs in self._stages:
            if stages is not None and name not in stages:
                continue
            if not any(needs(state) for state in left.values()):
                continue
            turn.pause()
            start = turn.clock()
            for place, state in zip(list(left), stage(list(left.values())), strict=True):
                outcomes[place] = state
                if isinstance(state, LurcherError):
                    del left[place]
                else:
                    left[place] = state
            seconds[name] = seconds.get(name, 0.0) + turn.clock() - start
        return [outcomes[place] for place in range(len(states))]

    def _plan(self, query: Query) -> Planned:
        plan = self._plan_of(query)
        phrases = quoted(query.text) if query.query_syntax == "phrase" else ()
        return Planned(query, plan, *self._allowed(query.conditions, phrases, query.fold))

    def _plan_of(self, query: Query) -> Plan:
        learnt = self._side is not None and self._side.learnt
        return self.capabilities.plan(query, learnt)

    def _allow(
        self, conditions: tuple[Condition, ...], phrases: tuple[str, ...], fold: bool
    ) -> tuple[Rows | None, Rows | None]:
        """The rows that may be found, None: all; and how many passages each stands for, None: one."""
        allow = self.bundle.passages.rows(conditions) if conditions else None
        if phrases:
            assert self.bundle.lexical is not None  # noqa: S101 (the plan refuses phrases without it)
            allow = rows_with(phrases, self.bundle.lexical, self.bundle.passages, allow)
        if not fold or self.bundle.copies is None:
            return allow, None
        if allow is None and self.bundle.rows.live is not None:
            allow = self.bundle.passages.rows(())
        return folded(self.bundle.copies, allow)

    def price(self, query: Query) -> float:
        """The seconds that answering ``query`` should take. Raises FieldError for what cannot be answered."""
        plan = self._plan_of(query)
        return price_of_query(query, plan, self.costs, self._max_tokens)

    def price_document(self, document: Document) -> float:
        """The seconds that encoding ``document`` should take."""
        return price_of_text(document.text, self.costs, self._max_tokens)

    def price_rerank(self, request: RerankRequest) -> float:
        """The seconds that scoring the passages of ``request`` should take."""
        return price_of_rerank(request, self.costs, self._max_tokens)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """The vectors (n, d) float32 of ``texts`` as queries. Raises FieldError without vectors."""
        return self._side_for("texts").queries.encode(texts)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """The vectors (n, d) float32 of ``texts`` as passages. Raises FieldError without vectors."""
        return self._side_for("texts").passage_encoder().encode(texts)

    @property
    def embedder(self) -> Embedder:
        """What encodes texts beside searches. Raises FieldError without vectors."""
        return self._side_for("input").embedder

    def encode_documents(self, documents: Sequence[Document]) -> list[EncodedDocument]:
        """The ``documents``, ready to be scored. Raises ModelError, FieldError without tokens."""
        return self._reranker.encode(documents)

    def rerank(self, requests: Sequence[RerankRequest]) -> list[RerankScores | LurcherError]:
        """The scores of the passages of each request; an error in the place of one at fault."""
        return outcome_of_each(lambda request: self._reranker.score(request), requests)

    @property
    def _reranker(self) -> Reranker:
        reranker = self._side_for("documents").reranker
        if reranker is None:
            raise FieldError("documents", NO_TOKENS)
        return reranker

    def nearest_parts(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """As ``VectorSide.nearest_parts``. Raises FieldError without vectors."""
        return self._side_for("pairs").nearest_parts(pairs)

    def learn(self, changes: Sequence[Change]) -> None:
        """Take in what is judged relevant; the next search knows it. Raises FieldError without vectors."""
        self._side_for("feedback").learn(changes)

    def _side_for(self, field: str) -> VectorSide:
        """What reads vectors. Raises FieldError, naming ``field``, in a bundle without vectors."""
        if self._side is None:
            raise FieldError(field, NO_VECTORS)
        return self._side

    def warm_up(self) -> None:
        """Answer a query made from the first passage. Raises LurcherError where that fails."""
        first = self.bundle.passages.rows(())[:1].tolist()
        texts = [passage.content for passage in self.bundle.passages.get(first)]
        text = "".join(texts) or "a query to warm up"
        read = ReadOptions() if self.capabilities.reader else None
        for result in self.run([Query(text, read=read)]):
            if isinstance(result, LurcherError):
                raise result

    def close(self) -> None:
        """Close the bundle's files, and let go of what was cached."""
        self.bundle.close()
        # They refer to this, which would stay in memory until somebody looks for such circles.
        self.__dict__.pop("_allowed", None)
        self._stages = []


_FirstStages = list[tuple[str, FirstStage, Callable[[QueryState], bool]]]


def _first_stage(bundle: Bundle, side: VectorSide | None, costs: CostModel) -> _FirstStages:
    """What finds candidates and makes one list of them; each with the queries that need it."""
    words: _FirstStages = []
    if bundle.lexical is not None:
        lexical = RetrieveLexical(LexicalRetriever(bundle.lexical), costs)
        words.append(("retrieve_lexical", lexical, _finds_by("lexical")))
    if side is None:
        return [*words, ("fuse", only_words, _always)]
    return [
        ("retrieve_dense", Retrieve(side.retrievers()), _finds_by("dense")),
        ("retrieve_neighbours", Retrieve(side.voting), _finds_by("voting", "online")),
        *words,
        ("fuse", Fuse(bundle.vectors, bundle.lexical, side.known), _always),
    ]


def _explain(bundle: Bundle, side: VectorSide | None) -> Explain:
    """What explains the hits of ``bundle``."""
    analyser = None if bundle.lexical is None else bundle.lexical.analyser
    if side is None:
        return Explain(None, {}, None, None, None, analyser)
    return Explain(side.known, side.voting, side.queries, side.passages, bundle.tokens, analyser)


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


def result_of(state: QueryState, seconds: dict[str, float]) -> SearchResult:
    """The result of a query that has gone through all stages, which took ``seconds``."""
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
