"""The shapes of searches, one or many, and of what they find."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from lurcher.retrieval.filters import Filter, Text
from lurcher.retrieval.query import RankMode
from lurcher.server.schemas.body import Body
from lurcher.server.schemas.problems import Problem

Include = Literal[
    "text", "metadata", "scores", "highlights", "contributing_neighbours", "token_alignment"
]

DEFAULT_INCLUDE: list[Include] = ["text", "metadata", "scores"]


class NeighbourOptions(Body):
    """How known queries change the order of hits (PEFA)."""

    mode: Annotated[
        Literal["auto", "off", "adapted", "voting"],
        Field(
            description="`auto`: what the bundle was tuned for. `off`: passages alone. `adapted` (PEFA-XS): "
            "passages moved towards the queries that they are known to answer. `voting` (PEFA-XL): known "
            "queries near this one vote for their passages."
        ),
    ] = "auto"
    dense_weight: Annotated[
        float | None,
        Field(
            alias="lambda", ge=0, le=1, allow_inf_nan=False,
            description="Weight of a passage's own score; 1 leaves known queries out. Default: what the "
            "bundle was tuned to.",
        ),
    ] = None  # fmt: skip


class SearchOptions(Body):
    """The options of a search."""

    top_k: Annotated[int, Field(ge=1, description="How many hits to return at most.")] = 10
    filter: Annotated[
        Filter,
        Field(
            description="Conditions on metadata, all of which a hit meets: a value (or a list's "
            'member), `{"in": [...]}`, or a range of `gt`, `gte`, `lt`, `lte`.',
            examples=[{"language": "en", "year": {"gte": 2020}}],
        ),
    ] = {}  # noqa: RUF012 (pydantic copies it)
    include: Annotated[
        list[Include], Field(max_length=6, description="Which parts of a hit to return.")
    ] = DEFAULT_INCLUDE
    neighbours: Annotated[
        NeighbourOptions, Field(description="Whether and how known queries count.")
    ] = NeighbourOptions()
    rank: Annotated[
        RankMode,
        Field(
            description="How the candidates of the first stage are ranked. `maxsim`: by late interaction "
            "with the passages' 1-bit tokens. `decoder`: by a trained decoder on top of that. `t5`: by a T5 "
            "alone. `reader`: by maxsim and how sure the bundle's reader is of its best answer in each "
            "passage. `auto`: `maxsim`, if the bundle has tokens. `off`: not at all."
        ),
    ] = "auto"
    candidates: Annotated[
        int | None,
        Field(
            ge=1,
            description="How many candidates of the first stage are ranked, at least `top_k`. Default: 100, "
            "or `top_k` if that is more.",
        ),
    ] = None
    timeout_ms: Annotated[
        int | None,
        Field(
            ge=1, description="Time limit, after which the reply is 504; at most the server's own."
        ),
    ] = None


class SearchRequest(SearchOptions):
    """One query."""

    query: Annotated[Text, Field(min_length=1, examples=["who invented the telescope"])]


class BatchRequest(SearchOptions):
    """Many queries with the same options."""

    queries: Annotated[list[Text], Field(min_length=1)]


class Scores(BaseModel):
    """The score of each stage that ran."""

    dense: float = Field(
        description="Inner product of the vectors of query and passage: -1 to 1 for models with unit-norm "
        "vectors."
    )
    neighbours: float | None = Field(
        default=None,
        description="Score from known queries, if they count: by `adapted` the inner product with their "
        "mean, by `voting` the sum of their votes.",
    )
    fused: float | None = Field(
        default=None, description="Both, mixed by lambda: the score of the first stage."
    )
    maxsim: float | None = Field(
        default=None,
        description="Late interaction, if the hits were ranked: for each token of the query the cosine of "
        "the most similar 1-bit token of the passage, averaged by inverse document frequency; -1 to 1, and "
        "-1 for a passage without tokens.",
    )
    rank: float | None = Field(
        default=None,
        description="What ranked hits are ordered by: the first stage's score, in which `maxsim` takes "
        "three quarters of the weight of `dense`. Where no known query counts that is 0.25 dense + 0.75 "
        "maxsim. A decoder adds a term without bounds. A T5's score stands alone, in nats: the query's "
        "log-likelihood, at most 0, or log-odds that the passage answers it, or their sum.",
    )


class ContributingNeighbour(BaseModel):
    """A known query that raised a hit."""

    id: str = Field(description="Empty for one that the running server has learnt.")
    query: str
    similarity: float = Field(description="Its inner product with this query.")
    share: float = Field(description="Its part of the hit's neighbour score, 0 to 1.")


class Span(BaseModel):
    """A part of a text: offsets in Unicode code points, ``end`` not included."""

    start: int
    end: int


class TokenMatch(BaseModel):
    """A token of the query and the passage's token that is most similar to it."""

    query: Span = Field(description="The query's token.")
    part: Literal["title", "text"] = Field(description="Where the passage's token stands.")
    passage: Span = Field(
        description="The passage's token, in that part; where similar ones share a code, one of them."
    )
    similarity: float = Field(description="Their cosine, -1 to 1.")
    weight: float = Field(
        description="The weight of the query's token. Weight times similarity, added up over a hit's "
        "matches, is its score `maxsim`, except for tokens that stand for no character."
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
        description="If included: the sentence of `text` that has most words in common with the query.",
    )
    contributing_neighbours: list[ContributingNeighbour] = Field(
        default=[], description="If included: the known queries that raised it most."
    )
    token_alignment: list[TokenMatch] = Field(
        default=[],
        description="If included and the hits were ranked: for each token of the query the passage's token "
        "that is most similar.",
    )


class Timings(BaseModel):
    """Milliseconds by stage; all but `queue` and `total` are those of the batch that the query ran in."""

    queue: float
    encode: float
    retrieve: float
    fuse: float
    rank: float
    fetch: float
    explain: float = Field(default=0, description="If the hits of any query were to be explained.")
    total: float


class SearchReply(BaseModel):
    """The hits of one query, best first."""

    hits: list[Hit]
    timings_ms: Timings
    bundle: str
    truncated: bool = Field(description="The query was longer than the encoder reads.")
    degraded: list[str] = Field(
        description="Stages that were left out to keep the deadline: `rank`, or none."
    )


class BatchItem(BaseModel):
    """Either the hits of one query or why there are none."""

    hits: list[Hit] = []
    truncated: bool = False
    error: Problem | None = None


class BatchReply(BaseModel):
    """One item per query, in the order of the request."""

    results: list[BatchItem]
    timings_ms: dict[str, float]
    bundle: str
    degraded: list[str] = Field(description="Stages that were left out for any of the queries.")
