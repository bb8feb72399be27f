"""Shapes of text-embeddings-inference."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from lurcher.retrieval.filters import Text
from lurcher.server.protocols.inputs import Input, inputs
from lurcher.server.schemas.body import Body


def _list(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


def _lists(given: Any) -> Any:
    flat = isinstance(given, list) and given and all(isinstance(one, int) for one in given)
    return [given] if flat else given


class Reading(Body):
    """How texts are read that are too long, and by which prompt."""

    truncate: bool = False
    truncation_direction: Annotated[
        Literal["left", "right"], BeforeValidator(lambda given: str(given).lower())
    ] = "right"
    prompt_name: Text | None = None


class EmbedRequest(Reading):
    """Texts, or the ids of their tokens."""

    inputs: Annotated[list[Input], BeforeValidator(inputs)]
    normalize: bool | None = None
    dimensions: Annotated[int | None, Field(ge=1)] = None


class Sentences(Body):
    """A text, and those that it is compared with."""

    source_sentence: Text
    sentences: list[Text]


class SimilarityRequest(Body):
    """What to compare."""

    inputs: Sentences
    parameters: Reading = Reading()


class RerankRequest(Body):
    """A query, and the texts to sort by it."""

    query: Text
    texts: Annotated[list[Text], Field(min_length=1)]
    truncate: bool = False
    truncation_direction: Annotated[
        Literal["right"], BeforeValidator(lambda given: str(given).lower())
    ] = "right"
    raw_scores: bool = False
    return_text: bool = False


class TokenizeRequest(Body):
    """Texts to take apart."""

    inputs: Annotated[list[Text], BeforeValidator(_list)]
    add_special_tokens: bool = True
    prompt_name: Text | None = None


class DecodeRequest(Body):
    """Ids of tokens: one list, or several."""

    ids: Annotated[list[list[int]], BeforeValidator(_lists)]
    skip_special_tokens: bool = True


class Token(BaseModel):
    """One token, and where it stands: behind the prompt, in code points; null for special ones."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class Rank(BaseModel):
    """One text."""

    index: int
    score: float
    text: str | None = None


class Info(BaseModel):
    """The models that are served."""

    model_id: str
    model_sha: str
    model_dtype: str
    model_type: dict[str, Any]
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
