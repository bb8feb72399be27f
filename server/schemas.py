"""The shapes of requests and replies on our own routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat

from server.filters import Filter, Text

Include = Literal["text", "metadata", "scores", "highlights", "neighbours", "matches"]

DEFAULT_INCLUDE: list[Include] = ["text", "metadata", "scores"]


class _Request(BaseModel):
    # A misspelt field is an error, and a number in quotes is not a number.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Pefa(_Request):
    """What known queries may say about the hits (PEFA)."""

    mode: Annotated[
        Literal["auto", "off", "xs", "xl"],
        Field(
            description="`auto`: what the bundle was tuned for. `off`: passages alone. `xs`: passages "
            "moved towards the queries they are known to answer. `xl`: known queries near this one "
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
        list[Include], Field(max_length=6, description="Parts of a hit to return.")
    ] = DEFAULT_INCLUDE
    pefa: Annotated[Pefa, Field(description="Whether and how known queries count.")] = Pefa()
    rank: Annotated[
        Literal["auto", "off", "maxsim", "decoder", "reader"],
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
        description="What known queries say, if they were asked: by `xs` the inner product with their "
        "mean, by `xl` the sum of their votes.",
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
    degraded: list[str] = Field(description="Stages left out for any of the queries.")


class Document(_Request):
    """A text to score."""

    text: Text


def _document(given: object) -> object:
    """A text as the object that holds it, so that what is wrong with either is named alike."""
    if isinstance(given, str):
        return {"text": given}
    if not isinstance(given, dict):
        raise ValueError("must be a text, or an object with a `text`")
    return given


class RerankRequest(_Request):
    """A query and what to score for it: exactly one of `documents` and `passages`."""

    query: Annotated[Text, Field(min_length=1, examples=["who invented the telescope"])]
    documents: Annotated[
        list[Annotated[Document, BeforeValidator(_document, json_schema_input_type=Text | Document)]] | None,
        Field(
            min_length=1, description="Texts, read for this request as a build reads passages.",
            examples=[["The telescope was invented in the Netherlands.", "Bread needs yeast."]],
        ),
    ] = None  # fmt: skip
    passages: Annotated[
        list[Text] | None, Field(min_length=1, description="Ids of the bundle's passages.")
    ] = None
    top_n: Annotated[int | None, Field(ge=1, description="Most results; default: all.")] = None
    return_documents: Annotated[bool, Field(description="Whether results have their text.")] = False
    max_tokens_per_doc: Annotated[
        int | None,
        Field(
            ge=1,
            description="Each of `documents` is cut to so many tokens; default, and at most: what the "
            "encoder reads.",
        ),
    ] = None
    model: Annotated[
        Text | None, Field(description="For clients that send one; the bundle's is what there is.")
    ] = None
    timeout_ms: Annotated[
        int | None,
        Field(ge=1, description="After so long the answer is 504; at most the server's own."),
    ] = None


class RerankedDocument(BaseModel):
    """The text of a document or passage."""

    text: str


class RerankResult(BaseModel):
    """One document or passage."""

    index: int = Field(description="Its place in the request, from 0.")
    relevance_score: float = Field(
        description="As `scores.rank` of a search without known queries: 0.25 times the inner product "
        "of the vectors and 0.75 times late interaction; -1 to 1 for models with unit-norm vectors."
    )
    id: str | None = Field(default=None, description="The passage's, if ids were given.")
    document: RerankedDocument | None = Field(default=None, description="If it was to be returned.")


class RerankMeta(BaseModel):
    """What is to be said of all results."""

    bundle: str
    model: str = Field(description="The bundle's encoder.")
    truncated: bool = Field(description="The query was longer than the encoder reads.")
    truncated_documents: list[int] = Field(
        description="Places of the documents that were cut: longer than `max_tokens_per_doc`, or than the "
        "encoder reads."
    )
    timings_ms: dict[str, float]


class RerankReply(BaseModel):
    """The documents or passages, best first."""

    id: str = Field(description="The request's, as in `X-Request-Id`.")
    results: list[RerankResult]
    meta: RerankMeta


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
    tokens: dict[str, Any] | None = Field(
        description="What ranking reads, if the bundle has it: 1-bit tokens, their number and size."
    )
    ranker: dict[str, Any] | None = Field(
        description="The decoder or T5 that `rank` may name, if the bundle has it."
    )
    states: dict[str, Any] | None = Field(
        description="What the T5 reads, if one ranks: its states of passages, their number, form and size."
    )
    reader: dict[str, Any] | None = Field(
        description="What finds answers, if the bundle has it: what it was trained on, and how well it reads."
    )
    reading: dict[str, Any] | None = Field(
        description="What the reader reads: the tokens in more detail, their number and size."
    )
    filter_fields: list[str]
    limits: dict[str, int]


class FeedbackPair(_Request):
    """A passage that answers a query."""

    query: Annotated[Text, Field(min_length=1, examples=["who invented the telescope"])]
    passage: Annotated[Text, Field(min_length=1, description="Its id.")]
    weight: Annotated[
        FiniteFloat, Field(gt=0, le=1_000, description="How surely, or how often.")
    ] = 1.0


class FeedbackRequest(_Request):
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


class RemovalQuery(_Request):
    """Which feedback to take back: exactly one of both."""

    keys: Annotated[
        list[Text],
        Field(max_length=1_000, description="That of requests with one of these keys."),
    ] = []
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


class AnswerRequest(_Request):
    """A question, and how its answers are found."""

    query: Annotated[Text, Field(min_length=1, examples=["who invented the telescope"])]
    top_k: Annotated[int, Field(ge=1, le=20, description="Most answers to return.")] = 3
    passages: Annotated[
        int, Field(ge=1, description="How many of the hits that a search finds are read.")
    ] = 10
    min_score: Annotated[
        float | None,
        Field(
            ge=0, le=1, allow_inf_nan=False,
            description="The least `score` of an answer. Default: what the bundle's reader says of itself.",
        ),
    ] = None  # fmt: skip
    write: Annotated[
        bool,
        Field(
            description="Let the bundle's T5 write an answer of the passages, too, if it has one."
        ),
    ] = False
    filter: Annotated[
        Filter, Field(description="As in a search.", examples=[{"language": "en"}])
    ] = {}
    pefa: Annotated[Pefa, Field(description="As in a search.")] = Pefa()
    rank: Annotated[
        Literal["auto", "off", "maxsim", "decoder", "reader"], Field(description="As in a search.")
    ] = "auto"
    candidates: Annotated[
        int | None,
        Field(
            ge=1,
            description="How many of the first stage's best are ranked, at least `passages` if any are. "
            "Default: 100, or `passages` if that is more.",
        ),
    ] = None
    timeout_ms: Annotated[
        int | None,
        Field(ge=1, description="After so long the answer is 504; at most the server's own."),
    ] = None


class AnswerPassage(BaseModel):
    """The passage that an answer stands in."""

    id: str
    title: str


class Sentence(Span):
    """A part of a text with its words."""

    text: str


class FoundAnswer(BaseModel):
    """One answer: its words, and where they stand, in Unicode code points, ``end`` not included."""

    text: str = Field(description="As it stands in the passage.")
    score: float = Field(
        description="How probable it is that it is right, 0 to 1, as the reader was calibrated."
    )
    passage: AnswerPassage
    part: Literal["title", "text"] = Field(
        description="The part of the passage that `start` and `end` count in, and those of `sentence`."
    )
    start: int
    end: int
    sentence: Sentence = Field(description="The sentence around it.")


class WrittenAnswer(BaseModel):
    """What a T5 wrote, in words of its own."""

    text: str
    score: float = Field(
        description="How sure it is of its words, 0 to 1: the geometric mean of their probabilities. "
        "It says nothing of whether they are right."
    )
    passages: list[str] = Field(description="Ids of those that it read.")


class AnswerTimings(Timings):
    """Milliseconds by stage; stages but `queue` and `total` are those of the batch it ran in."""

    read: float


class AnswerReply(BaseModel):
    """The answers to one question, most probable first."""

    answers: list[FoundAnswer]
    answered: bool = Field(description="Whether there is any.")
    written: WrittenAnswer | None = Field(
        default=None, description="What the bundle's T5 writes, if `write` asked for it."
    )
    timings_ms: AnswerTimings
    bundle: str
    truncated: bool = Field(description="The query was longer than the encoder reads.")
    degraded: list[str] = Field(
        description="Stages cut short to keep the deadline: `rank`, left out, and `read`, where not all of "
        "`passages` were read."
    )
