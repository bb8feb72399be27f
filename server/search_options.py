"""From the body of a search to its query, within the limits of the settings."""

from __future__ import annotations

from typing import cast

from starlette.exceptions import HTTPException

from lurcher.bundle.passages import Condition
from lurcher.errors import FieldError
from lurcher.retrieval.filters import conditions
from lurcher.retrieval.query import Extra, Query
from lurcher.server.limits import candidates_for, too_many
from lurcher.server.schemas.search import SearchOptions
from lurcher.server.serving import Serving
from lurcher.server.settings import Settings

_EXTRAS = frozenset({"contributing_neighbours", "token_alignment", "highlights"})

Options = tuple[int, tuple[Condition, ...], frozenset[Extra]]


def options_of(
    body: SearchOptions, serving: Serving, settings: Settings, count: int = 1
) -> Options:
    """Return candidates, conditions and extras for ``count`` searches as ``body`` wants them.

    Raises FieldError, and HTTPException for more than is explained in one request.
    """
    if body.top_k > settings.max_top_k:
        raise FieldError("top_k", f"at most {settings.max_top_k} hits are allowed")
    default = serving.capabilities.default_candidates(body.rank, body.retrieve)
    candidates = candidates_for("top_k", body.top_k, body.candidates, default, settings)
    if "token_alignment" in body.include and count * body.top_k > settings.max_aligned:
        reason = f"token_alignment: at most {settings.max_aligned} hits in one request"
        raise HTTPException(413, reason)
    extras = cast("frozenset[Extra]", _EXTRAS.intersection(body.include))
    return candidates, conditions(body.filter) if body.filter else (), extras


def query_of(text: str, body: SearchOptions, options: Options) -> Query:
    """Return the query for ``text``."""
    candidates, tests, extras = options
    neighbours = body.neighbours
    return Query(
        text, body.top_k, tests, neighbours.mode, neighbours.dense_weight, body.rank, candidates,
        extras=extras, fold=body.fold, group_by=body.group_by, retrieve=body.retrieve,
        query_syntax=body.query_syntax,
    )  # fmt: skip


def check_sums(
    field: str, count: int, body: SearchOptions, options: Options, serving: Serving,
    settings: Settings,
) -> None:  # fmt: skip
    """Raise HTTPException if ``count`` searches, one for each in ``field``, ask for too much together."""
    candidates, _, _ = options
    if count > settings.max_queries:
        raise too_many(field, count, settings.max_queries)
    if count * body.top_k > settings.max_hits:
        reason = f"{field} times top_k: at most {settings.max_hits} hits in one request"
        raise HTTPException(413, reason)
    if serving.capabilities.ranks(body.rank) and count * candidates > settings.max_ranked:
        reason = (
            f"{field} times candidates: at most {settings.max_ranked} passages are ranked for one"
            " request"
        )
        raise HTTPException(413, reason)
