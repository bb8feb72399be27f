"""Known queries: texts that people asked, with the passages they judged to answer them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

# Far above any count of clicks; and sums of such weights stay finite.
MAX_WEIGHT = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Known:
    """One judged query; ``source`` is the name of the file it came from.

    ``labels`` gives each passage that answers it, by id, a weight above 0.
    """

    id: str
    text: str
    labels: dict[str, float]
    source: str


def query_id(kind: str, key: str) -> str:
    """An id for a query that came without one; the same normalised text ``key`` has the same."""
    return f"{kind}:{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def weight_fault(weight: float) -> str | None:
    """Why ``weight`` cannot be used, or None; 0 can, and means that a passage is no answer."""
    if 0 <= weight <= MAX_WEIGHT:
        return None
    return f"{str(weight)[:40]} is not from 0 to {MAX_WEIGHT:,}"


def merge(*groups: Iterable[Known]) -> list[Known]:
    """All known queries as one list in which ids are unique: a later query replaces an earlier one.

    The same text from two sources stays two queries, so that each can be replaced or taken back.
    """
    return list({known.id: known for group in groups for known in group}.values())
