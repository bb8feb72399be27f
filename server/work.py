"""What the pipeline's thread does with what is served, each a handler of ``admission.batching``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog
from prometheus_client import Histogram

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.vectors import Vectors
from lurcher.errors import LurcherError, NoCorpus
from lurcher.feedback.online import Change
from lurcher.retrieval.embedder import EmbedWork
from lurcher.retrieval.encoder_alone import EncoderAlone
from lurcher.retrieval.query import Query
from lurcher.retrieval.rerank import Document, RerankRequest, RerankScores
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.metrics import Metrics

_log = structlog.get_logger()


class Work:
    """Works on the ``snapshot`` of a collection in one thread, and counts what it does in ``metrics``."""

    def __init__(
        self, snapshot: Snapshot | EncoderAlone, metrics: Metrics, collection: str
    ) -> None:
        self._snapshot, self._metrics, self._collection = snapshot, metrics, collection

    @property
    def handlers(self) -> Sequence[Callable[[Sequence[Any]], Sequence[Any]]]:
        """All of them, in the order in which a batch is worked on."""
        return (
            self.move, self.learn, self.search, self.embed, self.encode_documents, self.rerank,
            self.nearest_parts,
        )  # fmt: skip

    @property
    def corpus(self) -> Snapshot:
        """What has passages. Raises NoCorpus where an encoder is served alone."""
        if not isinstance(self._snapshot, Snapshot):
            raise NoCorpus
        return self._snapshot

    def move(self, bundles: Sequence[Bundle]) -> Sequence[Snapshot]:
        """The snapshot's successor for each of ``bundles``.

        Here, so that what is learnt meanwhile is learnt before or afterwards.
        """
        return [self.corpus.moved(bundle) for bundle in bundles]

    def search(self, queries: Sequence[Query]) -> list[SearchResult | LurcherError]:
        """The result of each query, or its error."""
        results = self.corpus.run(queries)
        self._metrics.batch_queries.observe(len(queries))
        found = [result for result in results if isinstance(result, SearchResult)]
        for stage, seconds in found[0].seconds.items() if found else ():
            self._stage(stage).observe(seconds)
        for stage in (stage for result in found for stage in result.degraded):
            self._metrics.degraded.labels(stage).inc()
        return results

    def _stage(self, name: str) -> Histogram:
        return self._metrics.stage_seconds.labels(self._collection, name)

    def embed(self, works: Sequence[EmbedWork]) -> Sequence[Vectors]:
        """The vector (d,) float32 of each text."""
        with self._stage("embed").time():
            return self._snapshot.embedder.embed(works)

    def encode_documents(self, documents: Sequence[Document]) -> Sequence[Any]:
        """The documents, ready to be scored."""
        with self._stage("encode_documents").time():
            return self._snapshot.encode_documents(documents)

    def rerank(self, requests: Sequence[RerankRequest]) -> Sequence[RerankScores | LurcherError]:
        """The scores of each request, or its error."""
        with self._stage("rerank").time():
            return self._snapshot.rerank(requests)

    def nearest_parts(self, pairs: Sequence[tuple[str, str]]) -> Sequence[str]:
        """As ``Snapshot.nearest_parts``."""
        return self.corpus.nearest_parts(pairs)

    def learn(self, changes: Sequence[Change]) -> Sequence[LurcherError | None]:
        """Apply ``changes``; the same error for each, should that fail."""
        error: LurcherError | None = None
        try:
            self.corpus.learn(changes)
        except LurcherError as failure:
            error = failure
        # Any error: the feedback is on disk, and searches go on.
        except Exception as failure:
            _log.error("feedback cannot be applied", exc_info=failure)
            error = LurcherError(
                "feedback is kept but could not be applied; the log has the details"
            )
        return [error] * len(changes)
