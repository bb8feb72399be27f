"""The shapes of judgements: given, taken back and counted."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, FiniteFloat

from lurcher.retrieval.filters import Text
from lurcher.server.schemas.body import Body
from lurcher.server.schemas.problems import FieldProblem


class FeedbackPair(Body):
    """A passage that answers a query."""

    query: Annotated[Text, Field(min_length=1, examples=["who invented the telescope"])]
    passage: Annotated[Text, Field(min_length=1, description="Its id.")]
    weight: Annotated[
        FiniteFloat, Field(gt=0, le=1_000, description="How surely, or how often.")
    ] = 1.0


class FeedbackRequest(Body):
    """Judgements, such as clicks."""

    pairs: Annotated[list[FeedbackPair], Field(min_length=1)]
    bundle: Annotated[
        Text | None, Field(description="The bundle it is meant for; 409 if another is loaded.")
    ] = None


class RefusedPair(FieldProblem):
    """A pair that was not taken."""

    index: int = Field(description="Its place in the request, from 0.")


class FeedbackReply(BaseModel):
    """What became of the pairs; those accepted are on the disk and count in searches."""

    accepted: int
    refused: list[RefusedPair]
    held_back: int = Field(
        description="Of those accepted, how many wait for other clients to say the same."
    )
    key: str = Field(
        description="By which this can be taken back: the request's own, or a new one."
    )


class RemovalQuery(Body):
    """Which feedback to take back: exactly one of both."""

    keys: Annotated[
        list[Text],
        Field(max_length=1_000, description="That of requests with one of these keys."),
    ] = []  # noqa: RUF012 (pydantic copies it)
    before: Annotated[
        str | None,
        Field(
            description="That given before this time: seconds since 1970, or ISO 8601 (UTC unless it "
            "names an offset)."
        ),
    ] = None


class RemovalReply(BaseModel):
    """What was taken back."""

    removed: int = Field(description="Judgements that counted in this server, and do not any more.")


class FeedbackCounts(BaseModel):
    """What the server has learnt since its bundle was made."""

    pairs: int = Field(description="Different pairs of query and passage.")
    held_back: int = Field(description="Of these, how many wait for other clients.")
    most_pairs: int = Field(description="Beyond so many the answer to new ones is 507.")
    judgements: int
    log: str = Field(description="The log's id, by which a bundle names what was put into it.")
    sequence: int = Field(description="Number of the last record in the log.")
    log_bytes: int
