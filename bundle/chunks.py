"""Many rows a part at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator

_CHUNK = 16_384


def chunks(count: int) -> Iterator[slice]:
    """Slices that cover ``range(count)`` in order."""
    return (slice(i, min(i + _CHUNK, count)) for i in range(0, count, _CHUNK))
