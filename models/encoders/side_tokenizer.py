"""What an encoder makes of texts before its graph reads them: the tokens, prompt included, of one side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lurcher.models.encoders.config import TOKENIZER_FILE, EncoderConfig, load_config
from lurcher.models.encoders.tokenizer import Spans, TextToken, Tokenizer, Tokens


class SideTokenizer:
    """The tokeniser and the prompt of one side of a search; safe to call from several threads at once."""

    def __init__(self, config: EncoderConfig, tokenizer: Tokenizer, prompt: str) -> None:
        self.config = config
        self._tokenizer = tokenizer
        self._prompt = prompt
        self._frame = self._around_texts(prompt)
        self._special = self._around_texts("") if prompt else self._frame
        self._around = len(self._frame[0]), len(self._frame[1])

    def _around_texts(self, prompt: str) -> tuple[list[int], list[int]]:
        """The ids that stand before and after every text with that ``prompt``."""
        samples = ["", "a a a a", "b b b b"]
        without, *texts = (t.ids for t in self._tokenizer([prompt + one for one in samples]))
        # Two texts, as a prompt may end like one of them.
        before = min(shared_prefix(without, text) for text in texts)
        after = min(shared_prefix(without[::-1], text[::-1]) for text in texts)
        return list(without[:before]), list(without[len(without) - after :])

    @classmethod
    def of_passages(cls, folder: Path) -> SideTokenizer:
        """That of the passages' side of the encoder in ``folder``, whose graphs are not read.

        Raises ModelError or ModelNotFound.
        """
        config = load_config(folder)
        tokenizer = Tokenizer(folder / TOKENIZER_FILE, config.max_tokens)
        return SideTokenizer(config, tokenizer, config.passage_prompt)

    @property
    def vocabulary(self) -> int:
        """How many different tokens there are."""
        return self._tokenizer.vocabulary

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text, prompt and special tokens included."""
        return self._tokenizer([self._prompt + text for text in texts])

    @property
    def unknown(self) -> int | None:
        """The id of the token that stands for what the tokeniser does not know; None if it knows all."""
        return self._tokenizer.unknown

    @property
    def room(self) -> int:
        """How many tokens of a text it reads: ``max_tokens`` without special tokens and the prompt's."""
        return self.config.max_tokens - sum(self._around)

    def all_spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Where all tokens of each text stand in it, beyond ``room`` too: start and end, in code points."""
        return self._tokenizer.all_spans(texts)

    def own_tokens(self, tokens: Tokens) -> slice:
        """Which of a text's tokens are its own: neither special ones nor the prompt's."""
        before, after = self._around
        return slice(before, max(before, len(tokens.ids) - after))

    def own_slices(self, tokens: Sequence[Tokens]) -> list[slice]:
        """``own_tokens`` of each text."""
        return [self.own_tokens(one) for one in tokens]

    def all_ids(self, text: str) -> list[int]:
        """The ids of all of the text's own tokens, beyond ``room`` too."""
        return self._tokenizer.all_ids(text)

    def all_tokens(self, texts: Sequence[str], *, special: bool) -> list[list[TextToken]]:
        """As ``Tokenizer.all_tokens``, of each text behind the prompt, which counts in their places."""
        return self._tokenizer.all_tokens([self._prompt + text for text in texts], special=special)

    def decode(self, ids: Sequence[int], *, skip_special: bool) -> str:
        """The text of ``ids``."""
        return self._tokenizer.decode(ids, skip_special=skip_special)

    def framed(self, ids: Sequence[int]) -> Tokens:
        """The tokens of a text whose own are ``ids``, of which special ones around them are no part."""
        before, after = self._frame
        own = _within(self._special, ids)
        return Tokens([*before, *own[: self.room], *after], truncated=len(own) > self.room)

    def cut(self, tokens: Tokens, most: int) -> Tokens:
        """``tokens`` with no more than the first ``most`` of the text's own, as if it ended there."""
        own = self.own_tokens(tokens)
        if own.stop - own.start <= most:
            return tokens
        return Tokens([*tokens.ids[: own.start + most], *tokens.ids[own.stop :]], truncated=True)

    def own_spans(self, text: str) -> Spans:
        """Where each of a text's own tokens stands in it: start and end, in Unicode code points."""
        return self.own_spans_batch([text])[0]

    def own_spans_batch(self, texts: Sequence[str]) -> list[Spans]:
        """``own_spans`` of each text."""
        return self._own(self._tokenizer.spans([self._prompt + text for text in texts]))

    def tokenise_with_spans(self, texts: Sequence[str]) -> tuple[list[Tokens], list[Spans]]:
        """The tokens of each text as ``tokenise`` gives them, and what ``own_spans`` gives, at one go."""
        tokens, spans = self._tokenizer.with_spans([self._prompt + text for text in texts])
        return tokens, self._own(spans)

    def _own(self, spans: Sequence[Spans]) -> list[Spans]:
        """Of where all tokens stand behind the prompt, where each text's own stand in it."""
        prompt, (before, after) = len(self._prompt), self._around
        return [
            [
                (max(start - prompt, 0), max(end - prompt, 0))
                for start, end in one[before : max(before, len(one) - after)]
            ]
            for one in spans
        ]


def _within(frame: tuple[list[int], list[int]], ids: Sequence[int]) -> Sequence[int]:
    """What of ``ids`` stands within ``frame``; all if they do not stand in it."""
    before, after = frame
    last = len(ids) - len(after)
    framed = last >= len(before) and [*ids[: len(before)], *ids[last:]] == [*before, *after]
    return ids[len(before) : last] if framed else ids


def shared_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """How many entries two lists begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
