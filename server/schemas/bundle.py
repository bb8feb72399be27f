"""Schema of the description of the loaded bundle."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class BundleReply(BaseModel):
    """The loaded bundle."""

    name: str
    created: str
    lurcher_version: str
    passages: int
    bytes: int
    encoder: dict[str, Any] | None = Field(
        description="The encoder; null in a bundle without vectors, which finds passages by their words."
    )
    engine: dict[str, str] | None = Field(
        description="What runs the query encoder here, and the reason; null in a bundle without vectors."
    )
    build: dict[str, Any]
    figures: dict[str, Any]
    lexical: dict[str, Any] | None = Field(
        description="The lexical index: its language, number of terms, and size; null if there is none."
    )
    tokens: dict[str, Any] | None = Field(
        description="The 1-bit tokens that ranking reads, their number and size; null if there are none."
    )
    ranker: dict[str, Any] | None = Field(description="The decoder or T5; null if there is none.")
    states: dict[str, Any] | None = Field(
        description="The T5's states of the passages, their number, format and size; null if there is no T5."
    )
    reader: dict[str, Any] | None = Field(
        description="The reader, how it was trained and measured; null if there is none."
    )
    reading: dict[str, Any] | None = Field(
        description="The codes that the reader reads, their number and size; null if there are none."
    )
    filter_fields: list[str]
    feedback: bool = Field(description="Whether the server takes feedback.")
    limits: dict[str, int]
