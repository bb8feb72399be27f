"""A decoder's scores in plain NumPy, one candidate at a time: what its graphs are held against."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from models.ranker.maxsim import NOTHING
from models.tokens.clustering import Vectors
from models.tokens.coder import Codes

Doubles = npt.NDArray[np.float64]
Weights = Mapping[str, npt.NDArray[np.floating]]


def twin_score(
    w: Weights, heads: int, states: Vectors, weights: Vectors, points: Vectors, codes: Codes, prior: float
) -> float:  # fmt: skip
    """The score of one candidate of ``codes`` (M, bits/8), by the trained decoder's weights ``w``.

    ``states`` (L, d), ``weights`` (L,) and ``points`` (L, bits) are the query's.
    """
    bits = points.shape[1]
    signs = (2.0 * np.unpackbits(codes, axis=1) - 1) / math.sqrt(bits)  # (M, bits)
    similar = points.astype(np.float64) @ signs.T  # (L, M)
    best = similar.max(axis=1) if len(codes) else np.full(len(points), NOTHING)
    near = np.log1p(np.exp(20 * similar).sum(axis=1))
    met = np.stack([4 * best, near / 4, 20 * weights * best], axis=1)  # (L, 3)

    x = _linear(w, "enter", _unscaled(states.astype(np.float64)))
    x = x + _linear(w, "weigh", 10 * weights[:, None].astype(np.float64))
    for name in _numbered(w, "layers"):
        x = _feed(w, f"{name}.feed", x + _among(w, name, heads, x))
    for name in _numbered(w, "crossings"):
        asked = _linear(w, f"{name}.keys", _norm(w, f"{name}.norm", x)).reshape(-1, heads, bits)
        context = np.zeros_like(asked)
        for head, sharpness in enumerate(w[f"{name}.sharpness"]):
            logits = asked[:, head] @ signs.T * math.sqrt(bits) / 4 + sharpness * similar
            if len(codes):
                context[:, head] = _softmax(logits) @ signs
        x = x + _linear(w, f"{name}.values", context.reshape(len(x), -1))
        x = _feed(w, f"{name}.feed", x + _linear(w, f"{name}.met", met))
    found = _linear(w, "value", x).mean() + (_linear(w, "gate", x)[:, 0] * weights * best).sum()
    return float(prior + found / math.exp(w["log_scale"]))


def _among(w: Weights, name: str, heads: int, x: Doubles) -> Doubles:
    """Self-attention among the query's tokens ``x`` (L, width)."""
    parts = _linear(w, f"{name}.project", _norm(w, f"{name}.norm", x))
    query, key, value = parts.reshape(len(x), 3, heads, -1).transpose(1, 2, 0, 3)
    attention = _softmax(query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1]))
    return _linear(w, f"{name}.out", (attention @ value).transpose(1, 0, 2).reshape(x.shape))


def _feed(w: Weights, name: str, x: Doubles) -> Doubles:
    inner = _linear(w, f"{name}.up", _norm(w, f"{name}.norm", x))
    gelu = inner * (1 + np.vectorize(math.erf)(inner / math.sqrt(2))) / 2
    return x + _linear(w, f"{name}.down", gelu)


def _linear(w: Weights, name: str, x: Doubles) -> Doubles:
    found: Doubles = x @ w[f"{name}.weight"].T.astype(np.float64)
    return found + w[f"{name}.bias"] if f"{name}.bias" in w else found


def _norm(w: Weights, name: str, x: Doubles) -> Doubles:
    found: Doubles = _unscaled(x) * w[f"{name}.weight"] + w[f"{name}.bias"]
    return found


def _unscaled(x: Doubles) -> Doubles:
    """Each row with mean 0 and variance 1."""
    centred = x - x.mean(axis=1, keepdims=True)
    found: Doubles = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    return found


def _softmax(logits: Doubles) -> Doubles:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found: Doubles = powers / powers.sum(axis=-1, keepdims=True)
    return found


def _numbered(w: Weights, name: str) -> list[str]:
    """``name.0``, ``name.1`` and so on, as many as ``w`` has."""
    numbers = {int(key.split(".")[1]) for key in w if key.startswith(f"{name}.")}
    return [f"{name}.{number}" for number in sorted(numbers)]
