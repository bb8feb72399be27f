"""What values the tensors of a graph take on given texts: their channels' ends, and how they are spread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from lurcher.training.compression.tensors import Inputs, evaluate

Array = npt.NDArray[np.float32]

# Fine against the 255 steps of an INT8 range.
_BINS = 1 << 14


@dataclass(frozen=True)
class Spread:
    """How many values of a tensor fall into each of equal parts of the way from the least to the largest."""

    least: float
    largest: float
    counts: npt.NDArray[np.int64]

    def range(self, share: float) -> tuple[float, float]:
        """The ends of what is left without ``share`` of the values at each end; all of it for 0."""
        below = np.cumsum(self.counts)
        out = share * float(below[-1])
        first = int(np.searchsorted(below, out, side="right"))
        last = int(np.searchsorted(below, float(below[-1]) - out, side="left"))
        width = (self.largest - self.least) / len(self.counts)
        return self.least + first * width, self.least + (last + 1) * width


def channel_ends(
    graph: onnx.ModelProto, names: Sequence[str], batches: Sequence[Inputs]
) -> dict[str, tuple[Array, Array]]:
    """The least and the largest value of each channel, (K,) and (K,), of each of the tensors ``names``."""
    ends: dict[str, tuple[Array, Array]] = {}
    for name, tokens in _tokens(graph, names, batches):
        least, largest = tokens.min(axis=0), tokens.max(axis=0)
        if name in ends:
            least, largest = np.minimum(least, ends[name][0]), np.maximum(largest, ends[name][1])
        ends[name] = least, largest
    return ends


def spreads(
    graph: onnx.ModelProto,
    ends: Mapping[str, tuple[Array, Array]],
    divisors: Mapping[str, Array],
    batches: Sequence[Inputs],
) -> dict[str, Spread]:
    """The spread of each tensor in ``ends``, its channels' ends, over the same ``batches``.

    Those in ``divisors`` are divided by them, channel by channel (K,), first.
    """
    found: dict[str, Spread] = {}
    for name, (least, largest) in ends.items():
        divisor = divisors.get(name, np.float32(1))
        whole = float((least / divisor).min()), float((largest / divisor).max())
        found[name] = Spread(*whole, np.zeros(_BINS, np.int64))
    for name, tokens in _tokens(graph, list(ends), batches):
        divided = tokens / divisors.get(name, np.float32(1))
        spread = found[name]
        spread.counts[:] += np.histogram(divided, _BINS, (spread.least, spread.largest))[0]
    return found


def _tokens(
    graph: onnx.ModelProto, names: Sequence[str], batches: Sequence[Inputs]
) -> Iterator[tuple[str, Array]]:
    """The rows (n, K) of each tensor in each batch; of a tensor with a row a token, without padding."""
    if not names:
        return  # evaluate would give all outputs
    for batch, found in zip(batches, evaluate(graph, names, batches), strict=True):
        mask = batch.get("attention_mask")
        for name, values in zip(names, found, strict=True):
            if mask is not None and values.shape[:2] == mask.shape:
                rows = values[mask.astype(bool)]
            else:
                rows = values
            yield name, rows.reshape(-1, values.shape[-1])
