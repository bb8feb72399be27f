"""Shapes of Cohere's embeddings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from lurcher.retrieval.filters import Text
from lurcher.server.schemas.body import Body

Form = Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]


class TextContent(Body):
    """A part of an input."""

    type: Literal["text"]
    text: Text


class EmbedInput(Body):
    """A text in parts, which are joined by line ends."""

    content: Annotated[list[TextContent], Field(min_length=1)]


class EmbedRequest(Body):
    """Texts, what they are for, and the forms that their vectors are wanted in."""

    texts: list[Text] | None = None
    inputs: list[EmbedInput] | None = None
    images: list[Any] | None = None
    model: Text | None = None
    input_type: Literal["search_query", "search_document", "classification", "clustering", "image"]
    embedding_types: list[Form] | None = None
    truncate: Literal["NONE", "START", "END"] = "END"
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    output_dimension: Annotated[int | None, Field(ge=1)] = None
    priority: Annotated[int | None, Field(ge=0, le=999)] = None
    timeout_ms: Annotated[int | None, Field(ge=1)] = None


class Version(BaseModel):
    """The version of the interface."""

    version: str


class Units(BaseModel):
    """How many tokens the encoder read."""

    input_tokens: int


class EmbedMeta(BaseModel):
    """What applies to all texts; nothing is billed, but clients read their counts there."""

    api_version: Version
    billed_units: Units
    tokens: Units
    warnings: list[str] | None = None


class EmbedReply(BaseModel):
    """The vectors, in the order of the texts: of each form, or floats alone."""

    id: str
    response_type: Literal["embeddings_floats", "embeddings_by_type"]
    embeddings: dict[str, list[Any]] | list[list[float]]
    texts: list[str]
    meta: EmbedMeta
