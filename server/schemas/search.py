"""The shapes of searches, one or many, and of what they find."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from lurcher.retrieval.filters import Filter, Text
from lurcher.retrieval.searching import RankMode
from lurcher.server.schemas.body import Body
from lurcher.server.schemas.problems import Problem

Include = Literal["text", "metadata", "scores", "highlights", "neighbours", "matches"]

DEFAULT_INCLUDE: list[Include] = ["text", "metadata", "scores"]


class Pefa(Body):
    """What known queries may say about the hits (PEFA)."""

    mode: Annotated[
        Literal["auto", "off", "adapted", "voting"],
        Field(
            description="`auto`: what the bundle was tuned for. `off`: passages alone. `adapted`: passages "
            "moved towards the queries they are known to answer. `voting`: known queries near this one "
            "vote for their passages."
        ),
    ] = "auto"
    dense_weight: Annotated[
        float | None,
        Field(
            alias="lambda", ge=0, le=1, allow_inf_nan=False,
            description="Weight of the passage's own score; 1 leaves known queries out. "
            "Default: what was tuned.",
        ),
    ] = None  # fmt: skip


class SearchOptions(Body):
    """What a search may say besides its query."""

    top_k: Annotated[int, Field(ge=1, description="Most hits to return.")] = 10
    filter: Annotated[
        Filter,
        Field(
            description="Conditions on metadata, all of which a hit meets: a value (or a list's "
            'member), `{"in": [...]}`, or a range of `gt`, `gte`, `lt`, `lte`.',
            examples=[{"language": "en", "year": {"gte": 2020}}],
        ),
    ] = {}  # noqa: RUF012 (pydantic copies it)
    include: Annotated[
        list[Include], Field(max_length=6, description="Parts of a hit to return.")
    ] = DEFAULT_INCLUDE
    pefa: Annotated[Pefa, Field(description="Whether and how known queries count.")] = Pefa()
    rank: Annotated[
        RankMode,
        Field(
            description="How the first stage's best are put in order. `maxsim`: by late interaction with the "
            "passages' 1-bit tokens. `decoder`: by a trained decoder on top of that, or by a T5 alone, "
            "whichever the bundle has. `reader`: by late interaction and how sure the bundle's reader is of "
            "its best answer in each. `auto`: `maxsim`, if the bundle has tokens. `off`: not."
        ),
    ] = "auto"
    candidates: Annotated[
        int | None,
        Field(
            ge=1,
            description="How many of the first stage's best are ranked, at least `top_k` if any are. "
            "Default: 100, or `top_k` if that is more.",
        ),
    ] = None
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
    neighbours: float | None = Field(
        default=None,
        description="What known queries say, if they were asked: by `adapted` the inner product with their "
        "mean, by `voting` the sum of their votes.",
    )
    mixed: float | None = Field(
        default=None, description="Both, mixed by lambda: the first stage's score."
    )
    late: float | None = Field(
        default=None,
        description="Late interaction (MaxSim), if the hits were ranked: the cosine of each token of the "
        "query with the 1-bit token of the passage that meets it best, in the mean by how much the query's "
        "tokens tell; -1 to 1, and -1 for a passage without tokens.",
    )
    rank: float | None = Field(
        default=None,
        description="What ranked hits are ordered by: the first stage's score, in which `late` takes three "
        "quarters of the place of `dense`. Where no known query counts 0.25 dense + 0.75 late: -1 to 1 for "
        "models with unit-norm vectors. By a decoder, that plus what it adds, which has no bounds. "
        "By a T5, what it says alone, in nats: the query's log-likelihood, at most 0, or log-odds that the "
        "passage answers it, or their sum.",
    )


class Neighbour(BaseModel):
    """A known query that spoke for a hit."""

    id: str = Field(description="Empty for one that the running server has learnt.")
    query: str
    similarity: float = Field(description="Its inner product with this query.")
    share: float = Field(description="Its part of the hit's neighbour score, 0 to 1.")


class Span(BaseModel):
    """A part of a text: offsets in Unicode code points, ``end`` not included."""

    start: int
    end: int


class TokenMatch(BaseModel):
    """A token of the query and the passage's token that it met best."""

    query: Span = Field(description="The query's token.")
    part: Literal["title", "text"] = Field(description="Where the passage's token stands.")
    passage: Span = Field(
        description="The passage's token, in that part; where similar ones share a code, one of them."
    )
    similarity: float = Field(description="Their cosine, -1 to 1.")
    weight: float = Field(
        description="How much the query's token tells. Weight times similarity, added up over a hit's "
        "matches, is its score `late`, but for tokens that stand for no character."
    )


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
    neighbours: list[Neighbour] = Field(
        default=[], description="If included: the known queries that spoke most for it."
    )
    matches: list[TokenMatch] = Field(
        default=[],
        description="If included and the hits were ranked: where each token of the query met the passage.",
    )


class Timings(BaseModel):
    """Milliseconds by stage; stages but `queue` and `total` are those of the batch it ran in."""

    queue: float
    encode: float
    search: float
    rank: float
    fetch: float
    total: float


class SearchReply(BaseModel):
    """The hits of one query, best first."""

    hits: list[Hit]
    timings_ms: Timings
    bundle: str
    truncated: bool = Field(description="The query was longer than the encoder reads.")
    degraded: list[str] = Field(
        description="Stages left out to keep the deadline: `rank`, or none."
    )


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
    degraded: list[str] = Field(description="Stages left out for any of the queries.")
