"""What an encoder's folder says of itself: ``config.json``.

::

    encoder.onnx     the graph: input_ids, attention_mask -> vector, token_states, and, for a reader,
                     lower_states
    query.onnx       the queries' own graph, where a student reads them
    vocabulary.bin   the token tables that the graphs refer to, where they do
    tokenizer.json   Hugging Face tokeniser, without padding or truncation
    config.json      this file
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from lurcher.models.encoders.reading import read_description
from lurcher.models.encoders.student import SHA256, StudentConfig

CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
VOCABULARY_FILE = "vocabulary.bin"

# No path: a bundle from a stranger must not name files outside its own folder.
_FILE_NAME = r"^[\w-][\w.-]*$"


class EncoderConfig(BaseModel):
    """How a folder's graphs turn a text into a vector."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    architecture: str
    dimension: int = Field(gt=0)
    max_tokens: int = Field(gt=0, le=65_536, description="special tokens included")
    pooling: Literal["mean", "cls"]
    similarity: Literal["cosine", "dot"]
    query_prompt: str = ""
    passage_prompt: str = ""
    query_graph: str = Field(default="encoder.onnx", pattern=_FILE_NAME)
    passage_graph: str = Field(default="encoder.onnx", pattern=_FILE_NAME)
    lower_states: bool = Field(
        default=False,
        description="whether the passages' graph puts out those of a lower layer, too",
    )
    precision: Literal["int8", "fp32"]
    source: str = Field(
        pattern=SHA256, description="of the original's weights, files in name order"
    )
    fingerprint: str = Field(pattern=SHA256, description="of all that decides a passage's vector")
    student: StudentConfig | None = Field(
        default=None, description="what reads queries, if not the teacher"
    )

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = dump(self)
        return {name: value for name, value in found.items() if value is not None}


def load_config(folder: Path) -> EncoderConfig:
    """The configuration in ``folder``.

    Raises ModelNotFound where there is none, ModelError where it cannot be used.
    """
    return read_description(folder, CONFIG_FILE, EncoderConfig, "an encoder")


def fingerprint(
    folder: Path, passage_graph: str, max_tokens: int, passage_prompt: str, similarity: str
) -> str:
    """``sha256:...`` over all that decides a passage's vector.

    Vectors are comparable if their fingerprints are equal. The query side is left out: it may be
    replaced by a student without encoding the passages anew.
    """
    digest = hashlib.sha256()
    names = [passage_graph, TOKENIZER_FILE]
    if (folder / VOCABULARY_FILE).exists():  # what the graph does not hold itself
        names.append(VOCABULARY_FILE)
    for name in names:
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    # repr keeps the fields apart whatever a prompt contains.
    digest.update(repr((max_tokens, passage_prompt, similarity)).encode())
    return f"sha256:{digest.hexdigest()}"
