"""Which examples each step of a training reads."""

from __future__ import annotations

import math

import numpy as np

from lurcher.bundle.passages import Rows

_POOL = 32  # batches that are sorted together


class Epochs:
    """The batch of each step, drawn so that an epoch shows every example once.

    A step's batch depends on the step and the seed alone, so a resumed run sees what one in one go does.
    """

    def __init__(self, lengths: Rows, batch: int, seed: int) -> None:
        """``lengths`` (n,) are of the examples; ``batch`` is how many a step reads."""
        self._lengths, self._batch, self._seed = lengths, batch, seed
        self._epoch, self._batches = -1, list[Rows]()
        self.steps = max(1, len(lengths) // batch)  # of one epoch

    def at(self, step: int) -> Rows:
        """The places (B,) of the examples that ``step``, counted from 0, reads."""
        epoch, place = divmod(step, self.steps)
        if epoch != self._epoch:
            generator = np.random.default_rng((self._seed, epoch))
            self._epoch, self._batches = epoch, shuffled(self._lengths, self._batch, generator)
        return self._batches[place]


def shuffled(lengths: Rows, batch: int, generator: np.random.Generator) -> list[Rows]:
    """Batches in which each place among ``lengths`` (n,) comes once.

    Those of about the same length share a batch, so little of it is padding; which ones do, and the order of
    the batches, are random.
    """
    order = generator.permutation(len(lengths))
    pools = np.array_split(order, math.ceil(len(order) / (_POOL * batch)))
    order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    parts = np.array_split(order, max(1, len(order) // batch))
    return [parts[place] for place in generator.permutation(len(parts))]
