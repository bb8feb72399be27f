"""Shapes of OpenAI's embeddings and models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field

from lurcher.retrieval.filters import Text
from lurcher.server.protocols.inputs import Input, inputs
from lurcher.server.schemas.body import Body


class EmbeddingsRequest(Body):
    """Texts, or the ids of their tokens, and the form that their vectors are wanted in."""

    input: Annotated[list[Input], BeforeValidator(inputs)]
    model: Text
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int | None, Field(ge=1)] = None
    user: Text | None = None
    # Ours, as NVIDIA's and Voyage's servers have it.
    input_type: Text | None = None
    timeout_ms: Annotated[int | None, Field(ge=1)] = None


class Embedding(BaseModel):
    """The vector of one text; as base64 the bytes of its little-endian float32 values."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """How many tokens the encoder read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(BaseModel):
    """The vectors, in the order of the texts."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


class Model(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Seconds since 1970.")
    owned_by: str = "lurcher"


class ModelsReply(BaseModel):
    """The models that are served."""

    object: Literal["list"] = "list"
    data: list[Model]
