"""A NumPy reference of a decoder's scores, one candidate at a time; its graphs are tested against it."""

from __future__ import annotations

import math

import numpy as np

from lurcher.models.ranker.maxsim import NOTHING
from lurcher.models.reference import (
    Doubles,
    Weights,
    feed,
    linear,
    norm,
    numbered,
    softmax,
    unscaled,
)
from lurcher.models.tokens.clustering import Vectors
from lurcher.models.tokens.coder import Codes


def reference_score(
    w: Weights, heads: int, states: Vectors, weights: Vectors, projected: Vectors, codes: Codes, prior: float
) -> float:  # fmt: skip
    """The score of one candidate of ``codes`` (M, bits/8), by the trained decoder's weights ``w``.

    ``states`` (L, d), ``weights`` (L,) and ``projected`` (L, bits) are the query's.
    """
    bits = projected.shape[1]
    signs = (2.0 * np.unpackbits(codes, axis=1) - 1) / math.sqrt(bits)  # (M, bits)
    similar = projected.astype(np.float64) @ signs.T  # (L, M)
    best = similar.max(axis=1) if len(codes) else np.full(len(projected), NOTHING)
    near = np.log1p(np.exp(20 * similar).sum(axis=1))
    met = np.stack([4 * best, near / 4, 20 * weights * best], axis=1)  # (L, 3)

    x = linear(w, "enter", unscaled(states.astype(np.float64)))
    x = x + linear(w, "weigh", 10 * weights[:, None].astype(np.float64))
    for name in numbered(w, "layers"):
        x = _feed(w, f"{name}.feed", x + _among(w, name, heads, x))
    for name in numbered(w, "crossings"):
        queries = linear(w, f"{name}.keys", norm(w, f"{name}.norm", x)).reshape(-1, heads, bits)
        context = np.zeros_like(queries)
        for head, sharpness in enumerate(w[f"{name}.sharpness"]):
            logits = queries[:, head] @ signs.T * math.sqrt(bits) / 4 + sharpness * similar
            if len(codes):
                context[:, head] = softmax(logits) @ signs
        x = x + linear(w, f"{name}.values", context.reshape(len(x), -1))
        x = _feed(w, f"{name}.feed", x + linear(w, f"{name}.met", met))
    found = linear(w, "value", x).mean() + (linear(w, "gate", x)[:, 0] * weights * best).sum()
    return float(prior + found / math.exp(w["log_scale"]))


def _among(w: Weights, name: str, heads: int, x: Doubles) -> Doubles:
    """Self-attention among the query's tokens ``x`` (L, width)."""
    parts = linear(w, f"{name}.project", norm(w, f"{name}.norm", x))
    query, key, value = parts.reshape(len(x), 3, heads, -1).transpose(1, 2, 0, 3)
    attention = softmax(query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1]))
    return linear(w, f"{name}.out", (attention @ value).transpose(1, 0, 2).reshape(x.shape))


def _feed(w: Weights, name: str, x: Doubles) -> Doubles:
    return x + feed(w, f"{name}.", norm(w, f"{name}.norm", x))
