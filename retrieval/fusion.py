"""How the candidates of several retrievers become one list, and what a ranker's score does to theirs.

Pure functions on arrays. Formulas of what known queries add are those of ``lurcher.models.neighbours``; a
passage to which they add nothing keeps its score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.models.neighbours.adapted import gated_scores
from lurcher.models.neighbours.nearness import nearness
from lurcher.models.neighbours.votes import boost, raised
from lurcher.order import best_first, evened, inner_products
from lurcher.retrieval.query import Candidates, Plan, RetrieverName

# The scores (n,) of rows (n,).
ScoresOf = Callable[[Rows], Vectors]

# What the lexical score counts more for a query that is nothing but a name.
NAMED_WEIGHT = 1.5
# What the lexical score counts beside ``dense``, over what it counts beside a ranker's score: late
# interaction sees many of the words itself.
UNRANKED = 2.0


class Scores(Protocol):
    """What passages score for one query, whichever retriever found them."""

    def dense(self, rows: Rows) -> Vectors:
        """The inner products (n,) of the vectors of ``rows`` (n,) with the query's."""

    def lexical(self, rows: Rows) -> Vectors:
        """The lexical scores (n,) of ``rows`` (n,)."""

    def known(self, rows: Rows) -> tuple[Vectors, Vectors]:
        """What ``mean_products`` gives for ``rows`` (n,)."""


def one_list(
    found: Mapping[RetrieverName, Candidates], plan: Plan, named: float, scores: Scores,
    elsewhere: float = 0.0,
) -> Candidates:  # fmt: skip
    """What the retrievers of ``plan`` have ``found``, as at most ``plan.depth`` candidates, best first.

    ``named`` is the share of the query that is names, ``elsewhere`` the most that known queries say of a
    passage that cannot be looked at.
    """
    if plan.retrievers == ("dense",):
        return found["dense"]
    if plan.retrievers == ("lexical",):
        return _found_by_words(found["lexical"], plan, named, scores)
    if plan.neighbours in ("voting", "online"):
        found = {**found, plan.neighbours: _voted(found[plan.neighbours])}
    rows = np.unique(np.concatenate([one.rows for one in found.values()]))
    candidates = filled("dense", found["dense"], rows, scores.dense)
    if plan.neighbours in ("voting", "online"):
        candidates = fuse_votes(candidates, found[plan.neighbours], plan.dense_weight or 0.0)
    elif plan.neighbours == "adapted":
        candidates = fuse_means(candidates, *scores.known(rows), plan.dense_weight or 0.0)
    if "lexical" in found:
        words = filled("lexical", found["lexical"], rows, scores.lexical)
        candidates = candidates.given(**words.columns)
        neighbours = candidates.columns.get("neighbours")
        if neighbours is not None:
            known = np.append(neighbours, np.float32(elsewhere))
            named *= 1 - answered_share(known, adapted=plan.neighbours == "adapted")
        candidates = fuse_lexical(candidates, lexical_weight(plan.lexical_weight or 0.0, named))
    return best(candidates, plan.depth)


def _found_by_words(words: Candidates, plan: Plan, named: float, scores: Scores) -> Candidates:
    """What the lexical index found, in its order, with what a ranker needs."""
    if plan.ranker is None:
        return words
    lexical = words.columns["lexical"]
    weight = lexical_weight(plan.lexical_weight or 0.0, named)
    return words.given(
        dense=scores.dense(words.rows), fused=lexical, lexical_share=np.float32(weight) * lexical
    )


def _voted(candidates: Candidates) -> Candidates:
    """Those of ``candidates`` that any known query votes for."""
    return candidates.take(np.flatnonzero(candidates.columns["neighbours"] > 0))


def filled(name: str, found: Candidates, rows: Rows, scores: ScoresOf) -> Candidates:
    """All of ``rows`` (n,), ascending, with the column ``name``.

    It is that of ``found``, whose rows are among them, and for the others ``scores`` computes it.
    """
    column = np.full(len(rows), np.nan, np.float32)
    column[np.searchsorted(rows, found.rows)] = found.columns[name]
    missing = np.isnan(column)
    if missing.any():
        column[missing] = scores(rows[missing])
    return Candidates(rows, {name: column})


def fuse_votes(candidates: Candidates, voted: Candidates, weight: float) -> Candidates:
    """``candidates``, among whose rows, ascending, are those of ``voted``, each raised by its votes.

    ``candidates`` have the column ``dense``, ``voted`` the column ``neighbours``; ``weight`` is lambda.
    """
    neighbours = np.zeros(len(candidates.rows), np.float32)
    neighbours[np.searchsorted(candidates.rows, voted.rows)] = voted.columns["neighbours"]
    boosts = boost(neighbours, weight)
    fused = raised(candidates.columns["dense"], boosts)
    return candidates.given(neighbours=neighbours, fused=fused, boost=boosts)


def fuse_adapted(
    candidates: Candidates, passages: Vectors, means: Vectors, vector: Vectors, weight: float
) -> Candidates:
    """``candidates`` (n,) with the column ``dense``, each moved towards the mean of its known queries.

    ``passages`` and ``means`` (n, d) are theirs, a mean of zeros where there is no known query; ``weight`` is
    lambda.
    """
    return fuse_means(candidates, *mean_products(passages, means, vector), weight)


def mean_products(passages: Vectors, means: Vectors, vector: Vectors) -> tuple[Vectors, Vectors]:
    """The inner products (n,) of ``means`` (n, d) with the query's ``vector`` (d,), and with ``passages``."""
    agreement: Vectors = np.einsum("nd,nd->n", passages, means)
    return inner_products(means, vector), agreement


def fuse_means(
    candidates: Candidates, mean: Vectors, agreement: Vectors, weight: float
) -> Candidates:
    """As ``fuse_adapted``, by what ``mean_products`` gives for the candidates."""
    fused = gated_scores(candidates.columns["dense"], mean, agreement, weight)
    weights = adapted_weights(mean, weight)
    return candidates.given(neighbours=mean, fused=fused, adapted=fused, dense_weight=weights)


def answered_share(neighbours: Vectors, adapted: bool) -> float:
    """How sure it is, 0 to 1, that a known query means the same: then its answers count, and no names.

    ``neighbours`` (n,) are the candidates' scores of known queries, in adapted mode or of votes.
    """
    least, most = (0.8, 0.95) if adapted else (0.0, 0.5)
    return float(np.clip((neighbours.max(initial=0.0) - least) / (most - least), 0, 1))


def lexical_weight(of_corpus: float, named: float) -> float:
    """What the lexical score counts beside a ranker's, for a query of which the share ``named`` is names.

    The cube keeps it small for a question that has a name in it: other words tell as well what is meant.
    """
    return of_corpus + NAMED_WEIGHT * named**3


def fuse_lexical(candidates: Candidates, weight: float) -> Candidates:
    """``candidates`` with the column ``lexical``, which counts ``weight`` beside a ranker's score.

    The lexical score has a scale of its own, 0 to 1 (``bundle.lexical_index``), so that what it adds depends
    on no other candidate. Rank fusion and scores over the query's best were tried and lose to it
    (docs/lexical.md).
    """
    columns = candidates.columns
    share = np.float32(weight) * columns["lexical"]
    fused = columns.get("fused", columns["dense"]) + np.float32(UNRANKED) * share
    return candidates.given(fused=fused, lexical_share=share)


def best(candidates: Candidates, k: int) -> Candidates:
    """The best ``k`` of ``candidates``; what differs by nothing stays in the order of the corpus."""
    name = "fused" if "fused" in candidates.columns else "dense"
    score = evened(candidates.columns[name])
    return candidates.given(**{name: score}).take(best_first(score, candidates.rows, k))


def adapted_weights(mean: Vectors, weight: float) -> Vectors:
    """What the passages' own scores count, (n,): all, where the query is not near to their known ones.

    ``mean`` (n,) is its inner product with their mean, 0 where there are none.
    """
    return 1 - nearness(mean) * np.float32(1 - weight)


def stand_in(columns: Mapping[str, Vectors], scores: Vectors, bent: bool = True) -> Vectors:
    """The first stage's scores with ``scores`` (C,), a ranker's, in the place of ``dense``.

    ``columns`` are the candidates'. What known queries and words add to a passage's score stays. ``bent`` is
    that of ``raised``: whether the ranker's scores have the scale of cosines.
    """
    if "boost" in columns:
        scores = raised(scores, columns["boost"], bent)
    elif "adapted" in columns:
        scores = columns["adapted"] + columns["dense_weight"] * (scores - columns["dense"])
    return scores + columns["lexical_share"] if "lexical_share" in columns else scores
