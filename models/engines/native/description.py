"""A text encoder as the native engine needs it: sizes, tables, matrices."""

from __future__ import annotations

from dataclasses import dataclass

from lurcher.models.engines.native.onnx_file import Array


@dataclass(frozen=True)
class Norm:
    """A layer normalisation: gain and bias (d,)."""

    gain: Array
    bias: Array
    epsilon: float


@dataclass(frozen=True)
class Matrix:
    """A product: inputs times ``factor`` (K,), rounded, times INT8 ``weights`` (K, N) times ``scale`` (N,).

    Inputs are rounded to multiples of ``step``, with ``zero`` for 0; where ``step`` is 0, to 127 steps of a
    token's largest.
    """

    weights: Array
    scale: Array
    bias: Array
    factor: Array | None
    step: float
    zero: int


@dataclass(frozen=True)
class Layer:
    """One layer; query, key and value in one matrix."""

    qkv: Matrix
    out: Matrix
    after_attention: Norm
    up: Matrix
    down: Matrix
    after_feed: Norm


@dataclass(frozen=True)
class Description:
    """A text encoder."""

    heads: int
    words: Array  # (V, d) int8 with scales, or float32
    word_scales: Array | None  # (V,)
    positions: Array  # (P, d)
    type_row: Array  # (d,)
    first: Norm
    layers: list[Layer]
    head: Matrix | None
    cls: bool
    unit: bool
    lower_layer: int  # whose states are the output lower_states; -1 if there is none

    @property
    def width(self) -> int:
        """The number of features of a token, and of a vector."""
        return len(self.type_row)
