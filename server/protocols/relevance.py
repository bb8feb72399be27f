"""What all protocols share that rerank texts."""

from __future__ import annotations

from starlette.exceptions import HTTPException

from lurcher.bundle.bundle import NO_VECTORS
from lurcher.models.tokens.general import GENERAL_FILE
from lurcher.retrieval.capabilities import NO_TOKENS
from lurcher.server.serving import Serving

_NO_GENERAL = f"this encoder has no {GENERAL_FILE} to rank texts of no corpus by; serve a bundle's"


def check_ranks(serving: Serving) -> None:
    """Raise HTTPException 422 if there is nothing to rank by; no field is at fault."""
    if serving.capabilities.tokens:
        return
    if not serving.has_corpus:
        raise HTTPException(422, _NO_GENERAL)
    raise HTTPException(422, NO_TOKENS if serving.capabilities.vectors else NO_VECTORS)


def relevance(score: float) -> float:
    """Return ``score``, -1 to 1, as clients of rerankers expect it: 0 to 1."""
    return round(min(max((1 + score) / 2, 0.0), 1.0), 6)
