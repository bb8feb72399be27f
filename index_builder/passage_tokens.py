"""The tokens of a bundle's passages; what calibration has read and tokenised, encoding need not again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lurcher.bundle.segmented.passages import PassageStore
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.tokenizer import Tokens

# As many as calibration looks at. Of 256 tokens each they take 16 MB.
_REMEMBERED = 16_384


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A passage's tokens in little memory: a list of Python integers takes ten times as much."""

    ids: npt.NDArray[np.int32]
    truncated: bool
    empty: bool


class PassageTokens:
    """Reads and tokenises passages; the first ``remembered`` of them once."""

    def __init__(
        self, passages: PassageStore, encoder: Encoder, remembered: int = _REMEMBERED
    ) -> None:
        self._passages, self.encoder = passages, encoder
        self._room = remembered
        self._known: dict[int, _Remembered] = {}

    @property
    def count(self) -> int:
        """How many passages there are."""
        return self._passages.count

    def read(self, rows: Sequence[int]) -> tuple[list[Tokens], npt.NDArray[np.bool_]]:
        """The tokens of passages ``rows`` (n,), and which have neither title nor text (n,)."""
        new = self._tokenise([row for row in rows if row not in self._known])
        for row, one in new.items():
            if len(self._known) < self._room:
                self._known[row] = one
        found = [new[row] if row in new else self._known[row] for row in rows]
        tokens = [Tokens(one.ids.tolist(), one.truncated) for one in found]
        return tokens, np.array([one.empty for one in found], bool)

    def _tokenise(self, rows: Sequence[int]) -> dict[int, _Remembered]:
        if not rows:
            return {}
        contents = self._passages.contents(rows)
        return {
            row: _Remembered(np.array(one.ids, np.int32), one.truncated, not content)
            for row, one, content in zip(
                rows, self.encoder.tokenise(contents), contents, strict=True
            )
        }
