"""Schemas of feedback: giving, removing and counting it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, FiniteFloat

from lurcher.retrieval.filters import Text
from lurcher.server.schemas.body import Body
from lurcher.server.schemas.problems import FieldProblem


class FeedbackPair(Body):
    """A passage that answers a query."""

    query: Annotated[Text, Field(min_length=1, examples=["who invented the telescope"])]
    passage: Annotated[
        Text,
        Field(
            min_length=1,
            description="The id of a passage; or of a document, for its passage nearest to the query.",
        ),
    ]
    weight: Annotated[
        FiniteFloat,
        Field(gt=0, le=1_000, description="How certain or how frequent the judgement is."),
    ] = 1.0


class FeedbackRequest(Body):
    """Judgements, such as clicks."""

    pairs: Annotated[list[FeedbackPair], Field(min_length=1)]
    bundle: Annotated[
        Text | None,
        Field(description="The bundle that the feedback is for; 409 if another one is loaded."),
    ] = None


class RefusedPair(FieldProblem):
    """A pair that was not accepted."""

    index: int = Field(description="Its position in the request, from 0.")


class FeedbackReply(BaseModel):
    """What happened to the pairs; those accepted are on disk and count in searches."""

    accepted: int
    refused: list[RefusedPair]
    held_back: int = Field(
        description="How many accepted pairs do not count yet, because too few clients have given them."
    )
    key: str = Field(
        description="The key by which this feedback can be removed: the request's own, or a new one."
    )


class RemovalQuery(Body):
    """Which feedback to remove: exactly one of `keys` and `before`."""

    keys: Annotated[
        list[Text],
        Field(max_length=1_000, description="Remove the feedback of requests with these keys."),
    ] = []  # noqa: RUF012 (pydantic copies it)
    before: Annotated[
        str | None,
        Field(
            description="Remove feedback from before this time: seconds since 1970, or ISO 8601 (UTC "
            "unless it has an offset)."
        ),
    ] = None


class RemovalReply(BaseModel):
    """What was removed."""

    removed: int = Field(description="Judgements that counted in this server until now.")


class FeedbackCounts(BaseModel):
    """Counts of the feedback that is not in the bundle."""

    pairs: int = Field(description="Different pairs of query and passage.")
    held_back: int = Field(
        description="How many of these do not count yet, because too few clients have given them."
    )
    most_pairs: int = Field(description="Maximum number of pairs; beyond it, new ones get 507.")
    judgements: int
    log: str = Field(description="The log's id, by which a bundle remembers what was put into it.")
    sequence: int = Field(description="The number of the log's last record.")
    log_bytes: int
