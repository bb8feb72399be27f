"""How much of a corpus is program code.

In code brackets, operators and underscores are 8 to 16 of 100 characters, in prose of any kind 1 or fewer, in
manuals 3 to 5. So a passage of which they are more than 6 in 100 is code, whatever the language.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lurcher.bundle.segmented.passages import PassageStore

_SIGNS = frozenset("(){}[]<>=_;*/\\&|+$#")
_LEAST = 0.06
_PASSAGES = 1_000


def is_code(text: str) -> bool:
    """Whether brackets, operators and underscores are more than 6 in 100 characters of ``text``."""
    seen = [character for character in text if not character.isspace()]
    return sum(character in _SIGNS for character in seen) > _LEAST * len(seen)


def code_share(texts: Iterable[str]) -> float:
    """The share of ``texts`` that are code, 0 to 1; 0 of none."""
    found = [is_code(text) for text in texts]
    return sum(found) / len(found) if found else 0.0


def sampled_code_share(passages: PassageStore, seed: int) -> float:
    """The share of 1,000 ``passages``, drawn by ``seed``, or of all where there are fewer."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(passages.rows(()), min(_PASSAGES, passages.count), replace=False)
    return code_share(passage.text for passage in passages.get(np.sort(rows).tolist()))
