"""Schemas of questions and answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from lurcher.retrieval.filters import Filter, Text
from lurcher.retrieval.query import QuerySyntax, RankMode, RetrieveMode
from lurcher.server.schemas.body import Body
from lurcher.server.schemas.fields import Collections, Degrade, MinSequence, Timeout
from lurcher.server.schemas.search import NeighbourOptions, Span, Timings


class AnswerRequest(Body):
    """A question, and how to answer it."""

    query: Annotated[Text, Field(min_length=1, examples=["who invented the telescope"])]
    collections: Collections = None
    top_k: Annotated[int, Field(ge=1, le=20, description="Maximum number of answers.")] = 3
    read_depth: Annotated[int, Field(ge=1, description="How many hits of the search to read.")] = 10
    min_score: Annotated[
        float | None,
        Field(
            ge=0, le=1, allow_inf_nan=False,
            description="Minimum `score` of an answer. Default: the threshold of the bundle's reader.",
        ),
    ] = None  # fmt: skip
    write: Annotated[
        bool,
        Field(description="Also let the bundle's T5 write an answer from the hits."),
    ] = False
    include: Annotated[
        list[Literal["passage"]],
        Field(max_length=1, description="`passage`: all of the passage that contains an answer."),
    ] = []  # noqa: RUF012 (pydantic copies it)
    filter: Annotated[
        Filter, Field(description="As in a search.", examples=[{"language": "en"}])
    ] = {}  # noqa: RUF012 (pydantic copies it)
    retrieve: Annotated[RetrieveMode, Field(description="As in a search.")] = "auto"
    query_syntax: Annotated[QuerySyntax, Field(description="As in a search.")] = "plain"
    neighbours: Annotated[NeighbourOptions, Field(description="As in a search.")] = (
        NeighbourOptions()
    )
    rank: Annotated[RankMode, Field(description="As in a search.")] = "auto"
    candidates: Annotated[
        int | None,
        Field(
            ge=1,
            description="How many candidates of the first stage to rank, at least `read_depth`. Default: "
            "100, 75 if two indexes found them, or `read_depth` if that is larger.",
        ),
    ] = None
    degrade: Degrade = True
    min_sequence: MinSequence = None
    timeout_ms: Timeout = None


class AnswerPassage(BaseModel):
    """The passage that contains an answer."""

    id: str
    title: str
    text: str = Field(default="", description="If included, as all that follows.")
    document: str = Field(default="", description="Id of the document that it is a part of.")
    section: list[str] = Field(default=[], description="The headings above it, outermost first.")
    start: int = Field(default=0, description="Where it starts in the document's text.")
    end: int = Field(default=0, description="Where it ends there; not included.")
    anchor: str = Field(default="", description="Of its section, if there is one.")
    url: str = Field(default="", description="A link to it, if there is one.")
    metadata: dict[str, Any] = Field(default={}, description="The passage's.")


class Sentence(Span):
    """A span with its text."""

    text: str


class FoundAnswer(BaseModel):
    """An answer: its words and where they stand, in Unicode code points, ``end`` not included."""

    collection: str = Field(default="", description="If several collections were asked.")
    text: str = Field(
        description="The words, exactly as the passage has them: whole words, numbers with their units."
    )
    score: float = Field(
        description="The probability that the answer is right, 0 to 1; an estimate unless the reply is "
        "`calibrated`."
    )
    passage: AnswerPassage
    part: Literal["title", "text"] = Field(
        description="The part of the passage that `start`, `end` and `sentence` refer to."
    )
    start: int
    end: int
    sentence: Sentence = Field(description="The sentence around the words.")


class WrittenAnswer(BaseModel):
    """An answer that a T5 wrote."""

    text: str
    score: float = Field(
        description="How sure the T5 is of its words, not whether they are right: the geometric mean of its "
        "tokens' probabilities."
    )
    passages: list[str] = Field(description="The ids of the passages that the T5 read.")


class AnswerTimings(Timings):
    """Milliseconds per stage; all except `queue` and `total` are those of the question's batch."""

    read: float = Field(description="Finding answers in the hits.")


class AnswerReply(BaseModel):
    """The answers to one question, most probable first."""

    answers: list[FoundAnswer]
    answered: bool = Field(description="Whether there is any answer.")
    question: bool = Field(description="Whether the query reads like a question.")
    calibrated: bool = Field(
        description="Whether the scores are probabilities here: the query reads like a question, and they "
        "were measured on the passages of this bundle, or of each that was asked."
    )
    calibrated_on: str | None = Field(
        description="What the scores were measured on; null if the reader does not say, or those of several "
        "collections differ."
    )
    calibrated_by: Literal["training", "questions", "cloze"] | None = Field(
        description="Whose questions these were: those held out when the reader was trained, a user's "
        "(`lurcher calibrate --questions`), or ones of the bundle's own sentences; null without a reader."
    )
    written: WrittenAnswer | None = Field(
        default=None, description="The answer that the bundle's T5 wrote; only with `write`."
    )
    timings_ms: AnswerTimings
    bundle: str = Field(default="", description="Which answered, unless `collections` were asked.")
    collections: dict[str, str] = Field(
        default={}, description="The bundle that answered, for each of `collections`."
    )
    truncated: bool = Field(description="Whether the query was longer than the encoder reads.")
    degraded: list[str] = Field(
        description="What was cut to keep the deadline: `retrieve_lexical`, `rank` (skipped), `read` (fewer "
        "than `read_depth` hits were read)."
    )
