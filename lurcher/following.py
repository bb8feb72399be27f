"""A bundle in this process that another process writes: each search finds what was acknowledged before it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Unpack

from lurcher.collection import Collection, PassageView, SearchOptions
from lurcher.errors import DeadlinePassed
from lurcher.index_builder.edit.follower import Follower
from lurcher.retrieval.results import RerankResult, SearchResult
from lurcher.retrieval.snapshot import Snapshot

_PAUSE = 0.005  # seconds between two looks while a write is waited for


class FollowingCollection(Collection):
    """An opened bundle that is followed; safe to call from several threads. Close it."""

    def __init__(self, follower: Follower, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        self._follower, self._shown = follower, True

    @property
    def sequence(self) -> int:
        """The number of the last write that it has."""
        return self._follower.sequence

    def refresh(self) -> bool:
        """Take in what was written since; whether there was anything. Searches and `rerank` begin with it.

        Raises BundleError, also where another bundle has taken its place, WalCorrupt, ModelError or OSError.
        """
        with self._lock:
            self._shown = not self._follower.poll() and self._shown
            if self._shown:
                return False
            before, self._snapshot = self._snapshot, self._snapshot.moved(self._follower.reader())
            self.passages = PassageView(self._snapshot.bundle.passages)
            self._shown = True
            before.close()
        return True

    def wait_for(self, sequence: int, seconds: float = 10.0) -> None:
        """Return once it has write ``sequence``, whose reply or receipt has that number.

        Raises DeadlinePassed after so many ``seconds``, and what `refresh` raises.
        """
        deadline = time.monotonic() + seconds
        while True:
            self.refresh()
            if self.sequence >= sequence:
                return
            if time.monotonic() >= deadline:
                reason = f"write {sequence} is not visible yet; searches know those up to {self.sequence}"
                raise DeadlinePassed(reason)
            time.sleep(_PAUSE)

    def search_many(
        self, queries: Sequence[str], top_k: int = 10, **options: Unpack[SearchOptions]
    ) -> list[SearchResult]:
        """As in every collection, of the bundle as it is now."""
        self.refresh()
        return super().search_many(queries, top_k, **options)

    def answer(
        self, question: str, top_k: int = 3, *, read_depth: int = 10, min_score: float | None = None,
        write: bool = False, **options: Unpack[SearchOptions],
    ) -> SearchResult:  # fmt: skip
        """As in every collection, of the bundle as it is now."""
        self.refresh()
        return super().answer(
            question, top_k, read_depth=read_depth, min_score=min_score, write=write, **options
        )

    def rerank(
        self, query: str, documents: Sequence[str] | None = None, *,
        passages: Sequence[str] | None = None, max_tokens: int | None = None,
    ) -> RerankResult:  # fmt: skip
        """As in every collection, of the bundle as it is now."""
        self.refresh()
        return super().rerank(query, documents, passages=passages, max_tokens=max_tokens)

    def close(self) -> None:
        """Close the files, once no other thread is being answered."""
        super().close()
        self._follower.abandon()
