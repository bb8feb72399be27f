"""The native engine's encoder in NumPy, with the same weights and inputs that are not rounded."""

from __future__ import annotations

import math

import numpy as np

from lurcher.models.engines.native.description import Description, Layer, Matrix, Norm
from lurcher.models.engines.native.onnx_file import Array

_erf = np.vectorize(math.erf, otypes=[np.float64])


def encode(described: Description, ids: Array) -> tuple[Array, Array, Array]:
    """The vector (d,), states (L, d) and lower states (L, d) of a text of tokens ``ids`` (L,), float64."""
    words = described.words[ids].astype(np.float64)
    if described.word_scales is not None:
        words *= described.word_scales[ids, None]
    states = _norm(words + described.type_row + described.positions[: len(ids)], described.first)
    lower = states
    for number, layer in enumerate(described.layers):
        states = _layer(states, layer, described.heads)
        lower = states if number == described.lower_layer else lower
    if described.head is not None:
        states = _product(states, described.head)
    vector = states[0] if described.cls else states.mean(axis=0)
    return vector / (np.linalg.norm(vector) if described.unit else 1), states, lower


def _layer(x: Array, layer: Layer, heads: int) -> Array:
    length, width = x.shape
    split = _product(x, layer.qkv).reshape(length, 3, heads, width // heads)
    query, key, value = split.transpose(1, 2, 0, 3)  # (H, L, d / H) each
    scores = query @ key.transpose(0, 2, 1) / math.sqrt(width // heads)
    shares = np.exp(scores - scores.max(axis=2, keepdims=True))
    mixed = (shares / shares.sum(axis=2, keepdims=True)) @ value
    x = _norm(
        _product(mixed.transpose(1, 0, 2).reshape(length, width), layer.out) + x,
        layer.after_attention,
    )
    up = _product(x, layer.up)
    bent = up * (1 + _erf(up / math.sqrt(2))) / 2
    return _norm(_product(bent, layer.down) + x, layer.after_feed)


def _product(x: Array, matrix: Matrix) -> Array:
    factor = 1 if matrix.factor is None else matrix.factor
    return np.asarray(
        (x * factor) @ (matrix.weights * matrix.scale.astype(np.float64)) + matrix.bias
    )


def _norm(x: Array, norm: Norm) -> Array:
    apart = x - x.mean(axis=1, keepdims=True)
    variance = (apart**2).mean(axis=1, keepdims=True)
    return np.asarray(apart / np.sqrt(variance + norm.epsilon) * norm.gain + norm.bias)
