"""Steps of feedback: giving it in batches, taking it back, counting it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING

from lurcher.client.replies import bundle, feedback_counts, feedback_given, feedback_removed
from lurcher.client.steps import BATCH, Request, Steps
from lurcher.errors import FieldError, VersionMismatch

if TYPE_CHECKING:
    from lurcher.server.schemas.feedback import FeedbackCounts, RefusedPair

# A passage that answers a query, by its id; and how certain that is, 1 if it is left out.
Pair = tuple[str, str] | tuple[str, str, float]

# Keys of up to 200 characters go into a request's address.
_KEYS = 20


@dataclass(frozen=True, slots=True)
class GivenFeedback:
    """What became of the pairs: ``accepted`` ones are on the server's disk and count in searches.

    ``held_back`` of these do not count yet, because too few clients have given them. The ``refused`` ones
    name a passage that is not there. By its ``keys`` the feedback can be removed.
    """

    accepted: int
    held_back: int
    refused: list[RefusedPair]
    keys: list[str]


def give(pairs: Sequence[Pair], key: str | None) -> Steps[GivenFeedback]:
    """Return what became of ``pairs``, sent in batches that the server's limits allow."""
    if not pairs:
        return GivenFeedback(0, 0, [], [])
    step = BATCH
    if len(pairs) > 1:
        limits = bundle((yield Request("/v1/bundle"))).limits
        if "queries" not in limits:
            raise VersionMismatch("limits.queries: the server does not say it")
        step = min(step, limits["queries"])
    given = token_hex(16) if key is None else key
    accepted, held_back = 0, 0
    refused: list[RefusedPair] = []
    keys: list[str] = []
    for first in range(0, len(pairs), step):
        keys.append(given if len(pairs) <= step else f"{given}-{first}")
        sent = [
            dict(zip(("query", "passage", "weight"), pair, strict=False))
            for pair in pairs[first : first + step]
        ]
        request = Request("/v1/feedback", {"pairs": sent}, key=keys[-1], timed=False)
        reply = feedback_given((yield request), first)
        accepted, held_back = accepted + reply.accepted, held_back + reply.held_back
        refused += reply.refused
    return GivenFeedback(accepted, held_back, refused, keys)


def remove(keys: Sequence[str], before: str | float | None) -> Steps[int]:
    """Return how many judgements no longer count, of requests with ``keys`` or from ``before`` a time."""
    if bool(keys) == (before is not None):
        raise FieldError("keys", "give either keys or before")
    if before is not None:
        given = (("before", str(before)),)
        return feedback_removed((yield Request("/v1/feedback", method="DELETE", parameters=given)))
    removed = 0
    for first in range(0, len(keys), _KEYS):
        some = tuple(("keys", key) for key in keys[first : first + _KEYS])
        request = Request("/v1/feedback", method="DELETE", parameters=some)
        removed += feedback_removed((yield request))
    return removed


def count() -> Steps[FeedbackCounts]:
    """Return the counts of feedback that is not in the bundle."""
    return feedback_counts((yield Request("/v1/feedback")))
