"""The tiny bundle of the training tests."""

from tests.training.conftest import (
    bundle,
    corpus,
    original,
    teacher,
    tokenizer,
    transformers,
    write_checkpoint,
)

__all__ = [
    "bundle",
    "corpus",
    "original",
    "teacher",
    "tokenizer",
    "transformers",
    "write_checkpoint",
]
