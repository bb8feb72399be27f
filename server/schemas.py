"""The shapes of requests and replies on our own routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.filters import Filter, Text

Include = Literal["text", "metadata", "scores", "highlights"]

DEFAULT_INCLUDE: list[Include] = ["text", "metadata", "scores"]


class _Request(BaseModel):
    # A misspelt field is an error, and a number in quotes is not a number.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SearchOptions(_Request):
    """What a search may say besides its query."""

    top_k: Annotated[int, Field(ge=1, description="Most hits to return.")] = 10
    filter: Annotated[
        Filter,
        Field(
            description="Conditions on metadata, all of which a hit meets: a value (or a list's "
            'member), `{"in": [...]}`, or a range of `gt`, `gte`, `lt`, `lte`.',
            examples=[{"language": "en", "year": {"gte": 2020}}],
        ),
    ] = {}
    include: Annotated[
        list[Include], Field(max_length=4, description="Parts of a hit to return.")
    ] = DEFAULT_INCLUDE
    timeout_ms: Annotated[
        int | None,
        Field(ge=1, description="After so long the answer is 504; at most the server's own."),
    ] = None


class SearchRequest(SearchOptions):
    """One query."""

    query: Annotated[Text, Field(min_length=1, examples=["who invented the telescope"])]


class BatchRequest(SearchOptions):
    """Many queries with the same options."""

    queries: Annotated[list[Text], Field(min_length=1)]


class Scores(BaseModel):
    """The score of each stage that ran."""

    dense: float = Field(description="Inner product of query and passage vector; cosine, -1 to 1, "
                         "for models with unit-norm vectors.")  # fmt: skip


class Span(BaseModel):
    """A part of a text: offsets in Unicode code points, ``end`` not included."""

    start: int
    end: int


class Hit(BaseModel):
    """One passage found."""

    id: str
    score: float = Field(description="What the hits are ordered by: the last stage's score.")
    title: str
    text: str = Field(default="", description="If included.")
    metadata: dict[str, Any] = Field(default={}, description="If included.")
    scores: Scores | None = Field(default=None, description="If included.")
    highlights: list[Span] = Field(
        default=[],
        description="If included: the sentence of `text` that shares most with the query.",
    )


class Timings(BaseModel):
    """Milliseconds by stage; stages but `queue` and `total` are those of the batch it ran in."""

    queue: float
    encode: float
    search: float
    fetch: float
    total: float


class SearchReply(BaseModel):
    """The hits of one query, best first."""

    hits: list[Hit]
    timings_ms: Timings
    bundle: str
    truncated: bool = Field(description="The query was longer than the encoder reads.")
    degraded: list[str] = Field(description="Stages left out to keep the deadline.")


class FieldProblem(BaseModel):
    """One field that cannot be used."""

    field: str
    reason: str


class Problem(BaseModel):
    """An error, as RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str = ""
    errors: list[FieldProblem] = []


class BatchItem(BaseModel):
    """Either the hits of one query or why there are none."""

    hits: list[Hit] = []
    truncated: bool = False
    error: Problem | None = None


class BatchReply(BaseModel):
    """One item a query, in the order asked."""

    results: list[BatchItem]
    timings_ms: dict[str, float]
    bundle: str
    degraded: list[str]


class BundleReply(BaseModel):
    """What is loaded."""

    name: str
    created: str
    lurcher_version: str
    passages: int
    bytes: int
    encoder: dict[str, Any]
    build: dict[str, Any]
    figures: dict[str, Any]
    filter_fields: list[str]
    limits: dict[str, int]
