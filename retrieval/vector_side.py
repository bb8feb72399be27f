"""What a bundle with vectors answers by beside its words: the encoder, and whatever reads what it makes."""

from __future__ import annotations

from collections.abc import Sequence

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.neighbours import VotingSettings
from lurcher.bundle.parts import nearest_parts
from lurcher.feedback.online import Change, OnlineIndex
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.engines import EngineName
from lurcher.models.neighbours.adapted import unit
from lurcher.models.neighbours.nearness import UNRELATED_WORDS
from lurcher.retrieval.embedder import Embedder
from lurcher.retrieval.passage_reader import PassageReader
from lurcher.retrieval.query import RankerName, RetrieverName
from lurcher.retrieval.rankers import Ranker
from lurcher.retrieval.rankers.maxsim import MaxSimRanker, ReaderRanker
from lurcher.retrieval.rankers.t5 import T5, T5Ranker
from lurcher.retrieval.rerank import Reranker
from lurcher.retrieval.retrievers import Retriever
from lurcher.retrieval.retrievers.dense import DenseRetriever
from lurcher.retrieval.retrievers.neighbours import KnownQueries, VotingRetriever
from lurcher.text import normalised


class VectorSide:
    """The models and known queries of a bundle that has vectors; call it from one thread at a time.

    queries     the encoder of queries
    passages    the encoder of passages, None until it is needed: what reads no tokens of passages at all
                needs it for ``passage_encoder`` alone
    embedder    what encodes texts for their own sake
    known       known queries of the bundle and of the server
    voting      what lets them vote
    reader      what finds answers, if there is anything
    t5          what ranks and writes by states, if there is anything
    reranker    what scores passages and texts by tokens, if there are any
    """

    def __init__(self, bundle: Bundle, threads: int, engine: EngineName) -> None:
        """Load the models, the query encoder into ``engine``. Raises BundleError or ModelError."""
        self._bundle, self._threads, self._engine = bundle, threads, engine
        self._online = OnlineIndex(
            bundle.vectors.dimension, bundle.passages.rows_of, bundle.vectors.vectors
        )
        self.queries = bundle.query_encoder(threads, engine)
        self.passages = None if bundle.tokens is None else self._passage_encoder()
        t5 = bundle.t5(threads)
        self.t5 = None if t5 is None or bundle.states is None else T5(t5, bundle.states)
        self.reader = self._passage_reader()
        self.reranker = (
            None
            if bundle.tokens is None or self.passages is None
            else Reranker(
                self.queries,
                self.passages,
                bundle.tokens.coder,
                bundle.tokens.settings.keep_ratio,
                (bundle.tokens, bundle.vectors),
            )
        )
        self.embedder = Embedder(self.queries, self.passage_encoder)
        # The direction that all words have in common by the query encoder, at norm 1.
        common = unit(self.queries.encode(UNRELATED_WORDS).mean(axis=0))  # (d,)
        self.known = KnownQueries(bundle.neighbours, self._online, common)
        self.voting = self._voting()

    @property
    def learnt(self) -> bool:
        """Whether there are known queries that the server has learnt since the bundle was made."""
        return len(self._online) > 0

    def retrievers(self) -> dict[RetrieverName, Retriever]:
        """What finds candidates by vectors of passages."""
        found: dict[RetrieverName, Retriever] = {"dense": DenseRetriever(self._bundle.vectors)}
        if self._bundle.neighbours is not None:
            found["adapted"] = DenseRetriever(self._bundle.neighbours.adapted, "fused")
        return found

    def rankers(self) -> dict[RankerName, Ranker]:
        """What can rank candidates. Raises BundleCorrupt."""
        tokens, decoder = self._bundle.tokens, self._bundle.decoder(self._threads)
        rankers: dict[RankerName, Ranker] = {}
        if tokens is not None:
            rankers["maxsim"] = MaxSimRanker(tokens)
            if decoder is not None:
                rankers["decoder"] = MaxSimRanker(tokens, decoder)
            if self.reader is not None:
                rankers["reader"] = ReaderRanker(tokens, self.reader)
        if self.t5 is not None:
            rankers["t5"] = T5Ranker(self.t5, tokens)
        return rankers

    def passage_encoder(self) -> Encoder:
        """The encoder of passages, loaded if it is not yet."""
        if self.passages is None:
            self.passages = self._passage_encoder()
        return self.passages

    def nearest_parts(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """The id of the passage nearest to the query, for pairs of a query and a document that was split.

        Queries that count as the same in feedback have the same one.
        """
        texts = list(dict.fromkeys(normalised(query) for query, _ in pairs))
        rows = {text: row for row, text in enumerate(texts)}
        by_row = [(rows[normalised(query)], document) for query, document in pairs]
        vectors = self.queries.encode(texts)
        return nearest_parts(by_row, vectors, self._bundle.passages, self._bundle.vectors)

    def learn(self, changes: Sequence[Change]) -> None:
        """Take in what is judged relevant; the next search knows it."""
        texts = self._online.unknown(changes)
        self._online.learn(changes, texts, self.queries.encode(texts))

    def _passage_encoder(self) -> Encoder:
        """The encoder of passages: the queries' own where it is the same."""
        config = self.queries.config
        if (config.query_prompt, config.query_graph) == (
            config.passage_prompt,
            config.passage_graph,
        ):
            return self.queries
        # Not by an engine that was asked for and may be good for a student's graph alone.
        engine: EngineName = "onnxruntime" if self._engine == "onnxruntime" else "auto"
        return Encoder.load(self._bundle.path / ENCODER, "passage", self._threads, engine)

    def _passage_reader(self) -> PassageReader | None:
        bundle, encoder = self._bundle, self.passages
        reader = bundle.reader(self._threads)
        if reader is None or bundle.reading is None or bundle.tokens is None or encoder is None:
            return None
        return PassageReader(reader, bundle.reading, bundle.tokens.coder, bundle.passages, encoder)

    def _voting(self) -> dict[RetrieverName, VotingRetriever]:
        found: dict[RetrieverName, VotingRetriever] = {
            "online": VotingRetriever(self.known, VotingSettings(), of_bundle=False)
        }
        if self._bundle.neighbours is not None:
            tuned = self._bundle.neighbours.settings.voting
            found["voting"] = VotingRetriever(self.known, tuned, of_bundle=True)
        return found
