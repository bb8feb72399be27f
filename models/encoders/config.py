"""What an encoder's folder says of itself: ``config.json``.

::

    encoder.onnx     the graph: input_ids, attention_mask -> vector, token_states
    tokenizer.json   Hugging Face tokeniser, without padding or truncation
    config.json      this file
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import ModelError, ModelNotFound

CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"

_SHA256 = r"^sha256:[0-9a-f]{64}$"


class EncoderConfig(BaseModel):
    """How a folder's graphs turn a text into a vector."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    architecture: str
    dimension: int = Field(gt=0)
    max_tokens: int = Field(gt=0, description="special tokens included")
    pooling: Literal["mean", "cls"]
    similarity: Literal["cosine", "dot"]
    query_prompt: str = ""
    passage_prompt: str = ""
    query_graph: str = "encoder.onnx"
    passage_graph: str = "encoder.onnx"
    precision: Literal["int8", "fp32"]
    source: str = Field(
        pattern=_SHA256, description="of the original's weights, files in name order"
    )
    fingerprint: str = Field(pattern=_SHA256, description="of all that decides a passage's vector")


def load_config(folder: Path) -> EncoderConfig:
    """The configuration in ``folder``.

    Raises ModelNotFound where there is none, ModelError where it cannot be used.
    """
    file = folder / CONFIG_FILE
    try:
        text = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        what = f"it has no {CONFIG_FILE}" if folder.is_dir() else "no such folder"
        raise ModelNotFound(f"{folder}: not an encoder: {what}") from None
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        return EncoderConfig.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ModelError(f"{file}: not an encoder's configuration: {faults}") from error


def fingerprint(
    folder: Path, passage_graph: str, max_tokens: int, passage_prompt: str, similarity: str
) -> str:
    """``sha256:...`` over all that decides a passage's vector.

    Vectors are comparable if their fingerprints are equal. The query side is left out: it may be
    replaced by a student without encoding the passages anew.
    """
    digest = hashlib.sha256()
    for name in (passage_graph, TOKENIZER_FILE):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    # repr keeps the fields apart whatever a prompt contains.
    digest.update(repr((max_tokens, passage_prompt, similarity)).encode())
    return f"sha256:{digest.hexdigest()}"
