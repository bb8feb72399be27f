"""What is read of the documents that a client brings to a reranking: their text, or the fields it names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lurcher.errors import FieldError
from lurcher.server.protocols.cohere.rerank_schemas import Document
from lurcher.text import lone_surrogate


def read_texts(documents: Sequence[Document], rank_fields: Sequence[str] | None) -> list[str]:
    """Return the text to score of each of ``documents``. Raises FieldError for one that has none.

    A plain text is read whatever fields are named. Fields are joined as a build joins title and text.
    """
    return [_read(i, one, rank_fields) for i, one in enumerate(documents)]


def _read(place: int, document: Document, rank_fields: Sequence[str] | None) -> str:
    fields = {"text": document.text, **(document.model_extra or {})}
    is_plain = document.text is not None and len(fields) == 1
    if rank_fields is None or is_plain:
        if document.text is None:
            raise FieldError(
                f"documents.{place}.text", "is required, or rank_fields to read others"
            )
        return document.text
    values = [(name, fields[name]) for name in rank_fields if fields.get(name) is not None]
    if not values:
        raise FieldError(f"documents.{place}", "has none of the fields in rank_fields")
    return " ".join(_words(f"documents.{place}.{name}", value) for name, value in values)


def _words(field: str, value: Any) -> str:
    """Return ``value`` as text. Raises FieldError for a list, an object, or what UTF-8 cannot hold."""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise FieldError(field, "is in rank_fields, so it must be a text or a number")
    if isinstance(value, str) and lone_surrogate(value) is not None:
        raise FieldError(field, "is not valid Unicode")
    return str(value)
