"""What a snapshot with vectors answers by beside its words: the encoder, and whatever reads what it makes."""

from __future__ import annotations

from collections.abc import Sequence

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.moves import followed
from lurcher.bundle.neighbours import VotingSettings
from lurcher.bundle.parts import nearest_parts
from lurcher.bundle.passages import Rows
from lurcher.feedback.online import Change, OnlineIndex
from lurcher.models.encoders.encoder import Encoder
from lurcher.retrieval.embedder import Embedder
from lurcher.retrieval.models import Models
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
    """What reads the vectors of a snapshot, and its known queries; call it from one thread at a time.

    queries     the encoder of queries
    passages    the encoder of passages, None where nothing reads tokens of passages
    embedder    what encodes texts for their own sake
    known       known queries of the bundle and of the server
    voting      what lets them vote
    reader      what finds answers, if there is anything
    t5          what ranks and writes by states, if there is anything
    reranker    what scores passages and texts by tokens, if there are any
    """

    def __init__(self, bundle: Bundle, models: Models, online: OnlineIndex | None = None) -> None:
        """``online`` has what a server has learnt, by rows of ``bundle``; None: nothing yet."""
        self._bundle, self._models = bundle, models
        if online is None:  # one of nothing yet is not none
            vectors = bundle.vectors
            online = OnlineIndex(vectors.dimension, bundle.passages.rows_of, vectors.vectors)
        self._online = online
        self.queries = models.queries
        self.passages = None if bundle.tokens is None else models.passages()
        t5 = models.t5
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
                bundle.preset.late,
            )
        )
        self.embedder = Embedder(self.queries, models.passages)
        self.known = KnownQueries(bundle.neighbours, self._online, models.common)
        self.voting = self._voting()

    def moved(self, bundle: Bundle) -> VectorSide:
        """The same models and known queries for ``bundle``, another snapshot of this one."""

        def follow(rows: Rows, ids: Sequence[str]) -> Rows:
            return followed(rows, ids, self._bundle, bundle, bundle.passages.rows_of)

        online = self._online.moved(follow, bundle.passages.rows_of, bundle.vectors.vectors)
        return VectorSide(bundle, self._models, online)

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
        """What can rank candidates."""
        tokens, decoder = self._bundle.tokens, self._models.decoder
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
        return self._models.passages()

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

    def _passage_reader(self) -> PassageReader | None:
        bundle, encoder, reader = self._bundle, self.passages, self._models.reader
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
