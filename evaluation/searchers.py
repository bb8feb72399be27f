"""One way to search a bundle on disk or a server at a URL: texts in, ranked ids out.

Judgements may name passages, or documents that were split: of these the best passage counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import lurcher
from lurcher.collection import SearchOptions
from lurcher.errors import ServiceError
from lurcher.evaluation.remote import Remote, check_engine, is_url
from lurcher.models.engines import EngineName
from lurcher.retrieval.query import NeighbourMode, RankMode, RetrieveMode

Ranking = list[tuple[str, float]]

_BATCH = 64

# How the id of a part of a document ends.
_PART = re.compile(r"#\d+$")


@dataclass(frozen=True, slots=True)
class SearchWith:
    """How queries are searched for."""

    neighbours: NeighbourMode = "auto"
    rank: RankMode = "auto"
    candidates: int | None = None
    retrieve: RetrieveMode = "auto"
    engine: EngineName = "auto"  # of a bundle in this process


class Searcher(Protocol):
    """Something that ranks passages for queries."""

    name: str

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        """Passage ids with scores, best first, for each query."""

    def known(self, ids: Sequence[str]) -> set[str] | None:
        """Which of the passages ``ids`` there are; None if it cannot tell."""


class BundleSearcher:
    """A bundle, searched in this process."""

    def __init__(
        self, path: Path, options: SearchOptions, judged: Collection[str] = (),
        engine: EngineName = "auto",
    ) -> None:  # fmt: skip
        self._options, self._judged = options, judged
        self._collection = lurcher.open(path, engine=engine)
        self.name = self._collection.manifest.name

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        """Passage ids with scores, best first, for each query."""
        results = self._collection.search_many(queries, k, **self._options)
        return [
            _ranking(
                ((hit.id, hit.passage.document, hit.score) for hit in result.hits), self._judged
            )
            for result in results
        ]

    def known(self, ids: Sequence[str]) -> set[str]:
        """Which of the passages ``ids`` the bundle has."""
        return self._collection.passages.known(ids)

    def close(self) -> None:
        """Close the bundle."""
        self._collection.close()


class ServerSearcher:
    """A running server, reached by ``/v1/search/batch``."""

    def __init__(self, url: str, options: SearchOptions, judged: Collection[str] = ()) -> None:
        self._judged = judged
        self._options = {**options, "neighbours": {"mode": options["neighbours"]}, "include": []}
        self._remote = Remote(url)
        self.name = url

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        """Passage ids with scores, best first, for each query. Raises ServiceError."""
        rankings: list[Ranking] = []
        for start in range(0, len(queries), _BATCH):
            some = list(queries[start : start + _BATCH])
            body = {"queries": some, "top_k": k, **self._options}
            for item in self._remote.post("/v1/search/batch", body)["results"]:
                if "error" in item:
                    raise ServiceError(f"{self.name}: {item['error']['detail']}")
                hits = ((hit["id"], hit["document"], hit["score"]) for hit in item["hits"])
                rankings.append(_ranking(hits, self._judged))
        return rankings

    def known(self, _: Sequence[str]) -> None:
        """Nothing: no route tells."""

    def close(self) -> None:
        """Close the connection."""
        self._remote.close()


class _AtMost:
    """A searcher that finds no more passages per query than are ranked."""

    def __init__(self, searcher: Searcher, most: int) -> None:
        self._searcher, self._most = searcher, most
        self.name = searcher.name

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        """As ``Searcher.search``."""
        return self._searcher.search(queries, min(k, self._most))

    def known(self, ids: Sequence[str]) -> set[str] | None:
        """As ``Searcher.known``."""
        return self._searcher.known(ids)


@contextmanager
def open_searcher(
    target: str, how: SearchWith | None = None, judged: Collection[str] = ()
) -> Iterator[Searcher]:
    """A searcher of ``target``, a URL or the path of a bundle, open for the time of the block.

    A hit that is not itself ``judged`` counts as its document, each once.
    With ``candidates``, no more passages than these are found, unless ``rank`` is off. Raises FieldError
    for an engine with a URL.
    """
    how = how or SearchWith()
    check_engine(target, how.engine)
    candidates = None if how.rank == "off" else how.candidates
    options: SearchOptions = {
        "neighbours": how.neighbours, "rank": how.rank, "candidates": candidates,
        "retrieve": how.retrieve,
    }  # fmt: skip
    if judges_documents(judged):
        options["group_by"] = "document"
    with closing(
        ServerSearcher(target, options, judged)
        if is_url(target)
        else BundleSearcher(Path(target), options, judged, how.engine)
    ) as searcher:
        yield searcher if candidates is None else _AtMost(searcher, candidates)


def judges_documents(judged: Collection[str]) -> bool:
    """Whether none of the ids ``judged`` looks like a part's.

    Hits are then grouped by document, so that there are as many as ever.
    """
    return bool(judged) and not any(_PART.search(id_) for id_ in judged)


def _ranking(hits: Iterable[tuple[str, str, float]], judged: Collection[str]) -> Ranking:
    """The ranking of ``hits`` (id, document, score): by document, but for those that are ``judged``."""
    best: dict[str, float] = {}
    for id_, document, score in hits:
        best.setdefault(document if judged and id_ not in judged else id_, score)
    return list(best.items())
