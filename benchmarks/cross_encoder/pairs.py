"""Questions and passages to the token ids of pairs, and those to what the network reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = Sequence[int]

MAX_TOKENS = 256
_QUESTION = 64  # tokens that are left of a longer one


class PairTokenizer:
    """Texts to the token ids of (question, passage) pairs."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text alone, cut to what a pair can hold, without special tokens."""
        ids: list[list[int]] = self._tokenizer(
            list(texts), add_special_tokens=False, truncation=True, max_length=MAX_TOKENS
        ).input_ids
        return ids

    def pair(self, question: Ids, passage: Ids) -> Pair:
        """Both together; the passage is cut where the two are too long."""
        cls, sep = self._tokenizer.cls_token_id, self._tokenizer.sep_token_id
        first = [cls, *question[:_QUESTION], sep]
        return Pair([*first, *passage[: MAX_TOKENS - len(first) - 1], sep], len(first))


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and a passage: token ids, special tokens included, the first ``first`` of segment 0."""

    ids: list[int]
    first: int


def pad(pairs: Sequence[Pair]) -> dict[str, npt.NDArray[np.int64]]:
    """The inputs of the network for ``pairs``, by name, each (B, L) int64; padding is 0 throughout."""
    width = max(len(pair.ids) for pair in pairs)
    ids, mask, types = np.zeros((3, len(pairs), width), np.int64)
    for row, pair in enumerate(pairs):
        ids[row, : len(pair.ids)] = pair.ids
        mask[row, : len(pair.ids)] = 1
        types[row, pair.first : len(pair.ids)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
