"""Fields that requests of several routes have."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header
from pydantic import Field

from lurcher.retrieval.filters import Text

Degrade = Annotated[
    bool,
    Field(
        description="Whether ranking may be left out, or made cheaper, where time is short or many "
        "requests wait; `degraded` in the reply says so. If not, the request is refused instead."
    ),
]
MinSequence = Annotated[
    int | None,
    Field(ge=0, description="Answer when searches know this write; its reply gave the number."),
]
Collections = Annotated[
    list[Text] | None,
    Field(
        min_length=1,
        description="Ask these collections together, which have the same encoder; each hit or answer then "
        "says its `collection`. Not below the name of a collection.",
    ),
]
Timeout = Annotated[
    int | None,
    Field(
        ge=1, description="Time limit, after which the reply is 504; at most the server's setting."
    ),
]


def idempotency_key(description: str) -> Any:
    """The header by which a repeated request is told from a new one; ``description`` says what that means."""
    return Header(alias="Idempotency-Key", pattern="^[!-~]{1,200}$", description=description)
