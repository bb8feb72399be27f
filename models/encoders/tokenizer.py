"""Text to token ids, and token ids to padded batches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding
from tokenizers import Tokenizer as HubTokenizer

from lurcher.errors import ModelError
from lurcher.models.encoders.tokenizer_parts import check_tokenizer

Ids = npt.NDArray[np.int64]
Spans = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Tokens:
    """One text's token ids, special tokens included, and whether the text was longer than the limit."""

    ids: Sequence[int]
    truncated: bool


class TextToken(NamedTuple):
    """A token, and where it stands in its text, in Unicode code points; special ones stand nowhere."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class Tokenizer:
    """A Hugging Face ``tokenizer.json`` with a limit on length; safe to call from several threads."""

    def __init__(self, file: Path, max_tokens: int) -> None:
        """Load ``file``. Raises ModelError."""
        check_tokenizer(file)
        try:
            self._tokenizer = HubTokenizer.from_file(str(file))
        # The tokenizers library raises bare Exception.
        except Exception as error:
            raise ModelError(f"{file}: not a tokenizer: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        # What lies so far beyond the limit is not read, but for blanks and unbroken runs of signs;
        # cutting it first keeps a 1 MB passage cheap.
        self._max_chars = max_tokens * 100

    @cached_property
    def vocabulary(self) -> int:
        """The highest token id and one more; ids may have holes."""
        return max(self._tokenizer.get_vocab().values(), default=-1) + 1

    def __call__(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text."""
        cut = [text[: self._max_chars] for text in texts]
        return self._tokens(texts, self._tokenizer.encode_batch_fast(cut))

    def with_spans(self, texts: Sequence[str]) -> tuple[list[Tokens], list[Spans]]:
        """The tokens of each text, and what ``spans`` gives, for little more than one of both costs."""
        encodings = self._tokenizer.encode_batch([text[: self._max_chars] for text in texts])
        return self._tokens(texts, encodings), [e.offsets for e in encodings]

    def _tokens(self, texts: Sequence[str], encodings: Sequence[Encoding]) -> list[Tokens]:
        return [
            Tokens(e.ids, bool(e.overflowing) or len(text) > self._max_chars)
            for e, text in zip(encodings, texts, strict=True)
        ]

    @cached_property
    def unknown(self) -> int | None:
        """The id of the token that stands for what it does not know; None if it knows all."""
        model = json.loads(self._tokenizer.to_str())["model"]
        if "unk_id" in model:  # a unigram model's
            return None if model["unk_id"] is None else int(model["unk_id"])
        token = model.get("unk_token")
        return None if token is None else self._tokenizer.token_to_id(token)

    @cached_property
    def _whole(self) -> HubTokenizer:
        """The tokeniser without a limit on length."""
        whole = HubTokenizer.from_str(self._tokenizer.to_str())
        whole.no_truncation()
        return whole

    def all_spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Where all tokens of each text stand in it, however long it is: start and end, in code points.

        There are no special tokens among them.
        """
        found = self._whole.encode_batch(list(texts), add_special_tokens=False)
        return [one.offsets for one in found]

    def all_ids(self, text: str) -> list[int]:
        """The ids of all tokens of ``text``, however long it is, without special ones."""
        ids: list[int] = self._whole.encode(text, add_special_tokens=False).ids
        return ids

    def all_tokens(self, texts: Sequence[str], *, special: bool) -> list[list[TextToken]]:
        """Every token of each text, however long it is; ``special`` ones, too, if wanted."""
        return [
            [
                TextToken(id_, token, True, None, None)
                if is_special
                else TextToken(id_, text[start:stop], False, start, stop)
                for id_, token, is_special, (start, stop) in zip(
                    one.ids, one.tokens, one.special_tokens_mask, one.offsets, strict=True
                )
            ]
            for text, one in zip(
                texts,
                self._whole.encode_batch(list(texts), add_special_tokens=special),
                strict=True,
            )
        ]

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """The text of ``ids``, without special tokens unless they are to be there."""
        found: str = self._tokenizer.decode(list(ids), skip_special_tokens=skip_special)
        return found

    def spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Where each token of each text stands in it: start and end, in Unicode code points.

        Special tokens stand nowhere: theirs are empty.
        """
        return [self._tokenizer.encode(text[: self._max_chars]).offsets for text in texts]


def pad(batch: Sequence[Sequence[int]]) -> tuple[Ids, Ids]:
    """Input ids and attention mask of a batch, each (B, L) int64, L the longest of the batch.

    Padding is id 0; the mask hides it, so its value does not matter.
    """
    width = max(len(ids) for ids in batch)
    input_ids = np.zeros((len(batch), width), np.int64)
    mask = np.zeros((len(batch), width), np.int64)
    for row, ids in enumerate(batch):
        input_ids[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
    return input_ids, mask


def length_buckets(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Batches of positions into ``lengths``, longest first, each of at most ``budget`` padded tokens.

    Texts of about the same length share a batch, so that little of it is padding. A text that is
    longer than the budget gets a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batches: list[list[int]] = []
    start = 0
    while start < len(order):
        size = max(1, budget // max(1, lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches
