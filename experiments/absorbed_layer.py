"""One cross-attention layer over 1-bit codes, computed plainly and absorbed, and what each multiplies.

As in ED2LM (Hui et al. 2022), a query's tokens read codes b_j of ``bits`` signs; d = width / heads::

    o_i = W_O [sum_j a_ihj W_V,h b_j]_h      a_ihj = softmax_j(q_ih . W_K,h b_j / sqrt(d))

Absorbed, nothing is projected for any code, as q . W b = (W^T q) . b and sum_j a_j W b_j = W sum_j a_j b_j::

    o_i = W_VO [sum_j a_ihj b_j]_h           a_ihj = softmax_j((W_K,h^T q_ih) . b_j / sqrt(d))

W_VO is W_O and W_V multiplied beforehand, one product as in the shipped decoder; W_V by head and W_O after it
would multiply less. That decoder learns W_K^T W_Q and W_O W_V as they stand, of any rank; here they have rank
d in each head, for the plain way to compute the same. Biases are left out: that of keys cancels in the
softmax, that of values adds the same to every o_i.

Each way has two graphs, as the decoder has: ``once`` for a query, ``each`` for so many candidates as fit in
the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lurcher.models.engines import open_engine
from lurcher.training.graph import OPSET, quiet_tracing

Array = npt.NDArray[np.float32]

# A run of ``each``, as in models.ranker.decoder.
_CODES_AT_ONCE = 1_024


@dataclass(frozen=True, slots=True)
class Size:
    """How large a layer is, and what it is given."""

    width: int
    heads: int
    bits: int
    candidates: int  # C
    length: int  # L, a query's tokens
    codes: int  # M, a candidate's


@dataclass(frozen=True)
class Weights:
    """What both ways are made from; rows are multiplied by them from the left, heads stand side by side."""

    keys: Tensor  # (bits, width)
    values: Tensor  # (bits, width)
    out: Tensor  # (width, width)


def draw(size: Size, seed: int) -> tuple[Weights, Array, Array]:
    """Random weights, projected query tokens (L, width) and candidates' signs (C, M, bits)."""
    generator = np.random.default_rng(seed)

    def matrix(rows: int) -> Tensor:
        # Logits deviate by 1: no attention is all alike, or all on one code.
        drawn = generator.standard_normal((rows, size.width)) / math.sqrt(rows)
        return torch.from_numpy(drawn.astype(np.float32))

    weights = Weights(matrix(size.bits), matrix(size.bits), matrix(size.width))
    queries = generator.standard_normal((size.length, size.width)).astype(np.float32)
    signs = generator.integers(0, 2, (size.candidates, size.codes, size.bits), np.int8)
    return weights, queries, (2 * signs - 1).astype(np.float32)


class Layer(Protocol):
    """A way to compute it."""

    def once(self, queries: Tensor) -> Tensor:
        """What ``each`` needs of query tokens (L, width)."""

    def each(self, query: Tensor, signs: Tensor) -> Tensor:
        """What the tokens read (C, L, width) in ``signs`` (C, M, bits)."""


class Plain:
    """Keys and values of every code are projected."""

    def __init__(self, weights: Weights, heads: int) -> None:
        self._weights, self._heads = weights, heads

    def once(self, queries: Tensor) -> Tensor:
        """Queries (heads, L, d)."""
        return _by_head(queries, self._heads)

    def each(self, query: Tensor, signs: Tensor) -> Tensor:
        """What the tokens read (C, L, width) in ``signs`` (C, M, bits)."""
        heads, length, each = query.shape
        candidates, codes, _ = signs.shape
        key = (signs @ self._weights.keys).view(candidates, codes, heads, each)
        value = (signs @ self._weights.values).view(candidates, codes, heads, each)
        attention = (query @ key.permute(0, 2, 3, 1)).softmax(-1)  # (C, heads, L, M)
        context = (attention @ value.transpose(1, 2)).transpose(1, 2)  # (C, L, heads, d)
        found: Tensor = context.reshape(candidates, length, heads * each) @ self._weights.out
        return found


class Absorbed:
    """Queries are carried to the codes, and what attention gathers of codes is carried back."""

    def __init__(self, weights: Weights, heads: int) -> None:
        bits, width = weights.keys.shape
        self._heads, each = heads, width // heads
        self._keys = weights.keys.view(bits, heads, each).permute(1, 2, 0)  # (heads, d, bits)
        values = weights.values.view(bits, heads, each).transpose(0, 1)  # (heads, bits, d)
        out = weights.out.view(heads, each, width)
        self._values = (values @ out).view(heads * bits, width)

    def once(self, queries: Tensor) -> Tensor:
        """Queries (L, heads, bits)."""
        return (_by_head(queries, self._heads) @ self._keys).transpose(0, 1).contiguous()

    def each(self, query: Tensor, signs: Tensor) -> Tensor:
        """What the tokens read (C, L, width) in ``signs`` (C, M, bits)."""
        length, heads, bits = query.shape
        logits = query.view(length * heads, bits) @ signs.transpose(1, 2)  # (C, L heads, M)
        context = (logits.softmax(-1) @ signs).view(-1, length, heads * bits)
        found: Tensor = context @ self._values
        return found


def _by_head(queries: Tensor, heads: int) -> Tensor:
    """``queries`` (L, width) as (heads, L, d), scaled for the softmax."""
    length, width = queries.shape
    each = width // heads
    return (queries / math.sqrt(each)).view(length, heads, each).transpose(0, 1)


class Graphs:
    """A layer by ONNX Runtime, on one thread."""

    def __init__(self, layer: Layer, queries: Array, signs: Array, folder: Path) -> None:
        """Written into ``folder`` for inputs of such shapes, of any number of candidates."""
        given = torch.from_numpy(queries), torch.from_numpy(signs[:2])
        query = layer.once(given[0])
        _write(layer.once, folder / "once.onnx", {"queries": given[0]}, "query")
        _write(layer.each, folder / "each.onnx", {"query": query, "signs": given[1]}, "read")
        self._once, self._each = (
            open_engine("onnxruntime", folder / name, 1) for name in ("once.onnx", "each.onnx")
        )

    def read(self, queries: Array, signs: Array) -> Array:
        """What tokens ``queries`` (L, width) read in ``signs`` (C, M, bits): (C, L, width)."""
        (query,) = self._once.run(["query"], {"queries": queries})
        step = max(1, _CODES_AT_ONCE // signs.shape[1])
        parts = []
        for first in range(0, len(signs), step):
            inputs = {"query": query, "signs": signs[first : first + step]}
            parts += self._each.run(["read"], inputs)
        return np.concatenate(parts)


class _Traced(nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """A function as what torch can export."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self._function(*inputs)


def _write(
    function: Callable[..., Tensor], file: Path, inputs: dict[str, Tensor], output: str
) -> None:
    any_number = {
        name: {0: "candidates"} for name in ("signs", "read") if name in {*inputs, output}
    }
    with quiet_tracing():
        torch.onnx.export(
            _Traced(function).eval(), tuple(inputs.values()), str(file), dynamo=False,
            opset_version=OPSET, input_names=list(inputs), output_names=[output],
            dynamic_axes=any_number,
        )  # fmt: skip


def plain_multiplications(size: Size) -> int:
    """C (2 M bits width + 2 L M width + L width^2): keys and values, attention, W_O."""
    project = 2 * size.codes * size.bits * size.width
    attend = 2 * size.length * size.codes * size.width
    return size.candidates * (project + attend + size.length * size.width**2)


def absorbed_multiplications(size: Size) -> int:
    """L bits width + C (2 L heads M bits + L heads bits width): the query, attention, W_VO."""
    once = size.length * size.bits * size.width
    wide = size.heads * size.bits
    attend = 2 * size.length * size.codes * wide
    return once + size.candidates * (attend + size.length * wide * size.width)
