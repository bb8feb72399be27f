"""Ways to make codes of token states: what ships, and what it was chosen over in experiments.tokens.

All start from the same projection: a token's state on the principal components of the corpus's states, as
models.tokens.coder has them before it turns them. Merging does not depend on how projections are turned or
shifted, so that a passage's tree of merges is made once for all seeds and shares of as many bits. It is
SciPy's, which is faster than a tree a share, and merges as models.tokens.clustering does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import linkage  # type: ignore[import-untyped]  # publishes no types
from scipy.sparse import csr_array  # type: ignore[import-untyped]  # the same

from experiments.token_candidates import Candidates, rotation
from lurcher.bundle.jagged import count_type
from lurcher.bundle.token_store import position_type
from lurcher.index_builder.options import BITS, KEEP_RATIO
from lurcher.models.ranker.maxsim import best_met, maxsim
from lurcher.models.tokens.clustering import Integers
from lurcher.models.tokens.coder import MAX_DF
from lurcher.models.tokens.products import Vectors

# Bytes beside the codes: of each code its place, of each passage two counts; for 256 tokens.
_PLACE, _COUNTS = position_type(256).itemsize, 2 * count_type(256).itemsize
_CHUNK = 65_536
_ITQ_ROUNDS, _ITQ_POINTS = 50, 20_000


@dataclass(frozen=True)
class Variant:
    """How a passage's tokens become codes, and a query's tokens what meets them."""

    bits: int = BITS
    share: float = KEEP_RATIO
    merging: Literal["ward", "bipartite"] = "ward"
    common: Literal["left out", "kept", "shared"] = "left out"
    projection: Literal["components", "random"] = "components"
    rotation: Literal["random", "none", "itq"] = "random"
    centred: Literal["both", "passages", "neither"] = "both"
    rounded: bool = True  # to 1 bit; otherwise float16
    weights: Literal["idf", "equal"] = "idf"
    queries: Literal["float", "int8", "1 bit"] = "float"

    @property
    def geometry(self) -> tuple[str, int, str, str]:
        """What its tree of merges depends on."""
        return self.projection, self.bits, self.common, self.merging

    @property
    def random(self) -> bool:
        """Whether a seed makes a difference: what is not rounded can be turned as one likes."""
        return self.projection == "random" or (self.rounded and self.rotation != "none")


@dataclass(frozen=True, slots=True)
class _Codes:
    """Codes of P passages, one passage's after another's."""

    values: npt.NDArray[Any]  # (n, bits / 8) uint8, or (n, bits) float16 of unit norm
    counts: Integers  # (P,)
    bytes: float  # a token of the passages, all counted


class Variants:
    """Late interaction scores of one development set, by any variant."""

    def __init__(self, candidates: Candidates) -> None:
        self._of = candidates
        self._points = np.empty(candidates.states.shape, np.float32)
        for first in range(0, len(self._points), _CHUNK):
            some = slice(first, first + _CHUNK)
            self._points[some] = self._centred(candidates.states[some].astype(np.float32))
        self._query_points = self._centred(candidates.query_states)
        self._mean = candidates.mean @ candidates.components
        self._common = candidates.frequency[candidates.ids] > MAX_DF
        # Settings of one geometry come one after another.
        self._projected = lru_cache(maxsize=1)(self._project)
        self._kept = lru_cache(maxsize=1)(self._keep)
        self._merges = lru_cache(maxsize=1)(self._merge)
        self._summed = lru_cache(maxsize=1)(self._sum)

    def _centred(self, states: Vectors) -> Vectors:
        """``states`` (n, d) off the mean, on all components."""
        projected: Vectors = np.matmul(unit(states) - self._of.mean, self._of.components)
        return projected

    def late(self, variant: Variant, seed: int) -> tuple[Vectors, float]:
        """The score of every candidate (Q, C), and the bytes a passage token takes."""
        of = self._of
        codes = self._code(variant, seed)
        queries = self._queries(variant, seed)
        ends = np.cumsum(codes.counts)
        late = np.empty(of.rows.shape, np.float32)
        for i, rows in enumerate(of.rows):
            own = slice(of.query_starts[i], of.query_starts[i + 1])
            weights = self._weights(variant, of.query_ids[own])
            counts = codes.counts[rows]
            shifts = np.repeat(ends[rows] - np.cumsum(counts), counts)
            values = codes.values[shifts + np.arange(len(shifts))]
            if variant.rounded:
                late[i] = maxsim(queries[own], weights, values, counts)
            else:
                late[i] = best_met(values.astype(np.float32) @ queries[own].T, counts) @ weights
        return late, codes.bytes

    def _turn(self, variant: Variant, seed: int) -> Vectors:
        if variant.rotation == "random":
            return rotation(variant.bits, seed)
        if variant.rotation == "none":
            return np.eye(variant.bits, dtype=np.float32)
        projected = self._projected(variant.projection, variant.bits, seed)
        generator = np.random.default_rng(seed)
        informative = np.flatnonzero(~self._common)
        sample = projected[
            generator.choice(informative, min(_ITQ_POINTS, len(informative)), replace=False)
        ]
        return itq(sample, rotation(variant.bits, seed), _ITQ_ROUNDS)

    def _queries(self, variant: Variant, seed: int) -> Vectors:
        projected = self._query_points + self._mean * (variant.centred != "both")
        if variant.projection == "random":
            projected = projected @ _subspace(projected.shape[1], variant.bits, seed)
        turned = unit(projected[:, : variant.bits] @ self._turn(variant, seed))
        if variant.queries == "1 bit":
            turned = (np.sign(turned) / np.sqrt(variant.bits)).astype(np.float32)
        elif variant.queries == "int8":
            steps = np.abs(turned).max(axis=1, keepdims=True) / 127
            turned = np.round(turned / steps) * steps
        return turned

    def _weights(self, variant: Variant, ids: Integers) -> Vectors:
        weights: Vectors = -np.log(self._of.frequency[ids])
        if variant.weights == "equal":
            weights = np.ones_like(weights)
        weights /= np.float32(max(weights.sum(), 1e-9))
        return weights

    def _code(self, variant: Variant, seed: int) -> _Codes:
        fixed = 0 if variant.projection == "components" else seed
        geometry = *variant.geometry, variant.share, fixed
        sums, sizes, owners = self._summed(*geometry)
        turn = self._turn(variant, seed)
        shift = self._mean
        if variant.projection == "random":
            shift = shift @ _subspace(len(shift), variant.bits, seed)
        if variant.centred == "neither":
            sums = sums + sizes[:, None] * shift[: variant.bits]
        passages = len(self._of.starts) - 1
        turned = sums @ turn
        width = variant.bits // 8 if variant.rounded else 2 * variant.bits
        stored = len(turned) * (width + _PLACE) + passages * _COUNTS
        if variant.common == "shared":
            more, theirs = self._shared(variant, seed, turn)
            stored += len(theirs) * (1 + _PLACE)  # the name of each
            order = np.argsort(np.concatenate([owners, theirs]), kind="stable")
            turned = np.concatenate([turned, more])[order]
            owners = np.concatenate([owners, theirs])
        counts = np.bincount(owners, minlength=passages)
        values = (
            np.packbits(turned > 0, axis=1) if variant.rounded else unit(turned).astype(np.float16)
        )
        return _Codes(values, counts, stored / len(self._of.ids))

    def _shared(self, variant: Variant, seed: int, turn: Vectors) -> tuple[Vectors, Integers]:
        """The common tokens of each passage as BTR stores them, each by the mean of all its signs.

        (m, bits), and the passage of each (m,).
        """
        projected = self._projected(variant.projection, variant.bits, seed)
        owners = np.repeat(np.arange(len(self._of.starts) - 1), np.diff(self._of.starts))
        there = np.flatnonzero(self._common)
        names, number = np.unique(self._of.ids[there], return_inverse=True)
        signs = np.sign(projected[there] @ turn)
        means = np.zeros((len(names), variant.bits), np.float32)
        np.add.at(means, number, signs)
        pairs = np.unique(np.stack([owners[there], number], axis=1), axis=0)
        return means[pairs[:, 1]], pairs[:, 0]

    def _project(self, projection: str, bits: int, seed: int) -> Vectors:
        """Points (T, bits), not turned."""
        if projection == "components":
            return np.ascontiguousarray(self._points[:, :bits])
        projected: Vectors = self._points @ _subspace(len(self._mean), bits, seed)
        return projected

    def _keep(self, common: str) -> list[Integers]:
        """Of each passage the tokens that are left."""
        found = []
        for first, end in zip(self._of.starts[:-1], self._of.starts[1:], strict=True):
            tokens = np.arange(first, end)
            informative = tokens[~self._common[first:end]]
            found.append(informative if common != "kept" and len(informative) else tokens)
        return found

    def _merge(
        self, projection: str, bits: int, common: str, merging: str, seed: int
    ) -> list[Callable[[int], Integers]]:
        """Of each passage what says the clusters of its tokens, for how many there may be."""
        projected = self._projected(projection, bits, seed)
        return [_clusters(projected[tokens], merging) for tokens in self._kept(common)]

    def _sum(
        self, projection: str, bits: int, common: str, merging: str, share: float, seed: int
    ) -> tuple[Vectors, Vectors, Integers]:
        """The sum of each cluster's projected (n, bits), how many they are (n,), and whose (n,)."""
        projected, kept = self._projected(projection, bits, seed), self._kept(common)
        clusters = [np.arange(len(tokens)) for tokens in kept]
        if share < 1:
            merges = self._merges(projection, bits, common, merging, seed)
            most = np.maximum(1, np.ceil(share * np.diff(self._of.starts))).astype(int)
            clusters = [find(count) for find, count in zip(merges, most.tolist(), strict=True)]
        counts = np.array([each.max(initial=-1) + 1 for each in clusters])
        firsts = np.cumsum(counts) - counts
        number = np.concatenate([each + n for each, n in zip(clusters, firsts, strict=True)])
        place, ones = np.concatenate(kept), np.ones(len(number), np.float32)
        chosen = csr_array((ones, (number, place)), shape=(counts.sum(), len(projected)))
        sizes = np.bincount(number).astype(np.float32)
        return chosen @ projected, sizes, np.repeat(np.arange(len(counts)), counts)


def _clusters(projected: Vectors, merging: str) -> Callable[[int], Integers]:
    """What says the cluster of each row of ``projected`` where there may be so many clusters."""
    if len(projected) < 2:
        return lambda _: np.arange(len(projected))
    if merging == "bipartite":
        return lambda count: bipartite(projected, count)
    merges = linkage(projected, "ward")[:, :2].astype(np.int32)
    return lambda count: cut(merges, count)


def cut(merges: npt.NDArray[np.int32], count: int) -> Integers:
    """The cluster (n,) of each leaf where the first of n - 1 ``merges`` leave ``count``."""
    leaves = len(merges) + 1
    done = merges[: max(0, leaves - count)].tolist()
    root = list(range(leaves + len(done)))
    for number in range(len(done) - 1, -1, -1):
        for child in done[number]:
            root[child] = root[leaves + number]
    return np.unique(root[:leaves], return_inverse=True)[1]


def bipartite(projected: Vectors, count: int) -> Integers:
    """The cluster (n,) of each row of ``projected`` by bipartite matching (Bolya et al. 2023, section 3.2).

    In each round every other cluster looks for the nearest among the rest, by cosine, and those nearest
    to theirs join them, until ``count`` are left.
    """
    cluster = np.arange(len(projected))
    sums, names = projected.copy(), np.arange(len(projected))
    while len(names) > max(1, count):
        even, odd = np.arange(0, len(names), 2), np.arange(1, len(names), 2)
        units = unit(sums)
        likeness = units[even] @ units[odd].T
        nearest = likeness.argmax(axis=1)
        wanted = min(len(names) - count, len(even))
        joining = np.argsort(-likeness.max(axis=1), kind="stable")[:wanted]
        gone, into = even[joining], odd[nearest[joining]]
        np.add.at(sums, into, sums[gone])
        becomes = np.arange(len(projected))
        becomes[names[gone]] = names[into]
        cluster = becomes[cluster]
        left = np.ones(len(names), bool)
        left[gone] = False
        sums, names = sums[left], names[left]
    return np.unique(cluster, return_inverse=True)[1]


def itq(projected: Vectors, turn: Vectors, rounds: int) -> Vectors:
    """``turn`` (b, b) changed so that turned ``projected`` (n, b) lie nearer to their signs.

    Iterative quantisation (Gong & Lazebnik 2011).
    """
    for _ in range(rounds):
        left, _, right = np.linalg.svd(projected.T @ np.sign(projected @ turn))
        turn = (left @ right).astype(np.float32)
    return turn


def unit(vectors: Vectors) -> Vectors:
    """``vectors`` (n, d) at length 1; those of length 0 as they are."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: Vectors = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
    return units


@lru_cache(maxsize=2)
def _subspace(dimension: int, bits: int, seed: int) -> Vectors:
    noise = np.random.default_rng(seed).standard_normal((dimension, bits))
    return np.linalg.qr(noise)[0].astype(np.float32)
