"""The forms in which texts to embed are sent."""

from __future__ import annotations

from typing import Any

Input = str | list[int]
"""A text, or the ids of its tokens."""


def inputs(given: Any) -> list[Input]:
    """Return the texts that ``given`` means: one text, its token ids, or a list of either.

    Raises ValueError, as a validator of a field does.
    """
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list):
        raise ValueError("must be a text, a list of texts, or token ids")
    if given and all(_is_id(one) for one in given):
        return [given]
    for place, one in enumerate(given):
        if not isinstance(one, str) and not (isinstance(one, list) and all(map(_is_id, one))):
            raise ValueError(f"item {place} is neither a text nor a list of token ids")
    return given


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
