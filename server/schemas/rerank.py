"""The shapes of a reranking."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field

from lurcher.retrieval.filters import Text
from lurcher.server.schemas.body import Body


class Document(Body):
    """A text to score."""

    text: Text


def _document(given: object) -> object:
    """A text as the object that holds it, so that what is wrong with either is named alike."""
    if isinstance(given, str):
        return {"text": given}
    if not isinstance(given, dict):
        raise ValueError("must be a text, or an object with a `text`")
    return given


class RerankRequest(Body):
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
    top_n: Annotated[
        int | None, Field(ge=1, description="How many results at most; default: all.")
    ] = None
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
        Field(
            ge=1, description="Time limit, after which the reply is 504; at most the server's own."
        ),
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
