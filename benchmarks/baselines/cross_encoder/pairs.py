"""Questions and passages to the token ids of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lurcher.benchmarks.baselines.pairs import Pair

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
