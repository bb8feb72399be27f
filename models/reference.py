"""Layers in plain NumPy float64, for the references that exported graphs are tested against."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Weights = Mapping[str, npt.NDArray[np.floating]]


def linear(w: Weights, name: str, x: Doubles) -> Doubles:
    """``x`` (n, d) through the layer ``name`` of ``w``, with its bias if it has one."""
    found: Doubles = x @ w[f"{name}.weight"].T.astype(np.float64)
    return found + w[f"{name}.bias"] if f"{name}.bias" in w else found


def feed(w: Weights, name: str, x: Doubles) -> Doubles:
    """The output (n, d) of the feed-forward layer ``name``: up, GELU, down. The residual is not added."""
    inner = linear(w, f"{name}up", x)
    gelu = inner * (1 + np.vectorize(math.erf)(inner / math.sqrt(2))) / 2
    return linear(w, f"{name}down", gelu)


def norm(w: Weights, name: str, x: Doubles) -> Doubles:
    """The layer normalisation ``name`` of each row of ``x`` (n, d)."""
    found: Doubles = unscaled(x) * w[f"{name}.weight"] + w[f"{name}.bias"]
    return found


def unscaled(x: Doubles) -> Doubles:
    """Each row of ``x`` (n, d) with mean 0 and variance 1."""
    centred = x - x.mean(axis=1, keepdims=True)
    found: Doubles = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    return found


def softmax(logits: Doubles) -> Doubles:
    """The softmax of ``logits`` over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found: Doubles = powers / powers.sum(axis=-1, keepdims=True)
    return found


def numbered(w: Weights, name: str) -> list[str]:
    """``name.0``, ``name.1`` and so on: the numbered layers that ``w`` has."""
    numbers = {int(key.split(".")[1]) for key in w if key.startswith(f"{name}.")}
    return [f"{name}.{number}" for number in sorted(numbers)]
