"""Texts to tokens, tokens to batches: nothing lost, nothing wasted, long texts said to be cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as HubTokenizer

from lurcher.errors import ModelError
from lurcher.models.encoders.tokenizer import Tokenizer, length_buckets, pad
from lurcher.models.pretrained import DEFAULT_ENCODER

FILE = DEFAULT_ENCODER / "tokenizer.json"
CLS, SEP = 101, 102

lengths = st.lists(st.integers(0, 300), max_size=200)
budgets = st.integers(0, 1_000)


@pytest.fixture(scope="module")
def tokenise() -> Tokenizer:
    return Tokenizer(FILE, 16)


@given(lengths, budgets)
def test_every_text_is_in_exactly_one_batch(lengths: list[int], budget: int) -> None:
    batches = list(length_buckets(lengths, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))


@given(lengths, budgets)
def test_a_batch_keeps_to_the_budget_unless_one_text_alone_exceeds_it(
    lengths: list[int], budget: int
) -> None:
    for batch in length_buckets(lengths, budget):
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget


@given(lengths, budgets)
def test_a_batch_is_as_full_as_the_budget_allows(lengths: list[int], budget: int) -> None:
    batches = list(length_buckets(lengths, budget))
    for batch in batches[:-1]:
        longest = max(1, *(lengths[i] for i in batch))
        assert (len(batch) + 1) * longest > budget


@given(lengths, budgets)
def test_batches_come_longest_first(lengths: list[int], budget: int) -> None:
    found = [lengths[i] for batch in length_buckets(lengths, budget) for i in batch]
    assert found == sorted(lengths, reverse=True)


@given(st.lists(st.lists(st.integers(1, 30_000), min_size=1), min_size=1, max_size=20))
def test_padding_is_hidden_and_takes_nothing_away(batch: list[list[int]]) -> None:
    input_ids, mask = pad(batch)
    assert input_ids.shape == mask.shape == (len(batch), max(map(len, batch)))
    assert input_ids.dtype == mask.dtype == np.int64
    assert [row[seen == 1].tolist() for row, seen in zip(input_ids, mask, strict=True)] == batch
    assert not input_ids[mask == 0].any()


def test_tokens_stand_between_the_special_ones(tokenise: Tokenizer) -> None:
    (tokens,) = tokenise(["a cat"])
    assert list(tokens.ids) == [CLS, 1037, 4937, SEP]
    assert not tokens.truncated


def test_the_limit_counts_the_special_tokens(tokenise: Tokenizer) -> None:
    just, over = tokenise(["cat " * 14, "cat " * 15])
    assert (len(just.ids), just.truncated) == (16, False)
    assert (len(over.ids), over.truncated) == (16, True)
    assert over.ids[-1] == SEP


def test_an_empty_text_is_only_special_tokens(tokenise: Tokenizer) -> None:
    for tokens in tokenise(["", "   ", "\n\t"]):
        assert (list(tokens.ids), tokens.truncated) == ([CLS, SEP], False)


def test_no_text_is_no_tokens(tokenise: Tokenizer) -> None:
    assert tokenise([]) == []


def test_of_a_megabyte_only_the_beginning_is_tokenised(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Spy:
        """The real tokeniser, which notes how much text it is given."""

        def __init__(self, real: HubTokenizer) -> None:
            self._real = real

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

        def encode_batch_fast(self, texts: list[str]) -> object:
            seen.extend(map(len, texts))
            return self._real.encode_batch_fast(texts)

        @classmethod
        def from_file(cls, file: str) -> Spy:
            return cls(HubTokenizer.from_file(file))

    monkeypatch.setattr("lurcher.models.encoders.tokenizer.HubTokenizer", Spy)
    text = "a word and another " * 60_000
    (tokens,) = Tokenizer(FILE, 256)([text])
    assert max(seen) <= 25_600 < len(text)
    assert tokens.truncated
    whole = HubTokenizer.from_file(str(FILE))
    whole.no_truncation()
    assert list(tokens.ids[:-1]) == whole.encode(text[:5_000]).ids[:255]


def test_words_behind_a_desert_of_blanks_are_said_to_be_cut(tokenise: Tokenizer) -> None:
    (tokens,) = tokenise([" " * 10_000 + "word"])
    assert (list(tokens.ids), tokens.truncated) == ([CLS, SEP], True)


@pytest.mark.parametrize(
    "text",
    [
        "zero\x00 bell\x07 escape\x1b delete\x7f",
        "שלום עולם \u202e right to left \u202c",
        "مرحبا بالعالم",
        "👩‍👩‍👧‍👦🏳️‍🌈 emoji joined by joiners",
        "日本語の文章、中文句子",
        "e\u0301\u0327 combining, \ufb01 ligature, \ufeff mark, \uffff no character",
        "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 beyond the first plane",
    ],
)
def test_any_script_and_any_control_character_gives_tokens(tokenise: Tokenizer, text: str) -> None:
    (tokens,) = tokenise([text])
    assert tokens.ids[0] == CLS
    assert tokens.ids[-1] == SEP
    assert len(tokens.ids) > 2


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_fits_the_limit(text: str) -> None:
    (tokens,) = _SHORT([text])
    assert 2 <= len(tokens.ids) <= 8


_SHORT = Tokenizer(FILE, 8)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", None])
def test_a_file_that_is_no_tokeniser_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json: not a tokenizer"):
        Tokenizer(file, 16)


@given(st.lists(st.text(max_size=60), max_size=4))
def test_tokens_with_their_spans_are_the_tokens_and_the_spans(texts: list[str]) -> None:
    tokenizer = Tokenizer(FILE, 16)
    tokens, spans = tokenizer.with_spans(texts)
    assert tokens == tokenizer(texts)
    assert spans == tokenizer.spans(texts)
