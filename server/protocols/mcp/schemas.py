"""What the tools take and give. A citation says where its words stand, in Unicode code points."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from lurcher.retrieval.filters import Filter, Text
from lurcher.server.schemas.body import Body


class SearchArguments(Body):
    """What to search for."""

    query: Annotated[
        Text, Field(min_length=1, description="What to look for, in words or as a question.")
    ]
    top_k: Annotated[int, Field(ge=1, le=50, description="Maximum number of passages.")] = 5
    filter: Annotated[
        Filter,
        Field(
            description="Conditions on metadata: a value, a list under `in`, or a range of `gt`, `gte`, "
            "`lt`, `lte`."
        ),
    ] = {}  # noqa: RUF012 (pydantic copies it)


class AnswerArguments(Body):
    """What to answer."""

    question: Annotated[Text, Field(min_length=1, description="A question in full.")]
    top_k: Annotated[int, Field(ge=1, le=20, description="Maximum number of answers.")] = 3


class PassageArguments(Body):
    """Which passage to read."""

    id: Annotated[Text, Field(min_length=1, description="A passage's id, as a search gives it.")]


class Citation(BaseModel):
    """Where words stand: in the text of a document, from ``start`` to ``end``, which is not included."""

    document: str
    title: str
    start: int
    end: int
    url: str | None = None


class FoundPassage(BaseModel):
    """A passage, and where it stands."""

    id: str
    text: str
    citation: Citation
    score: float | None = None
    metadata: dict[str, Any]


class SearchFound(BaseModel):
    """The passages found, best first."""

    passages: list[FoundPassage]


class FoundAnswer(BaseModel):
    """Words that answer the question, the sentence around them, and where the words stand."""

    text: str
    score: float = Field(description="The probability that it is right.")
    sentence: str
    passage: str = Field(description="The id of the passage that it was read in.")
    citation: Citation


class AnswersFound(BaseModel):
    """The answers, most probable first; none if nothing answers the question."""

    answers: list[FoundAnswer]
