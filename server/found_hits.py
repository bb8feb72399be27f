"""Hits as replies have them: what ``schemas.search`` describes, as plain values.

A reply of ten hits goes to JSON in a twentieth of a millisecond. Making models of it first, to check what the
server itself has just made, took ten times as long; a test holds the two equal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from pydantic_core import to_json
from starlette.exceptions import HTTPException

from lurcher.retrieval.results import Hit, Span
from lurcher.server.schemas.search import Include

Plain = dict[str, Any]


# Of more hits it takes a while to make a reply, in which the loop has other requests to move.
_MANY_HITS = 100


def as_json(reply: Plain) -> bytes:
    """Return ``reply`` in JSON; a number that is not finite is null."""
    return to_json(reply, inf_nan_mode="null")


async def reply_of(
    make: Callable[[], Plain], hits: Sequence[Hit], include: Sequence[Include], most: int
) -> bytes:
    """Return in JSON what ``make`` makes of ``hits`` with the parts to ``include``.

    Raises HTTPException for over ``most`` bytes, before it is made where texts alone are so long.
    """
    if "text" in include and sum(len(hit.text) for hit in hits) > most:
        raise _too_large(most)
    content = (
        await asyncio.to_thread(lambda: as_json(make()))
        if len(hits) > _MANY_HITS
        else as_json(make())
    )
    if len(content) > most:
        raise _too_large(most)
    return content


def _too_large(most: int) -> HTTPException:
    reason = f"the reply would be larger than {most} bytes"
    return HTTPException(413, f"{reason}: ask for fewer hits, or leave text out of include")


def plain_hit(found: Hit, include: list[Include], fold: bool) -> Plain:
    """Return a hit with the parts to ``include``, and with its duplicates if texts are to ``fold``."""
    passage = found.passage
    hit: Plain = {"collection": found.collection} if found.collection else {}
    hit |= {
        "id": passage.id, "score": round(found.score, 6), "title": passage.heading,
        "document": passage.document, "section": passage.section, "start": passage.start,
        "end": passage.end,
    }  # fmt: skip
    if passage.anchor:
        hit["anchor"] = passage.anchor
    if passage.url:
        hit["url"] = passage.url
    if "text" in include:
        hit["text"] = passage.text
    if "metadata" in include:
        hit["metadata"] = passage.metadata
    if "scores" in include:
        hit["scores"] = {name: round(score, 6) for name, score in found.scores.items()}
    if fold:
        hit["duplicates"] = found.duplicates
    explanation = found.explanation
    if "highlights" in include:
        hit["highlights"] = [_span(span) for span in explanation.highlights or []]
    if "contributing_neighbours" in include:
        hit["contributing_neighbours"] = [
            {
                "id": known.id, "query": known.text, "similarity": round(known.similarity, 6),
                "share": round(known.share, 6),
            }
            for known in explanation.contributing_neighbours or []
        ]  # fmt: skip
    if "token_alignment" in include:
        hit["token_alignment"] = [
            {
                "query": _span(match.query), "part": match.part, "passage": _span(match.passage),
                "similarity": round(match.similarity, 6), "weight": round(match.weight, 6),
            }
            for match in explanation.token_alignment or []
        ]  # fmt: skip
    return hit


def _span(span: Span) -> Plain:
    return {"start": span[0], "end": span[1]}
