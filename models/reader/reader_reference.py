"""A NumPy reference of a reader's logits, one passage at a time; its graph is tested against it."""

from __future__ import annotations

import math

import numpy as np

from lurcher.models.reference import Doubles, Weights, feed, linear, norm, numbered, softmax
from lurcher.models.tokens.clustering import Integers, Vectors

# As in training/reader/network.py: distances are cut off at _FAR places, and _PLACES of them count 1.
_FAR, _PLACES = 64, 4


def reference_logits(
    w: Weights, heads: int, states: Vectors, weights: Vectors, decoded: Vectors, places: Integers
) -> Doubles:
    """Logits (M, 2) of where an answer starts and ends in one passage, by the trained reader's weights ``w``.

    ``states`` (L, d) and ``weights`` (L,) are the query's, of at least one token; ``decoded`` (M, d) and
    ``places`` (M,) the passage's.
    """
    query, read = states.astype(np.float64), decoded.astype(np.float64)
    similar = query @ read.T  # (L, M)
    met = 2 * np.stack([similar.max(axis=0), weights @ similar], axis=1)  # (M, 2)
    x = np.concatenate(
        [linear(w, "query", query), linear(w, "passage", read) + linear(w, "met", met)]
    )
    pairs = _pairs(similar, places)
    for name in numbered(w, "layers"):
        x = x + _attention(w, name, heads, x, pairs)
        x = x + feed(w, f"{name}.", norm(w, f"{name}.feed_norm", x))
    return linear(w, "head", norm(w, "norm", x[len(query) :]))


def _pairs(similar: Doubles, places: Integers) -> Doubles:
    """The features of each pair of N = L + M tokens, the query's first, (3, N, N).

    Their similarity, how far the second stands behind the first, and how far before it.
    """
    queries, codes = similar.shape
    pairs = np.zeros((3, queries + codes, queries + codes))
    pairs[0, :queries, queries:], pairs[0, queries:, :queries] = similar, similar.T
    apart = np.clip(places[None, :] - places[:, None], -_FAR, _FAR) / _PLACES
    pairs[1, queries:, queries:], pairs[2, queries:, queries:] = (
        np.maximum(apart, 0),
        np.maximum(-apart, 0),
    )
    return pairs


def _attention(w: Weights, name: str, heads: int, x: Doubles, pairs: Doubles) -> Doubles:
    """Self-attention among the tokens ``x`` (N, width), biased by ``pairs`` (3, N, N)."""
    parts = linear(w, f"{name}.project", norm(w, f"{name}.norm", x)).reshape(len(x), 3, heads, -1)
    heads_out = []
    for head, bias in enumerate(w[f"{name}.pair_bias"].astype(np.float64)):
        query, key, value = parts[:, :, head].transpose(1, 0, 2)  # (N, width / heads) each
        logits = query @ key.T / math.sqrt(key.shape[1]) + np.einsum("c,cij->ij", bias, pairs)
        heads_out.append(softmax(logits) @ value)
    return linear(w, f"{name}.out", np.concatenate(heads_out, axis=1))
