"""Long work in turns, so that searches get in between."""

from __future__ import annotations

from collections.abc import Sequence

from lurcher.retrieval.embedder import EmbedWork


def in_turns(works: Sequence[EmbedWork], tokens: int, most: int) -> list[list[EmbedWork]]:
    """Return ``works`` in their order, in turns of at most ``most`` of them and so many ``tokens``.

    One that is longer than that has a turn of its own.
    """
    turns: list[list[EmbedWork]] = []
    room = 0
    for work in works:
        length = len(work.tokens.ids)
        if not turns or length > room or len(turns[-1]) == most:
            turns.append([])
            room = tokens
        turns[-1].append(work)
        room -= length
    return turns
