"""Texts to vectors, as queries or as passages are encoded, beside a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError
from lurcher.models.encoders.config import EncoderConfig
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.tokenizer import TextToken, Tokens

Side = Literal["query", "passage"]
"""Which side of a search a text is on: they may have prompts, and graphs, of their own."""


@dataclass(frozen=True, slots=True)
class EmbedWork:
    """The tokens of a text to encode as one on that side."""

    side: Side
    tokens: Tokens


class Embedder:
    """Both sides of an encoder. Tokenise from any thread, embed from one at a time."""

    def __init__(self, queries: Encoder, passages: Callable[[], Encoder]) -> None:
        """``passages`` gives the encoder of passages, which is not loaded before it is needed."""
        self.queries, self._passages = queries, passages

    @property
    def config(self) -> EncoderConfig:
        """What the encoder says of itself."""
        return self.queries.config

    def tokenise(self, texts: Sequence[str | Sequence[int]], side: Side) -> list[Tokens]:
        """The tokens of each of ``texts``, cut to what the encoder reads; ids are a text's own tokens.

        Raises FieldError, its field the place of the text, for an id that is no token.
        """
        encoder = self._encoder(side)
        whole = [text for text in texts if isinstance(text, str)]
        of_texts = iter(encoder.tokenise(whole))
        found: list[Tokens] = []
        for place, text in enumerate(texts):
            if isinstance(text, str):
                found.append(next(of_texts))
                continue
            self.check_ids(str(place), text, side)
            found.append(encoder.framed(text))
        return found

    def check_ids(self, field: str, ids: Sequence[int], side: Side) -> None:
        """Raise FieldError for the first of the ``ids`` in ``field`` that is no token."""
        most = self._encoder(side).vocabulary - 1
        for id_ in ids:
            if not 0 <= id_ <= most:
                reason = (
                    f"{id_} is no token of {self.config.name}, whose ids are 0 to {most}; "
                    "send the text instead"
                )
                raise FieldError(field, reason)

    def all_tokens(
        self, texts: Sequence[str], side: Side, *, special: bool
    ) -> list[list[TextToken]]:
        """Every token of each of ``texts`` behind the side's prompt; ``special`` ones, too, if wanted."""
        return self._encoder(side).all_tokens(texts, special=special)

    def decode(self, ids: Sequence[int], *, skip_special: bool) -> str:
        """The text of ``ids``."""
        return self.queries.decode(ids, skip_special=skip_special)

    def first_tokens(self, tokens: Tokens, side: Side, most: int) -> Tokens:
        """``tokens`` with at most the first ``most`` of the text's own."""
        return self._encoder(side).cut(tokens, most)

    def last_tokens(self, text: str | Sequence[int], side: Side, most: int) -> Tokens:
        """The tokens of the end of ``text``, ``most`` of its own, marked as cut."""
        encoder = self._encoder(side)
        ids = encoder.all_ids(text) if isinstance(text, str) else text
        return Tokens(encoder.framed(ids[-most:]).ids, truncated=True)

    def is_longer(self, tokens: Tokens, side: Side, most: int) -> bool:
        """Whether a text has more than ``most`` tokens of its own."""
        own = self._encoder(side).own_tokens(tokens)
        return tokens.truncated or own.stop - own.start > most

    def room(self, side: Side) -> int:
        """How many of a text's own tokens are read."""
        return self._encoder(side).room

    def embed(self, works: Sequence[EmbedWork]) -> list[Vectors]:
        """The vector (d,) float32 of each of ``works``."""
        vectors = np.zeros((len(works), self.config.dimension), np.float32)
        for side in {work.side for work in works}:
            places = [place for place, work in enumerate(works) if work.side == side]
            tokens = [works[place].tokens for place in places]
            vectors[places] = self._encoder(side).encode_tokens(tokens)
        return list(vectors)

    def _encoder(self, side: Side) -> Encoder:
        return self.queries if side == "query" else self._passages()
