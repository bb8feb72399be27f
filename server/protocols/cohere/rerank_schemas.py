"""Schemas of reranking."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lurcher.retrieval.filters import Text
from lurcher.server.schemas.body import Body
from lurcher.server.schemas.fields import MinSequence, Timeout


class Document(BaseModel):
    """A text to score, beside whatever else its sender knows of it."""

    # What stands beside the text is the sender's own, nulls included.
    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    text: Annotated[
        Text | None, Field(description="Required, unless `rank_fields` names other fields.")
    ] = None


def _document(given: object) -> object:
    """Wrap a plain text into an object, so that errors name both forms in the same way."""
    if isinstance(given, str):
        return {"text": given}
    if not isinstance(given, dict):
        raise ValueError("must be a text, or an object with a `text`")
    return given


class RerankRequest(Body):
    """A query, and what to sort by it: exactly one of `documents` and `passages`."""

    query: Annotated[Text, Field(min_length=1, examples=["who invented the telescope"])]
    documents: Annotated[
        list[Annotated[Document, BeforeValidator(_document, json_schema_input_type=Text | Document)]] | None,
        Field(
            min_length=1, description="Texts, encoded for this request as a build encodes passages.",
            examples=[["The telescope was invented in the Netherlands.", "Bread needs yeast."]],
        ),
    ] = None  # fmt: skip
    passages: Annotated[
        list[Text] | None, Field(min_length=1, description="Ids of the bundle's passages.")
    ] = None
    top_n: Annotated[
        int | None, Field(ge=1, description="Maximum number of results; default: all.")
    ] = None
    return_documents: Annotated[
        bool, Field(description="Whether to return the text of each result.")
    ] = False
    rank_fields: Annotated[
        list[Text] | None,
        Field(
            min_length=1, max_length=100,
            description="The fields of `documents` that are objects to read, joined by spaces in this order; "
            "those that a document lacks are left out. Default: `text`.",
        ),
    ] = None  # fmt: skip
    top_k: Annotated[
        int | None, Field(ge=1, description="Voyage's name of `top_n`; give one of them.")
    ] = None
    truncation: Annotated[
        bool,
        Field(
            description="Voyage's: with false, a query or document that is longer than is read is an error."
        ),
    ] = True
    max_tokens_per_doc: Annotated[
        int | None,
        Field(
            ge=1,
            description="Cut each of `documents` to this many tokens. Default and maximum: what the encoder "
            "reads.",
        ),
    ] = None
    max_chunks_per_doc: Annotated[
        int | None,
        Field(
            ge=1,
            description="Cohere's; has no effect: of a document that is longer than the encoder reads, the "
            "first part is read.",
        ),
    ] = None
    priority: Annotated[
        int | None,
        Field(
            ge=0, le=999, description="Cohere's; has no effect: requests are served as they come."
        ),
    ] = None
    model: Annotated[
        Text | None, Field(description="Accepted for clients that send one, and ignored.")
    ] = None
    min_sequence: MinSequence = None
    timeout_ms: Timeout = None


class RerankedDocument(BaseModel):
    """The text of a passage, or what was read of a document."""

    text: str


class RerankResult(BaseModel):
    """One document or passage."""

    index: int = Field(description="Its position in the request, from 0.")
    relevance_score: float = Field(
        ge=0, le=1,
        description="How well it answers the query, 0 to 1: half of 1 + `score`, no less than 0 and no more "
        "than 1.",
    )  # fmt: skip
    score: float = Field(
        description="The `scores.rank` that a search without known queries gives: 0.25 times the inner "
        "product of the vectors plus 0.75 times late interaction; -1 to 1 if vectors have norm 1."
    )
    id: str | None = Field(default=None, description="The passage's id, if `passages` were given.")
    document: RerankedDocument | None = Field(default=None, description="If `return_documents`.")


class RerankMeta(BaseModel):
    """What applies to all results."""

    bundle: str
    model: str = Field(description="The bundle's encoder.")
    truncated: bool = Field(description="Whether the query was longer than the encoder reads.")
    truncated_documents: list[int] = Field(
        description="Positions of the documents that were cut: longer than `max_tokens_per_doc`, or than "
        "the encoder reads."
    )
    timings_ms: dict[str, float]


class RerankReply(BaseModel):
    """The documents or passages, best first."""

    id: str = Field(description="The request's id, as in `X-Request-Id`.")
    results: list[RerankResult]
    meta: RerankMeta
