"""One way to search a bundle, a server or what is open already: texts in, ranked ids out.

Judgements may name passages, or documents that were split: of these the best passage counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, Unpack

import lurcher
from lurcher.collection import SearchOptions
from lurcher.errors import ServiceError
from lurcher.evaluation.remote import Remote, check_engine, is_url
from lurcher.evaluation.runs import Ranking
from lurcher.models.engines import EngineName
from lurcher.retrieval.query import NeighbourMode, RankMode, RetrieveMode
from lurcher.retrieval.results import SearchResult

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

    def options(self, judged: Collection[str]) -> SearchOptions:
        """What a search is called with, for hits as ``judged`` names them."""
        options: SearchOptions = {
            "neighbours": self.neighbours, "rank": self.rank, "candidates": self.most,
            "retrieve": self.retrieve,
        }  # fmt: skip
        if judges_documents(judged):
            options["group_by"] = "document"
        return options

    def __str__(self) -> str:
        """What differs from the default, as it is appended to a target's name: ",rank=off"."""
        return "".join(
            f",{one.name}={getattr(self, one.name)}"
            for one in fields(self)
            if getattr(self, one.name) != one.default
        )

    @property
    def most(self) -> int | None:
        """How many passages are found at most: as many as are ranked, if that is said."""
        return None if self.rank == "off" else self.candidates


@dataclass(frozen=True, slots=True)
class Shown:
    """What people see of a hit: the passage that was found, or the best one of a document."""

    id: str
    title: str
    text: str
    url: str = ""


class Searcher(Protocol):
    """Something that ranks passages for queries."""

    name: str

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        """Passage ids with scores, best first, for each query."""

    def known(self, ids: Sequence[str]) -> set[str] | None:
        """Which of the passages ``ids`` there are; None if it cannot tell."""

    def shown(self, queries: Sequence[str], k: int, /) -> list[dict[str, Shown]]:
        """What each hit of ``search`` looks like, by the id that it has there."""


class Searching(Protocol):
    """What `lurcher.open` and `lurcher.Client` have in common."""

    def search_many(
        self, queries: Sequence[str], top_k: int = 10, **options: Unpack[SearchOptions]
    ) -> list[SearchResult]:
        """The result of each of ``queries``, in order."""


class OpenSearcher:
    """A collection or a client that is open already, and stays so."""

    def __init__(
        self, opened: Searching, name: str, options: SearchOptions, judged: Collection[str] = ()
    ) -> None:
        self._opened, self._options, self._judged = opened, options, judged
        self.name = name

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        """Passage ids with scores, best first, for each query."""
        results = self._opened.search_many(queries, k, **self._options)
        return [
            _ranking(
                ((hit.id, hit.passage.document, hit.score) for hit in result.hits), self._judged
            )
            for result in results
        ]

    def known(self, ids: Sequence[str]) -> set[str] | None:
        """Which of the passages ``ids`` there are; None of a client, which no route tells."""
        if isinstance(self._opened, lurcher.Collection):
            return self._opened.passages.known(ids)
        return None

    def shown(self, queries: Sequence[str], k: int) -> list[dict[str, Shown]]:
        """What each hit of ``search`` looks like, by the id that it has there."""
        found: list[dict[str, Shown]] = []
        for result in self._opened.search_many(queries, k, **self._options):
            named: dict[str, Shown] = {}
            for hit in result.hits:
                name = _name(hit.id, hit.passage.document, self._judged)
                named.setdefault(name, Shown(hit.id, hit.title, hit.text, hit.passage.url))
            found.append(named)
        return found


class BundleSearcher(OpenSearcher):
    """A bundle, opened and searched in this process."""

    def __init__(
        self, path: Path, options: SearchOptions, judged: Collection[str] = (),
        engine: EngineName = "auto",
    ) -> None:  # fmt: skip
        self._collection = lurcher.open(path, engine=engine)
        super().__init__(self._collection, self._collection.manifest.name, options, judged)

    def close(self) -> None:
        """Close the bundle."""
        self._collection.close()


class ServerSearcher:
    """A running server, reached by ``/v1/search/batch``."""

    def __init__(self, url: str, options: SearchOptions, judged: Collection[str] = ()) -> None:
        self._judged = judged
        self._options = {**options, "neighbours": {"mode": options["neighbours"]}}
        self._remote = Remote(url)
        self.name = url

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        """Passage ids with scores, best first, for each query. Raises ServiceError."""
        return [
            _ranking(((hit["id"], hit["document"], hit["score"]) for hit in hits), self._judged)
            for hits in self._hits(queries, k, [])
        ]

    def shown(self, queries: Sequence[str], k: int) -> list[dict[str, Shown]]:
        """What each hit of ``search`` looks like. Raises ServiceError."""
        found: list[dict[str, Shown]] = []
        for hits in self._hits(queries, k, ["text"]):
            named: dict[str, Shown] = {}
            for hit in hits:
                shown = Shown(hit["id"], hit["title"], hit.get("text", ""), hit.get("url", ""))
                named.setdefault(_name(hit["id"], hit["document"], self._judged), shown)
            found.append(named)
        return found

    def _hits(self, queries: Sequence[str], k: int, include: list[str]) -> Iterator[list[Any]]:
        for start in range(0, len(queries), _BATCH):
            some = list(queries[start : start + _BATCH])
            body = {"queries": some, "top_k": k, "include": include, **self._options}
            for item in self._remote.post("/v1/search/batch", body)["results"]:
                if "error" in item:
                    raise ServiceError(f"{self.name}: {item['error']['detail']}")
                yield item["hits"]

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

    def shown(self, queries: Sequence[str], k: int) -> list[dict[str, Shown]]:
        """As ``Searcher.shown``."""
        return self._searcher.shown(queries, min(k, self._most))


def at_most(searcher: Searcher, most: int | None) -> Searcher:
    """``searcher``, which finds at most so many passages a query; None: as many as it is asked for."""
    return searcher if most is None else _AtMost(searcher, most)


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
    options = how.options(judged)
    with closing(
        ServerSearcher(target, options, judged)
        if is_url(target)
        else BundleSearcher(Path(target), options, judged, how.engine)
    ) as searcher:
        searcher.name += str(how)
        yield at_most(searcher, how.most)


def judges_documents(judged: Collection[str]) -> bool:
    """Whether none of the ids ``judged`` looks like a part's.

    Hits are then grouped by document, so that there are as many as ever.
    """
    return bool(judged) and not any(_PART.search(id_) for id_ in judged)


def _name(id_: str, document: str, judged: Collection[str]) -> str:
    """What a hit counts as: its document, unless it is judged itself."""
    return document if judged and id_ not in judged else id_


def _ranking(hits: Iterable[tuple[str, str, float]], judged: Collection[str]) -> Ranking:
    """The ranking of ``hits`` (id, document, score): by document, but for those that are ``judged``."""
    best: dict[str, float] = {}
    for id_, document, score in hits:
        best.setdefault(_name(id_, document, judged), score)
    return list(best.items())
