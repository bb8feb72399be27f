"""What all protocols share that rerank texts."""

from __future__ import annotations

from starlette.exceptions import HTTPException

from lurcher.bundle.bundle import NO_VECTORS
from lurcher.retrieval.capabilities import NO_TOKENS, Capabilities


def check_ranks(capabilities: Capabilities) -> None:
    """Raise HTTPException 422 if there is nothing to rank by; no field is at fault."""
    if not capabilities.tokens:
        raise HTTPException(422, NO_TOKENS if capabilities.vectors else NO_VECTORS)


def relevance(score: float) -> float:
    """Return ``score``, -1 to 1, as clients of rerankers expect it: 0 to 1."""
    return round(min(max((1 + score) / 2, 0.0), 1.0), 6)
