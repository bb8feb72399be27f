"""The shapes of a question and its answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from lurcher.retrieval.filters import Filter, Text
from lurcher.retrieval.query import RankMode
from lurcher.server.schemas.body import Body
from lurcher.server.schemas.search import NeighbourOptions, Span, Timings


class AnswerRequest(Body):
    """A question, and how to find its answers."""

    query: Annotated[Text, Field(min_length=1, examples=["who invented the telescope"])]
    top_k: Annotated[int, Field(ge=1, le=20, description="How many answers to return at most.")] = 3
    read_depth: Annotated[int, Field(ge=1, description="How many hits of the search are read.")] = (
        10
    )
    min_score: Annotated[
        float | None,
        Field(
            ge=0, le=1, allow_inf_nan=False,
            description="The least `score` of an answer. Default: the threshold of the bundle's reader.",
        ),
    ] = None  # fmt: skip
    write: Annotated[
        bool,
        Field(
            description="Let the bundle's T5 write an answer from the passages as well, if it has one."
        ),
    ] = False
    filter: Annotated[
        Filter, Field(description="As in a search.", examples=[{"language": "en"}])
    ] = {}  # noqa: RUF012 (pydantic copies it)
    neighbours: Annotated[NeighbourOptions, Field(description="As in a search.")] = (
        NeighbourOptions()
    )
    rank: Annotated[RankMode, Field(description="As in a search.")] = "auto"
    candidates: Annotated[
        int | None,
        Field(
            ge=1,
            description="How many candidates of the first stage are ranked, at least `read_depth`. Default: "
            "100, or `read_depth` if that is more.",
        ),
    ] = None
    timeout_ms: Annotated[
        int | None,
        Field(
            ge=1, description="Time limit, after which the reply is 504; at most the server's own."
        ),
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
        description="The probability that it is right, 0 to 1, as the reader was calibrated."
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
    passages: list[str] = Field(description="Ids of the passages that it read.")


class AnswerTimings(Timings):
    """Milliseconds by stage; all but `queue` and `total` are those of the batch that the question ran in."""

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
        description="Stages that were cut short to keep the deadline: `rank`, left out, and `read`, where "
        "fewer than `read_depth` hits were read."
    )
