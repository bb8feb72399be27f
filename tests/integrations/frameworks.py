"""The same bundle in process and behind a server, and what every framework should carry over of a hit."""

from __future__ import annotations

from typing import Any

from lurcher.retrieval.results import Hit

QUERY = "why does the bread rise"
OPTIONS = {"filter": {"lang": "en"}}


def wanted(hit: Hit) -> dict[str, Any]:
    """The metadata that a document of ``hit`` has; the tiny corpus has a field ``score`` of its own."""
    passage = hit.passage
    own = dict(passage.metadata)
    return own | {
        "passage_score": own["score"], "score": hit.score, "scores": hit.scores, "id": hit.id,
        "title": passage.title, "section": list(passage.section), "document": passage.document,
        "start": passage.start, "end": passage.end, "anchor": "", "url": "",
    }  # fmt: skip
