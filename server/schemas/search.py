"""Schemas of searches, single or in batches, and of their hits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from lurcher.retrieval.filters import Filter, Text
from lurcher.retrieval.query import GroupBy, QuerySyntax, RankMode, RetrieveMode
from lurcher.server.schemas.body import Body
from lurcher.server.schemas.fields import Collections, Degrade, MinSequence, Timeout
from lurcher.server.schemas.problems import Problem

Include = Literal[
    "text", "metadata", "scores", "highlights", "contributing_neighbours", "token_alignment"
]

DEFAULT_INCLUDE: list[Include] = ["text", "metadata", "scores"]


class NeighbourOptions(Body):
    """How known queries, queries with judged answers, change the order of hits (PEFA)."""

    mode: Annotated[
        Literal["auto", "off", "adapted", "voting"],
        Field(
            description="`auto`: the mode that the bundle was tuned for. `off`: known queries do not count. "
            "`adapted` (PEFA-XS): each passage's vector is moved towards the queries that it answers. "
            "`voting` (PEFA-XL): the known queries nearest to this one vote for their passages."
        ),
    ] = "auto"
    dense_weight: Annotated[
        float | None,
        Field(
            alias="lambda", ge=0, le=1, allow_inf_nan=False,
            description="Weight of the passage's own score; with 1, known queries do not count. Default: as "
            "the bundle was tuned.",
        ),
    ] = None  # fmt: skip


class SearchOptions(Body):
    """Options of a search."""

    top_k: Annotated[int, Field(ge=1, description="Maximum number of hits.")] = 10
    offset: Annotated[
        int,
        Field(
            ge=0,
            description="Leave out so many of the best hits: pages of `top_k` hits are parts of one order. "
            "`offset` + `top_k` is at most `candidates`, which has to be the same for all pages.",
        ),
    ] = 0
    filter: Annotated[
        Filter,
        Field(
            description="Conditions on metadata; a hit meets all of them. A condition is a value, "
            '`{"in": [...]}`, or a range of `gt`, `gte`, `lt`, `lte`. In a list, one member has to meet it.',
            examples=[{"language": "en", "year": {"gte": 2020}}],
        ),
    ] = {}  # noqa: RUF012 (pydantic copies it)
    include: Annotated[
        list[Include], Field(max_length=6, description="Which parts of a hit to return.")
    ] = DEFAULT_INCLUDE
    retrieve: Annotated[
        RetrieveMode,
        Field(
            description="What finds candidates. `dense`: the vectors nearest to the query's. `lexical`: the "
            "query's words (BM25). `hybrid`: both. `auto`: `hybrid` if the bundle has both indexes, or the "
            "one that it has."
        ),
    ] = "auto"
    query_syntax: Annotated[
        QuerySyntax,
        Field(
            description="`plain`: the query is text, and no sign in it has a meaning of its own. `phrase`: "
            "each hit has what the query has in quotes, word by word; case, accents and punctuation do not "
            "count."
        ),
    ] = "plain"
    neighbours: Annotated[
        NeighbourOptions, Field(description="Whether and how known queries count.")
    ] = NeighbourOptions()
    rank: Annotated[
        RankMode,
        Field(
            description="How to rank the candidates of the first stage. `maxsim`: late interaction with the "
            "passages' 1-bit tokens. `decoder`: that, corrected by a trained decoder. `t5`: a T5 alone. "
            "`reader`: late interaction, and how sure the bundle's reader is of its best answer in each "
            "passage. `auto`: `maxsim` if the bundle has tokens, otherwise `off`. `off`: keep the order of "
            "the first stage."
        ),
    ] = "auto"
    candidates: Annotated[
        int | None,
        Field(
            ge=1,
            description="How many candidates of the first stage to rank, at least `top_k`. Default: 100 or, "
            "if they are ranked and words find some, too, 75; or `top_k` if that is larger.",
        ),
    ] = None
    fold: Annotated[
        bool,
        Field(
            description="Show one of all passages with nearly the same text, and how many there are in "
            "`duplicates`."
        ),
    ] = False
    group_by: Annotated[
        GroupBy | None,
        Field(description="`document`: show the best passage of each document only."),
    ] = None
    degrade: Degrade = True
    partial: Annotated[
        bool,
        Field(
            description="Of a collection in shards: answer from those that do, and name the others in "
            "`degraded`. Otherwise the reply is 503 if one is missing."
        ),
    ] = True
    min_sequence: MinSequence = None
    timeout_ms: Timeout = None


class SearchRequest(SearchOptions):
    """One query."""

    query: Annotated[Text, Field(min_length=1, examples=["who invented the telescope"])]
    collections: Collections = None


class BatchRequest(SearchOptions):
    """Many queries with the same options."""

    queries: Annotated[list[Text], Field(min_length=1)]
    collections: Collections = None


class Scores(BaseModel):
    """The score of each stage that ran."""

    dense: float | None = Field(
        default=None,
        description="Inner product of the vectors of query and passage; -1 to 1 if vectors have norm 1. "
        "Missing with `retrieve: lexical` and nothing that ranks.",
    )
    lexical: float | None = Field(
        default=None,
        description="How much of the query's words the passage has, if words find candidates: BM25 over what "
        "a passage of nothing but these words would have. 0 to 1, and it depends on no other passage.",
    )
    neighbours: float | None = Field(
        default=None,
        description="Score from known queries, if they count. `adapted`: the inner product with the mean of "
        "the passage's known queries. `voting`: the sum of their votes.",
    )
    fused: float | None = Field(
        default=None,
        description="Score of the first stage, if known queries or words count: `dense`, what known queries "
        "add to it by the weight lambda, and `lexical` by its weight.",
    )
    maxsim: float | None = Field(
        default=None,
        description="Late interaction, if hits were ranked: for each token of the query, the cosine of the "
        "most similar 1-bit token of the passage; the mean of these, weighted by inverse document frequency. "
        "-1 to 1, and -1 for a passage without tokens.",
    )
    rank: float | None = Field(
        default=None,
        description="What ranked hits are ordered by: 0.3 dense + 0.7 maxsim (of code half of each), and "
        "what known queries and the lexical score add. "
        "A decoder or reader corrects this value, which may then leave -1 to 1. A "
        "T5's score stands alone, in nats: the log-likelihood of the query (at most 0), the log-odds that "
        "the passage answers it, or the sum of both.",
    )


class ContributingNeighbour(BaseModel):
    """A known query that raised a hit."""

    id: str = Field(description="Empty if the running server learnt it from feedback.")
    query: str
    similarity: float = Field(description="Inner product of the known query and this query.")
    share: float = Field(description="Its part of the hit's score `neighbours`, 0 to 1.")


class Span(BaseModel):
    """A part of a text: offsets in Unicode code points, ``end`` not included."""

    start: int
    end: int


class TokenMatch(BaseModel):
    """A token of the query, and the passage's token that is most similar to it."""

    query: Span = Field(description="The query's token.")
    part: Literal["title", "text"] = Field(
        description="The part of the passage that its token stands in."
    )
    passage: Span = Field(
        description="The passage's token, in that part. Of similar tokens that share a code, the nearest."
    )
    similarity: float = Field(description="Their cosine, -1 to 1.")
    weight: float = Field(
        description="Weight of the query's token. The sum of weight times similarity is the hit's score "
        "`maxsim`, except for tokens that stand for no character, which are left out."
    )


class Hit(BaseModel):
    """A passage that was found."""

    collection: str = Field(default="", description="If several collections were searched.")
    id: str
    score: float = Field(
        description="What the hits are ordered by: the score of the last stage that ran."
    )
    title: str = Field(description="The document's title and the passage's section in one line.")
    document: str = Field(
        description="Id of the document that the passage is a part of; its own if it is all of it."
    )
    section: list[str] = Field(description="The headings above the passage, outermost first.")
    start: int = Field(
        description="Where the passage starts in the document's text, in Unicode code points."
    )
    end: int = Field(description="Where it ends there; not included.")
    anchor: str = Field(default="", description="Of its section in the document, if there is one.")
    url: str = Field(
        default="", description="A link to it, if the bundle was built with `--url-prefix`."
    )
    text: str = Field(default="", description="If included.")
    metadata: dict[str, Any] = Field(default={}, description="If included.")
    scores: Scores | None = Field(default=None, description="If included.")
    duplicates: int = Field(
        default=0,
        description="If texts are folded: how many more passages that meet the filter have nearly this text.",
    )
    highlights: list[Span] = Field(
        default=[],
        description="If included: the sentence of `text` that shares most words with the query.",
    )
    contributing_neighbours: list[ContributingNeighbour] = Field(
        default=[], description="If included: the known queries that raised the hit most."
    )
    token_alignment: list[TokenMatch] = Field(
        default=[],
        description="If included, and hits were ranked by tokens: for each token of the query, the passage's "
        "most similar token.",
    )


class Timings(BaseModel):
    """Milliseconds per stage; all except `queue` and `total` are those of the query's batch."""

    queue: float
    encode: float
    retrieve_dense: float = Field(default=0, description="Finding candidates by vectors.")
    retrieve_neighbours: float = Field(
        default=0, description="Only if a query of the batch lets known queries vote."
    )
    retrieve_lexical: float = Field(default=0, description="Finding candidates by words.")
    fuse: float
    rank: float
    fetch: float
    group: float = Field(default=0, description="Only if a query of the batch groups its hits.")
    explain: float = Field(
        default=0, description="Only if a query of the batch asked for explanations."
    )
    total: float


class SearchReply(BaseModel):
    """The hits of one query, best first."""

    hits: list[Hit]
    timings_ms: Timings
    bundle: str = Field(default="", description="Which answered, unless `collections` were asked.")
    collections: dict[str, str] = Field(
        default={}, description="The bundle that answered, for each of `collections`."
    )
    truncated: bool = Field(description="Whether the query was longer than the encoder reads.")
    question: bool = Field(
        description="Whether the query reads like a question, so that it makes sense to ask `/v1/answer`."
    )
    degraded: list[str] = Field(
        description="Stages that were skipped to keep the deadline: `retrieve_lexical`, `rank`. Of a "
        "collection in shards, those that did not answer, such as `shard:3`."
    )


class BatchItem(BaseModel):
    """The hits of one query, or its error."""

    hits: list[Hit] = []
    truncated: bool = False
    error: Problem | None = None


class BatchReply(BaseModel):
    """One item per query, in the order of the request."""

    results: list[BatchItem]
    timings_ms: dict[str, float]
    bundle: str = Field(default="", description="Which answered, unless `collections` were asked.")
    collections: dict[str, str] = Field(
        default={}, description="The bundle that answered, for each of `collections`."
    )
    degraded: list[str] = Field(description="Stages that were skipped for any of the queries.")
