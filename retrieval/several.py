"""One query over several snapshots whose encoder is the same: encoded once, hits merged by score.

All are searched and ranked in the same way, and words count the same in all, or their scores could not be
compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from lurcher.errors import FieldError, LurcherError
from lurcher.order import best_first
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import Hit, SearchResult
from lurcher.retrieval.snapshot import Snapshot
from lurcher.retrieval.stages.encode import Encoded

# Whose scores only a model of the same files gives again.
_MODEL_OF: Mapping[str, Literal["ranker", "reader"]] = {
    "decoder": "ranker", "t5": "ranker", "reader": "reader"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SeveralResult:
    """The best hits of all, each with the name of the snapshot that it is from, and the rest."""

    hits: list[tuple[str, Hit]]
    whole: SearchResult  # without hits


def check_same_encoder(field: str, snapshots: Mapping[str, Snapshot]) -> None:
    """Raise FieldError, naming ``field``, unless vectors of all ``snapshots`` can be compared."""
    for name, one in snapshots.items():
        if one.bundle.manifest.encoder is None:
            reason = (
                f"{name!r} has no vectors; only those with the same encoder are searched together"
            )
            raise FieldError(field, reason)
    for (name, one), (other, two) in pairwise(snapshots.items()):
        if (a := one.bundle.encoder).fingerprint != (b := two.bundle.encoder).fingerprint:
            reason = (
                f"{name!r} and {other!r} have different encoders ({a.name}, {b.name}), whose scores cannot "
                "be compared"
            )
            raise FieldError(field, reason)


def common(query: Query, snapshots: Mapping[str, Snapshot]) -> Query:
    """Return ``query`` with what all of ``snapshots`` can do in the place of `auto`.

    Raises FieldError for what not all of them can do in the same way.
    """
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
        with _of(name):
            seconds += one.price(query)
    return seconds


def run(query: Query, snapshots: Mapping[str, Snapshot]) -> SeveralResult:
    """Return the best hits of all ``snapshots`` for ``query``, as ``common`` has made it.

    Raises FieldError, which says whose it is, or what else a snapshot answers.
    """
    encoded: dict[int, Encoded | None] = {}
    found: dict[str, SearchResult] = {}
    for name, one in snapshots.items():
        encoder = id(one.embedder.queries)
        with _of(name):
            if encoder not in encoded:
                encoded[encoder] = one.encoded(query)
            (result,) = one.run([query], [encoded[encoder]])
            if isinstance(result, LurcherError):
                raise result
        found[name] = result
    return _merged(found, query.top_k)


def _merged(found: Mapping[str, SearchResult], top_k: int) -> SeveralResult:
    """The best of all hits; of equal ones those of the first collection, in its order."""
    hits = [(name, hit) for name, result in found.items() for hit in result.hits]
    scores = np.array([hit.score for _, hit in hits], np.float32)
    best = best_first(scores, np.arange(len(hits)), top_k).tolist()
    seconds: dict[str, float] = {}
    for result in found.values():
        for stage, spent in result.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    results = list(found.values())
    degraded = list(dict.fromkeys(stage for one in results for stage in one.degraded))
    whole = SearchResult(
        [], any(one.truncated for one in results), seconds, degraded,
        question=any(one.question for one in results),
    )  # fmt: skip
    return SeveralResult([hits[place] for place in best], whole)


@contextmanager
def _of(name: str) -> Iterator[None]:
    """Let an error about a field say that it is of ``name``."""
    try:
        yield
    except FieldError as error:
        raise FieldError(error.field, f"{name!r}: {error.reason}") from error


def _files(snapshot: Snapshot, folder: str) -> object:
    """What is in the files of a model."""
    files = snapshot.bundle.manifest.files
    return {name: entry for name, entry in files.items() if name.startswith(f"{folder}/")}
