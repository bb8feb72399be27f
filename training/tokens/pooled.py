"""Passages' token states, merged as the token store merges them but not yet projected or rounded.

A projection is linear, so that it may come after the mean of a cluster: each passage is read once, and
training sees a third of its tokens, in memory-mapped files::

    means.f16    mean unit state of each cluster, passage after passage, (n, d)
    counts.npy   clusters of each passage
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.passages import Rows
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.tokens.products import Vectors
from lurcher.threads import available_cpus
from lurcher.training.ranker.questions import token_store

_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Pooled:
    """The merged token states of a bundle's passages."""

    means: npt.NDArray[np.float16]  # (n, d)
    starts: Rows  # (passages + 1,)

    def of(self, rows: Rows) -> tuple[Vectors, Rows]:
        """Those (n, d) of passages ``rows`` (C,), one after the other, and how many each has (C,)."""
        parts = [self.means[self.starts[row] : self.starts[row + 1]] for row in rows.tolist()]
        return np.concatenate(parts).astype(np.float32), self.starts[rows + 1] - self.starts[rows]


def pooled(bundle: Bundle, keep_ratio: float, folder: Path) -> Pooled:
    """The states of all passages of ``bundle``, which are read unless ``folder`` has them all."""
    means, counts = folder / "means.f16", folder / "counts.npy"
    if not counts.exists():
        folder.mkdir(parents=True, exist_ok=True)
        written = folder / "counts.new.npy"
        np.save(written, _write(bundle, keep_ratio, means))
        written.replace(counts)  # whole, or not there: its presence says that the rest is
    starts = np.concatenate([[0], np.cumsum(np.load(counts))])
    shape = (int(starts[-1]), bundle.encoder.dimension)
    return Pooled(np.memmap(means, np.float16, "r", shape=shape), starts)


def _write(bundle: Bundle, keep_ratio: float, file: Path) -> Rows:
    coder, encoder = (
        token_store(bundle).coder,
        Encoder.load(bundle.path / ENCODER, "passage", available_cpus()),
    )
    counts: list[int] = []
    with file.open("wb") as out:
        everything = bundle.all_rows()
        for first in range(0, len(everything), _CHUNK):
            rows = everything[first : first + _CHUNK]
            tokens = encoder.tokenise([p.content for p in bundle.passages.get(rows)])
            for text, states in zip(tokens, encoder.encode_states(tokens)[1], strict=True):
                own = encoder.own_tokens(text)
                merged = coder.merged(states[own], text.ids[own], keep_ratio)
                out.write(merged.astype(np.float16).tobytes())
                counts.append(len(merged))
    return np.array(counts, np.int64)
