"""One way to search a bundle on disk or a server at a URL: texts in, ranked passage ids out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from lurcher.bundle.bundle import Bundle
from lurcher.evaluation.remote import Remote, is_url
from lurcher.models.errors import LurcherError, ServiceError
from lurcher.retrieval.pipeline import Pipeline
from lurcher.retrieval.searching import AskedMode, Query, RankMode

Ranking = list[tuple[str, float]]

_BATCH = 64


class Searcher(Protocol):
    """Something that ranks passages for queries."""

    name: str

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        """Passage ids with scores, best first, for each query."""


class BundleSearcher:
    """A bundle, searched in this process by the server's own pipeline."""

    def __init__(self, path: Path, pefa: AskedMode, rank: RankMode, candidates: int | None) -> None:
        self._pefa, self._rank, self._candidates = pefa, rank, candidates
        self._bundle = Bundle.open(path)
        self._pipeline = Pipeline(self._bundle)
        self.name = self._bundle.manifest.name

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        """Passage ids with scores, best first, for each query."""
        rankings: list[Ranking] = []
        k = min(k, self._candidates or k)
        for start in range(0, len(queries), _BATCH):
            batch = [
                Query(text, k, mode=self._pefa, rank=self._rank, candidates=self._candidates)
                for text in queries[start : start + _BATCH]
            ]
            for result in self._pipeline.run(batch):
                if isinstance(result, LurcherError):
                    raise result
                rankings.append([(f.passage.id, f.score) for f in result.found])
        return rankings

    def close(self) -> None:
        """Close the bundle."""
        self._bundle.close()


class ServerSearcher:
    """A running server, reached by ``/v1/search/batch``."""

    def __init__(self, url: str, pefa: AskedMode, rank: RankMode, candidates: int | None) -> None:
        self._pefa, self._rank, self._candidates = pefa, rank, candidates
        self._remote = Remote(url)
        self.name = url

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        """Passage ids with scores, best first, for each query. Raises ServiceError."""
        rankings: list[Ranking] = []
        k = min(k, self._candidates or k)
        for start in range(0, len(queries), _BATCH):
            body = {
                "queries": list(queries[start : start + _BATCH]), "top_k": k, "include": [],
                "pefa": {"mode": self._pefa}, "rank": self._rank, "candidates": self._candidates,
            }  # fmt: skip
            for item in self._remote.post("/v1/search/batch", body)["results"]:
                if "error" in item:
                    raise ServiceError(f"{self.name}: {item['error']['detail']}")
                rankings.append([(hit["id"], hit["score"]) for hit in item["hits"]])
        return rankings

    def close(self) -> None:
        """Close the connection."""
        self._remote.close()


@contextmanager
def open_searcher(
    target: str, pefa: AskedMode = "auto", rank: RankMode = "auto", candidates: int | None = None
) -> Iterator[Searcher]:
    """A searcher of ``target``, a URL or the path of a bundle, open for the time of the block.

    With ``candidates``, no more passages than these are found, unless ``rank`` is off.
    """
    if rank == "off":
        candidates = None
    with closing(
        ServerSearcher(target, pefa, rank, candidates)
        if is_url(target)
        else BundleSearcher(Path(target), pefa, rank, candidates)
    ) as searcher:
        yield searcher
