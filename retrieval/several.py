"""Queries over several snapshots whose encoder is the same: encoded once, hits and answers merged by score.

All are searched and ranked in the same way, and words count the same in all, or their scores could not be
compared. An answer's score is a probability, which says the same in all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import numpy as np

from lurcher.errors import FieldError, LurcherError
from lurcher.models.reader.answers import words_of
from lurcher.order import best_first
from lurcher.retrieval.capabilities import NO_READER
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import Answer, SearchResult
from lurcher.retrieval.snapshot import Snapshot
from lurcher.retrieval.stages.encode import Encoded

# Whose scores only a model of the same files gives again.
_MODEL_OF: Mapping[str, Literal["ranker", "reader"]] = {
    "decoder": "ranker", "t5": "ranker", "reader": "reader"
}  # fmt: skip


def check_comparable(field: str, snapshots: Mapping[str, Snapshot], *, reads: bool) -> None:
    """Raise FieldError, naming ``field``, unless vectors of all ``snapshots`` can be compared.

    With ``reads`` their answers must be comparable, too: all have the same reader.
    """
    for name, one in snapshots.items():
        if one.bundle.manifest.encoder is None:
            reason = (
                f"{name!r} has no vectors; only those with the same encoder are searched together"
            )
            raise FieldError(field, reason)
        if reads and not one.capabilities.reader:
            raise FieldError(field, f"{name!r}: {NO_READER}")
    for (name, one), (other, two) in pairwise(snapshots.items()):
        if (a := one.bundle.encoder).fingerprint != (b := two.bundle.encoder).fingerprint:
            reason = (
                f"{name!r} and {other!r} have different encoders ({a.name}, {b.name}), whose scores cannot "
                "be compared"
            )
            raise FieldError(field, reason)
        if reads and _files(one, "reader") != _files(two, "reader"):
            reason = (
                f"{name!r} and {other!r} have different readers, whose answers cannot be compared"
            )
            raise FieldError(field, reason)


def common(query: Query, snapshots: Mapping[str, Snapshot]) -> Query:
    """Return ``query`` with what all of ``snapshots`` can do in the place of `auto`.

    Raises FieldError for what not all of them can do in the same way.
    """
    if query.offset and query.group_by:
        raise FieldError("offset", "of grouped hits, ask one collection for pages")
    able = [one.capabilities for one in snapshots.values()]
    if query.rank == "auto":
        query = replace(query, rank="maxsim" if all(one.tokens for one in able) else "off")
    gains = [one.lexical for one in able if one.lexical is not None]
    if query.retrieve == "auto":
        query = replace(query, retrieve="hybrid" if len(gains) == len(able) else "dense")
    # What words count is measured on each corpus, and would put one before the other.
    query = replace(query, lexical_gain=sum(gains) / max(1, len(gains)))
    if len({one.preset for one in able}) > 1:
        query = replace(query, preset="prose")
    folder = _MODEL_OF.get(query.rank)
    for (name, one), (other, two) in pairwise(snapshots.items()):
        if folder is not None and _files(one, folder) != _files(two, folder):
            reason = f"{name!r} and {other!r} have different models of that kind; rank by 'maxsim'"
            raise FieldError("rank", reason)
    return query


def price(query: Query, snapshots: Mapping[str, Snapshot]) -> float:
    """The seconds that answering ``query`` from all ``snapshots`` should take. Raises FieldError."""
    seconds = 0.0
    for name, one in snapshots.items():
        try:
            seconds += one.price(query)
        except FieldError as error:
            raise _of(name, error) from error
    return seconds


def run(
    queries: Sequence[Query], snapshots: Mapping[str, Snapshot]
) -> list[SearchResult | LurcherError]:
    """The best hits and answers of all ``snapshots`` for each query, as ``common`` has made it.

    In the place of a query at fault is its error, which says whose it is.
    """
    errors: dict[int, LurcherError] = {}
    found: list[dict[str, SearchResult]] = [{} for _ in queries]
    # What is on an earlier page of all may be anywhere on one's own.
    deep = [replace(query, offset=0, top_k=query.last) for query in queries]
    encoded: dict[int, dict[int, Encoded | None]] = {}  # by encoder, and by the query's place
    for name, one in snapshots.items():
        places = [place for place in range(len(queries)) if place not in errors]
        some = [deep[place] for place in places]
        encoder = id(one.embedder.queries)
        if encoder not in encoded:
            encoded[encoder] = dict(zip(places, one.encoded(some), strict=True))
        texts = [encoded[encoder][place] for place in places]
        for place, result in zip(places, one.run(some, texts), strict=True):
            if isinstance(result, SearchResult):
                found[place][name] = result
            else:
                errors[place] = _of(name, result)
    return [
        errors[place] if place in errors else _merged(found[place], query)
        for place, query in enumerate(queries)
    ]


def _merged(found: Mapping[str, SearchResult], query: Query) -> SearchResult:
    """The best of all; of equal ones those of the first collection, in its order."""
    hits = [replace(hit, collection=name) for name, one in found.items() for hit in one.hits]
    scores = np.array([hit.score for hit in hits], np.float32)
    best = best_first(scores, np.arange(len(hits)), query.last)[query.offset :].tolist()
    seconds: dict[str, float] = {}
    for result in found.values():
        for stage, spent in result.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    results = list(found.values())
    degraded = list(dict.fromkeys(stage for one in results for stage in one.degraded))
    return SearchResult(
        [hits[place] for place in best], any(one.truncated for one in results), seconds, degraded,
        _answers(found, query), question=any(one.question for one in results),
    )  # fmt: skip


def _answers(found: Mapping[str, SearchResult], query: Query) -> list[Answer]:
    """The most probable of all answers; those of the same words are one, that of the better passage."""
    if query.read is None:
        return []
    every = [replace(one, collection=name) for name, each in found.items() for one in each.answers]
    best: dict[str, Answer] = {}
    for one in sorted(every, key=lambda answer: -answer.score):
        best.setdefault(words_of(one.text), one)
    return list(best.values())[: query.read.answers]


def _of(name: str, error: LurcherError) -> LurcherError:
    """The error, which says that it is of ``name`` if it is about a field."""
    if isinstance(error, FieldError):
        return FieldError(error.field, f"{name!r}: {error.reason}")
    return error


def _files(snapshot: Snapshot, folder: str) -> object:
    """What is in the files of a model."""
    files = snapshot.bundle.manifest.files
    return {name: entry for name, entry in files.items() if name.startswith(f"{folder}/")}
