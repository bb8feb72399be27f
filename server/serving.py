"""One snapshot in service.

A request leases one ``Serving`` and is answered from it alone, so that no reply mixes two bundles. A
``Serving`` that another replaces, or that is retired, closes its files when its last lease ends. Leases are
counted in the thread of the event loop. All snapshots that a server has in service share its queue and its
thread.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Self

import numpy as np
import structlog

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.file_marks import FileMarks
from lurcher.bundle.manifest import Manifest
from lurcher.bundle.passages import Rows
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.bundle.vectors import Vectors
from lurcher.errors import DeadlinePassed, LurcherError, NotReady
from lurcher.feedback.online import Change
from lurcher.models.encoders.config import EncoderConfig
from lurcher.retrieval.contents import Contents
from lurcher.retrieval.embedder import Embedder, EmbedWork
from lurcher.retrieval.encoder_alone import EncoderAlone
from lurcher.retrieval.query import Query
from lurcher.retrieval.rerank import Document, EncodedDocument, RerankRequest, RerankScores
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.admission import OURSELVES, Caller
from lurcher.server.admission.admission import Admission
from lurcher.server.admission.batching import within
from lurcher.server.admission.ladder import lowered
from lurcher.server.admission.turns import in_turns
from lurcher.server.leases import Leased
from lurcher.server.limits import time_limit
from lurcher.server.metrics import Metrics
from lurcher.server.settings import Settings
from lurcher.server.work import Work
from lurcher.threads import thread_count

_log = structlog.get_logger()

# Fraction of a request's time by which ranking must be done; otherwise it is skipped.
_RANKED_BY = 0.9
# Documents of one request that are encoded together, per core: long ones take a tenth of a second.
_ENCODED_TOGETHER = 4
# Tokens of texts that are embedded together, per core: as long.
_ENCODED_TOKENS = 1_024


class Serving(Leased):
    """Answers requests from one snapshot; make it where an event loop runs."""

    def __init__(
        self, snapshot: Snapshot | EncoderAlone, settings: Settings, metrics: Metrics,
        admission: Admission, collection: str,
    ) -> None:  # fmt: skip
        """Answer as ``admission`` admits it; ``metrics`` are those of ``collection``."""
        super().__init__(self._let_go)
        self._snapshot, self._settings, self._metrics = snapshot, settings, metrics
        self._opened = datetime.now(UTC)
        self.capabilities, self.engine = snapshot.capabilities, snapshot.engine
        self._collection = collection
        self._work = Work(snapshot, metrics, collection)
        self._admission, self._batcher = admission, admission.batcher
        self._batcher.add(self._work.handlers)
        self._marks: FileMarks | None = None
        self._damage = ""  # what is wrong with the files

    def __enter__(self) -> Self:
        """As ``Leased``. Raises NotReady, too, where the files are not what was opened any more."""
        self.check_sound()
        return super().__enter__()

    def check_sound(self) -> None:
        """Raise NotReady where ``look_at_files`` has found a file that was changed."""
        if self._damage:
            raise NotReady(self._damage)

    def look_at_files(self) -> None:
        """Answer no more if a file of the bundle was changed since the first look; from any thread."""
        if not self.has_corpus or self._damage:
            return
        if self._marks is None:
            self._marks = FileMarks(self.snapshot_bundle)
        elif (file := self._marks.changed()) is not None:
            self._damage = (
                f"{file} was changed while it is served; restore it and start the server again"
            )
            _log.error("a file of the bundle was changed", bundle=self.bundle, file=str(file))

    @property
    def has_corpus(self) -> bool:
        """Whether there are passages: not where an encoder is served alone."""
        return isinstance(self._snapshot, Snapshot)

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself. Raises NoCorpus, as all do that need passages."""
        return self._work.corpus.bundle.manifest

    @property
    def passages(self) -> PassageStore:
        """The bundle's."""
        return self._work.corpus.bundle.passages

    @property
    def contents(self) -> Contents:
        """What the collection has, read by id."""
        return self._work.corpus.contents

    @property
    def snapshot(self) -> Snapshot:
        """What answers; call it from the pipeline's thread alone."""
        return self._work.corpus

    @property
    def snapshot_bundle(self) -> Bundle:
        """The bundle, as it was when the lease began."""
        return self._work.corpus.bundle

    @property
    def encoder(self) -> EncoderConfig | None:
        """The encoder, None in a bundle without vectors."""
        return self.embedder.config if self.capabilities.vectors else None

    @property
    def bundle(self) -> str:
        """The bundle's name, or that of an encoder which is served alone."""
        return self.manifest.name if self.has_corpus else self.embedder.config.name

    @property
    def created(self) -> datetime:
        """When the bundle was made, or an encoder that is served alone was opened."""
        return datetime.fromisoformat(self.manifest.created) if self.has_corpus else self._opened

    def search(
        self, queries: Sequence[Query], timeout_ms: int | None, caller: Caller, *, degrade: bool = True
    ) -> Coroutine[None, None, list[tuple[SearchResult, float] | LurcherError]]:  # fmt: skip
        """Return for each query its result and the seconds it waited, or its error.

        With ``degrade`` a ranker is left out where time is short, and a single query goes down the ladder
        where the queue is long. Raises NotReady, QueueFull or DeadlinePassed.
        """
        seconds = time_limit(timeout_ms, self._settings)
        if degrade:
            deadline = perf_counter() + _RANKED_BY * seconds
            queries = [replace(query, deadline=deadline) for query in queries]
        queries = [replace(query, turn=self._batcher.baton) for query in queries]
        prices = [self._price(query) for query in queries]
        if degrade and len(queries) == 1 and prices[0]:
            pressure = self._batcher.pressure(caller.client, prices[0])
            query, price = lowered(queries[0], prices[0], pressure, self._price)
            queries, prices = [query], [price]
        return self._batcher.submit(self._work.search, queries, prices, seconds, caller)

    def _price(self, query: Query) -> float:
        """What ``query`` costs; nothing if it cannot be answered, which the core finds out again."""
        try:
            return self._work.corpus.price(query)
        except LurcherError:
            return 0.0

    async def answer(
        self, question: Query, timeout_ms: int | None, caller: Caller, *, degrade: bool = True
    ) -> tuple[SearchResult, float]:
        """Return the hits and answers of ``question``, and the seconds it waited; ``degrade`` as in `search`.

        Raises NotReady, QueueFull, DeadlinePassed, or what the snapshot raised.
        """
        start, seconds = perf_counter(), time_limit(timeout_ms, self._settings)
        question = replace(question, turn=self._batcher.baton)
        if degrade:
            question = replace(question, deadline=start + _RANKED_BY * seconds)
        price = self._price(question)
        async with within(seconds), self._admission.questions.permit(caller):
            permitted = perf_counter()
            (answer,) = await self._batcher.submit(
                self._work.search, [question], [price], None, caller, exempt=True
            )
        if isinstance(answer, LurcherError):
            raise answer
        result, waited = answer
        return result, permitted - start + waited

    async def rerank(
        self, query: str, passages: Rows | Sequence[Document], timeout_ms: int | None,
        caller: Caller,
    ) -> tuple[RerankScores, list[int]]:  # fmt: skip
        """Return the scores of ``passages`` (rows of the bundle, or documents), and which documents were cut.

        Raises NotReady, QueueFull, DeadlinePassed, or what the snapshot raised.
        """
        encoded: tuple[EncodedDocument, ...] = ()
        async with within(time_limit(timeout_ms, self._settings)):
            if not isinstance(passages, np.ndarray):
                encoded = await self._encoded(passages, caller)
                request = RerankRequest(query, encoded)
            else:
                request = RerankRequest(query, passages)
            (scores,) = await self._all(
                self._work.rerank, [request], self._snapshot.price_rerank, caller,
                exempt=bool(encoded),
            )  # fmt: skip
        return scores, [i for i, one in enumerate(encoded) if one.truncated]

    @property
    def embedder(self) -> Embedder:
        """What tells how texts are encoded; ``embed`` encodes them. Raises FieldError without vectors."""
        return self._snapshot.embedder

    async def embed(
        self, works: Sequence[EmbedWork], timeout_ms: int | None, caller: Caller
    ) -> list[Vectors]:
        """Return the vector (d,) float32 of each of ``works``.

        Raises NotReady, QueueFull, DeadlinePassed, or what the snapshot raised.
        """
        cores = thread_count(self._settings.threads)
        turns = in_turns(works, _ENCODED_TOKENS * cores, self._settings.max_waiting)
        async with within(time_limit(timeout_ms, self._settings)):
            return await self._turns(self._work.embed, turns, self._of_text, caller)

    async def nearest_parts(self, pairs: Sequence[tuple[str, str]], caller: Caller) -> list[str]:
        """Return the ids that ``Snapshot.nearest_parts`` gives. Raises NotReady or QueueFull."""
        return await self._all(self._work.nearest_parts, pairs, self._of_pair, caller, exempt=False)

    async def learn(self, changes: Sequence[Change]) -> None:
        """Make searches that begin afterwards use ``changes``, in order, however long it takes.

        Raises NotReady, or what the snapshot raised.
        """
        # One piece of work per change, so that searches get in between. Exempt from the queue's limit, which
        # is for searches: feedback has its own.
        await self._all(self._work.learn, changes, self._of_change, OURSELVES, exempt=True)

    async def successor(self, bundle: Bundle) -> Serving:
        """Return what answers from ``bundle``, another snapshot of this one's; ``retire`` this one then.

        Raises BundleError or ModelError where the models have changed and cannot be loaded, and NotReady.
        """
        (snapshot,) = await self._all(self._work.move, [bundle], _free, OURSELVES, exempt=True)
        return Serving(snapshot, self._settings, self._metrics, self._admission, self._collection)

    def _let_go(self) -> None:
        self._batcher.remove(self._work.handlers)
        self._snapshot.close()

    async def _encoded(
        self, documents: Sequence[Document], caller: Caller
    ) -> tuple[EncodedDocument, ...]:
        """Encode the documents a few at a time."""
        threads = thread_count(self._settings.threads)
        # What can never fit into the queue would get 429 for ever.
        step = min(_ENCODED_TOGETHER * threads, self._settings.max_waiting)
        turns = [documents[first : first + step] for first in range(0, len(documents), step)]
        price = self._snapshot.price_document
        return tuple(await self._turns(self._work.encode_documents, turns, price, caller))

    async def _turns(
        self, handler: Callable[[Sequence[Any]], Sequence[Any]], turns: Sequence[Sequence[Any]],
        price: Callable[[Any], float], caller: Caller,
    ) -> list[Any]:  # fmt: skip
        """Return the results of the works of all ``turns``, one turn after another: searches get in between.

        Raises NotReady, QueueFull, DeadlinePassed or the first error.
        """
        done: list[Any] = []
        for some in turns:
            if done and caller.is_disconnected():
                raise DeadlinePassed("the client has disconnected")
            # Once begun, finish: refusing the rest would waste the work on the first ones.
            done += await self._all(handler, some, price, caller, exempt=bool(done))
        return done

    async def _all(
        self, handler: Callable[[Sequence[Any]], Sequence[Any]], works: Sequence[Any],
        price: Callable[[Any], float], caller: Caller, *, exempt: bool,
    ) -> list[Any]:  # fmt: skip
        """Return the results of ``works``, however late. Raises NotReady, QueueFull or the first error."""
        prices = [price(work) for work in works]
        answers = await self._batcher.submit(handler, works, prices, None, caller, exempt=exempt)
        for answer in answers:
            if isinstance(answer, LurcherError):
                raise answer
        return [answer[0] for answer in answers if not isinstance(answer, LurcherError)]

    def _of_text(self, work: EmbedWork) -> float:
        return self._snapshot.costs.estimate("token", len(work.tokens.ids))

    def _of_pair(self, pair: tuple[str, str]) -> float:
        return self._snapshot.price_document(Document(pair[0]))

    def _of_change(self, _: Change) -> float:
        return self._snapshot.costs.estimate("query", 1)


def _free(_: object) -> float:
    return 0.0
