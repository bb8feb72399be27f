"""What the teacher says of each training query, computed once and memory-mapped.

::

    ids.npy        (T,)   int32     token ids of all queries, end to end
    starts.npy     (n+1,) int64     where each query begins in ids and states
    vectors.npy    (n, d) float32
    states.f16     (T, d) float16   the last layer, token by token, without a header
    passages.npy   (n, k) int32     rows of the passages that the teacher finds first
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import VectorRows, exact_top
from lurcher.models.encoders.encoder import Encoder
from lurcher.training.epochs import shuffled

# How many of the teacher's first passages score alignment compares.
DEPTH = 64
_CHUNK = 4_096

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Targets:
    """Queries as tokens, with the teacher's vectors, token states and first passages."""

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]  # (n,), of each query in ids and states
    lengths: npt.NDArray[np.int64]  # (n,), in tokens
    vectors: Vectors
    states: npt.NDArray[np.float16]
    passages: npt.NDArray[np.int32] | None

    @classmethod
    def make(
        cls, folder: Path, teacher: Encoder, queries: Sequence[str], passages: VectorRows | None,
        report: Callable[[int], None] = lambda _: None,
    ) -> Targets:  # fmt: skip
        """The teacher's say on ``queries``, left in ``folder`` and mapped from there.

        ``passages`` (m, d) are those of a real index; None leaves the first ones out. ``report`` is
        told of every so many queries that are done. Raises OSError.
        """
        folder.mkdir(parents=True, exist_ok=True)
        tokens = teacher.tokenise(queries)
        starts = np.cumsum([0, *(len(t.ids) for t in tokens)], dtype=np.int64)
        vectors = np.zeros((len(tokens), teacher.config.dimension), np.float32)
        first = None
        if passages is not None:
            first = np.zeros((len(tokens), min(DEPTH, len(passages))), np.int32)
        # Written, not mapped: a full disk is then an error, not a signal.
        with (folder / "states.f16").open("wb") as states:
            for low in range(0, len(tokens), _CHUNK):
                rows = slice(low, low + _CHUNK)
                vectors[rows], found = teacher.encode_states(tokens[rows])
                states.write(np.concatenate(found).astype(np.float16).tobytes())
                if first is not None and passages is not None:
                    first[rows] = exact_top(vectors[rows], passages, first.shape[1])
                report(len(vectors[rows]))
        np.save(folder / "ids.npy", np.concatenate([t.ids for t in tokens]).astype(np.int32))
        np.save(folder / "vectors.npy", vectors)
        if first is not None:
            np.save(folder / "passages.npy", first)
        np.save(folder / "starts.new.npy", starts)
        # Last, and whole: its presence says that the rest is there.
        (folder / "starts.new.npy").replace(folder / "starts.npy")
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Targets:
        """What ``make`` left in ``folder``. Raises FileNotFoundError where it did not finish."""

        def load(name: str) -> Any:
            return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)

        starts, vectors = load("starts"), load("vectors")
        shape = (int(starts[-1]), vectors.shape[1])
        states = np.memmap(folder / "states.f16", np.float16, "r", shape=shape)
        passages = load("passages") if (folder / "passages.npy").exists() else None
        return cls(load("ids"), starts[:-1], np.diff(starts), vectors, states, passages)

    def __len__(self) -> int:
        return len(self.vectors)

    def sample(self, count: int, seed: int) -> Targets:
        """At most ``count`` of the queries, drawn by ``seed``."""
        rows = np.sort(np.random.default_rng(seed).permutation(len(self))[:count])
        first = None if self.passages is None else self.passages[rows]
        return Targets(
            self.ids, self.starts[rows], self.lengths[rows], self.vectors[rows], self.states, first
        )

    def batch(self, rows: Rows) -> Batch:
        """The queries at ``rows`` (B,), in the order they are stored."""
        rows = np.sort(rows)
        lengths = self.lengths[rows]
        shape = (len(rows), int(lengths.max()))
        ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        states = np.zeros((*shape, self.vectors.shape[1]), np.float32)
        for i, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            span = slice(self.starts[row], self.starts[row] + length)
            ids[i, :length] = self.ids[span]
            mask[i, :length] = 1
            states[i, :length] = self.states[span]
        first = None if self.passages is None else self.passages[rows].astype(np.int64)
        return Batch(
            torch.from_numpy(ids),
            torch.from_numpy(mask),
            torch.from_numpy(np.asarray(self.vectors[rows])),
            torch.from_numpy(states),
            None if first is None else torch.from_numpy(first),
        )


@dataclass(frozen=True)
class Batch:
    """A batch of queries as tensors; B queries, padded to L tokens."""

    ids: torch.Tensor  # (B, L) int64
    mask: torch.Tensor  # (B, L) float32
    vectors: torch.Tensor  # (B, d) float32
    states: torch.Tensor  # (B, L, d) float32
    rows: torch.Tensor | None  # (B, k) int64, of the passages

    def to(self, device: torch.device) -> Batch:
        """The batch on ``device``."""
        rows = None if self.rows is None else self.rows.to(device)
        return Batch(
            self.ids.to(device), self.mask.to(device), self.vectors.to(device),
            self.states.to(device), rows,
        )  # fmt: skip


def batches(targets: Targets, queries: int, seed: int) -> Iterator[Batch]:
    """Every query once, about ``queries`` a batch, as training.epochs shuffles them by ``seed``."""
    for rows in shuffled(targets.lengths, queries, np.random.default_rng(seed)):
        yield targets.batch(rows)


def alike(targets: Targets, queries: int) -> Iterator[Batch]:
    """Every query once, at most ``queries`` a batch, all of a batch of one length: none is padded."""
    for length in np.unique(targets.lengths):
        rows = np.flatnonzero(targets.lengths == length)
        for low in range(0, len(rows), queries):
            yield targets.batch(rows[low : low + queries])
