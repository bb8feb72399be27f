"""``/v1/feedback``: give, remove and count judgements of which passages answer which queries."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from dataclasses import asdict
from datetime import UTC, datetime
from secrets import token_hex
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException

from lurcher.bundle.segmented.passages import PassageStore
from lurcher.errors import FieldError
from lurcher.feedback.records import Pair, Removal, Submission
from lurcher.retrieval.query import check_text
from lurcher.server.collection import Collection
from lurcher.server.errors import responses
from lurcher.server.keys import caller_of, client_of
from lurcher.server.limits import too_many
from lurcher.server.lookup import collection_of
from lurcher.server.noted import note
from lurcher.server.schemas.feedback import (
    FeedbackCounts,
    FeedbackReply,
    FeedbackRequest,
    RefusedPair,
    RemovalQuery,
    RemovalReply,
)
from lurcher.server.schemas.fields import idempotency_key
from lurcher.server.settings import Settings
from lurcher.server.workers.relay import RelayedRoute

# Two, because they need different API keys.
reading = APIRouter(tags=["feedback"], route_class=RelayedRoute)
writing = APIRouter(tags=["feedback"], route_class=RelayedRoute)

_Key = Annotated[
    str | None, idempotency_key("A request that is repeated with the same key counts once.")
]


@writing.post("/feedback", responses=responses(400, 403, 409, 413, 415, 422, 429, 503, 507))
async def give_feedback(
    body: FeedbackRequest, request: Request, idempotency_key: _Key = None
) -> FeedbackReply:
    """Tell which passages answered which queries, so that similar queries find them.

    The reply is sent when the feedback is on disk and counts in searches. Pairs whose passage is not in the
    bundle are refused one by one. A reply of 507 means that no pair was accepted.
    """
    note(request, records=len(body.pairs))
    collection = collection_of(request)
    _check_on(collection)
    key = idempotency_key or token_hex(16)
    digest = hashlib.sha256(body.model_dump_json().encode()).hexdigest()[:32]
    bundle = feedback = None
    # Another bundle may be put into service meanwhile, which has other passages.
    while feedback is None or bundle is not collection.bundle:
        bundle = collection.bundle
        pairs, refused = await _known_pairs(body, collection, request)
        feedback = await collection.feedback()
    submission = Submission(client_of(request), time.time(), key, pairs, digest, refused)
    receipt = await feedback.submit(submission)
    note(request, accepted=receipt.accepted, refused=len(receipt.refused))
    return FeedbackReply(
        accepted=receipt.accepted,
        refused=[
            RefusedPair(index=i, field=f"pairs.{i}.passage", reason="no passage has this id")
            for i in receipt.refused
        ],
        held_back=receipt.held_back,
        key=key,
    )


@writing.delete("/feedback", responses=responses(403, 422, 429, 503, 507))
async def remove_feedback(
    removed: Annotated[RemovalQuery, Query()], request: Request
) -> RemovalReply:
    """Remove feedback by its keys or its time; the reply is sent when searches no longer use it.

    What is part of the bundle stays there until a new bundle is made from the log.
    """
    collection = collection_of(request)
    _check_on(collection)
    if bool(removed.keys) == (removed.before is not None):
        raise FieldError("keys", "name either keys or before")
    before = None if removed.before is None else _seconds(removed.before)
    removal = Removal(time.time(), tuple(removed.keys), before)
    feedback = await collection.feedback()
    gone = await feedback.remove(removal)
    note(request, removed=gone)
    return RemovalReply(removed=gone)


@reading.get("/feedback", responses=responses(403, 503))
async def count_feedback(request: Request) -> FeedbackCounts:
    """Count the feedback that is not in the bundle."""
    collection = collection_of(request)
    _check_on(collection)
    return FeedbackCounts(**asdict((await collection.feedback()).status))


async def _known_pairs(
    body: FeedbackRequest, collection: Collection, request: Request
) -> tuple[tuple[Pair, ...], tuple[int, ...]]:
    """The pairs whose passage is in the bundle, documents as their nearest part; indices of others."""
    with collection.lease() as serving:
        _check(body, serving.bundle, collection.settings)
        wanted = list({pair.passage for pair in body.pairs})
        known, split = await asyncio.to_thread(_named, serving.passages, wanted)
        named = [(pair.query, pair.passage) for pair in body.pairs if pair.passage in split]
        nearest = await serving.nearest_parts(named, caller_of(request)) if named else []
    parts, taken = iter(nearest), known | split
    pairs = tuple(
        Pair(p.query, next(parts) if p.passage in split else p.passage, p.weight)
        for p in body.pairs
        if p.passage in taken
    )
    return pairs, tuple(i for i, pair in enumerate(body.pairs) if pair.passage not in taken)


def _named(passages: PassageStore, ids: list[str]) -> tuple[set[str], set[str]]:
    """Those of ``ids`` that are passages, and those that are documents that were split."""
    return set(passages.rows_of(ids)), set(passages.parts(ids))


def _check_on(collection: Collection) -> None:
    """Raise HTTPException if the server takes no feedback."""
    if collection.settings.feedback is None:
        raise HTTPException(
            403, "feedback is off; the server takes it with the setting feedback = FILE"
        )


def _check(body: FeedbackRequest, bundle: str, settings: Settings) -> None:
    """Raise FieldError or HTTPException if ``body`` is for another bundle or the settings forbid it."""
    if body.bundle is not None and body.bundle != bundle:
        raise HTTPException(
            409, f"bundle: {bundle!r} is loaded, the feedback is for {body.bundle!r}"
        )
    if len(body.pairs) > settings.max_queries:
        raise too_many("pairs", len(body.pairs), settings.max_queries)
    for i, pair in enumerate(body.pairs):
        check_text(f"pairs.{i}.query", pair.query, settings.max_query_chars)


def _seconds(when: str) -> float:
    """Return the time ``when`` in seconds since 1970. Raises FieldError."""
    try:
        seconds = float(when)
    except ValueError:
        try:
            found = datetime.fromisoformat(when)
            seconds = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError) as error:
            reason = "neither seconds since 1970 nor ISO 8601, such as 2026-01-31T12:00:00Z"
            raise FieldError("before", reason) from error
    if not math.isfinite(seconds):
        raise FieldError("before", "must be a finite number")
    return seconds
