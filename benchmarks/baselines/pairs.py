"""Pairs of a question and a passage, as networks that read both together get them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and a passage: token ids, special tokens included, the first ``first`` of segment 0."""

    ids: list[int]
    first: int

    @property
    def own(self) -> slice:
        """Which tokens are the passage's."""
        return slice(self.first, len(self.ids) - 1)


def pad(pairs: Sequence[Pair]) -> dict[str, npt.NDArray[np.int64]]:
    """The inputs of the network for ``pairs``, by name, each (B, L) int64; padding is 0 throughout."""
    width = max(len(pair.ids) for pair in pairs)
    ids, mask, types = np.zeros((3, len(pairs), width), np.int64)
    for row, pair in enumerate(pairs):
        ids[row, : len(pair.ids)] = pair.ids
        mask[row, : len(pair.ids)] = 1
        types[row, pair.first : len(pair.ids)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
