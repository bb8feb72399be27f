"""Runs: what a system found for each query, in the files that TREC's tools read.

One hit a line, its fields separated by blanks::

    query Q0 passage rank score tag

trec_eval ignores ``rank`` and sorts by ``score``, which it keeps in 32 bits; of equal scores the greater id
comes first. So scores are written strictly falling in 32 bits, and every tool sees the order that was shown.
Files are read by trec_eval's rule, whoever wrote them; they may be gzipped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lurcher.errors import CorpusError, FieldError
from lurcher.evaluation.files import whole_file
from lurcher.evaluation.judgements import lines

# Ids with their scores, best first.
Ranking = list[tuple[str, float]]

_FIELDS = 6


@dataclass(frozen=True, slots=True)
class Run:
    """What a system called ``name`` found for each query, by the query's id."""

    name: str
    rankings: Mapping[str, Ranking]

    def rankings_of(self, ids: Sequence[str], k: int) -> list[Ranking]:
        """The first ``k`` hits of each query; none for one that the run does not have."""
        return [self.rankings.get(id_, [])[:k] for id_ in ids]


def read_run(path: Path) -> Run:
    """The run in a file of TREC's six columns, named by the file. Raises CorpusError."""
    found: dict[str, dict[str, float]] = {}
    for number, line in lines(path):
        fields = line.split()
        if len(fields) != _FIELDS:
            wanted = "query id, Q0, passage id, rank, score, tag"
            raise CorpusError(path, number, f"{len(fields)} fields, expected {_FIELDS}: {wanted}")
        query, _, passage, _, written, _ = fields
        try:
            score = float(written)
        except ValueError as error:
            raise CorpusError(path, number, f"score {written!r} is not a number") from error
        if math.isnan(score):
            raise CorpusError(path, number, f"score {written!r} is not a number")
        hits = found.setdefault(query, {})
        if passage in hits:
            raise CorpusError(path, number, f"query {query!r} has {passage!r} already")
        hits[passage] = score
    if not found:
        raise CorpusError(path, None, "no hit in it")
    ordered = {query: _as_trec_eval_sorts(hits) for query, hits in found.items()}
    return Run(path.name, ordered)


def _as_trec_eval_sorts(hits: Mapping[str, float]) -> Ranking:
    by_id = sorted(hits.items(), reverse=True)
    return sorted(by_id, key=lambda hit: np.float32(hit[1]), reverse=True)


def write_run(path: Path, rankings: Mapping[str, Ranking], tag: str = "lurcher") -> None:
    """Write ``rankings`` to ``path`` as TREC's tools read them, all of it or nothing.

    Raises FieldError for an id or a tag that has white space, which separates fields.
    """
    _check("the tag", tag)
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        for query, ranking in rankings.items():
            _check("query id", query)
            scores = falling([score for _, score in ranking])
            for rank, ((passage, _), score) in enumerate(zip(ranking, scores, strict=True), 1):
                _check("passage id", passage)
                file.write(f"{query} Q0 {passage} {rank} {score:.9g} {tag}\n")


def falling(scores: Sequence[float]) -> list[np.float32]:
    """``scores`` in 32 bits, each below the one before by one step at least."""
    found: list[np.float32] = []
    for score in scores:
        one = np.float32(score)
        if found and not one < found[-1]:
            one = np.nextafter(found[-1], np.float32(-np.inf))
        found.append(one)
    return found


def _check(what: str, id_: str) -> None:
    if not id_ or id_.split() != [id_]:
        reason = "a run file cannot have it, because white space separates its fields"
        raise FieldError("run", f"{what} {id_!r}: {reason}")
