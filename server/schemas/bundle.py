"""What the server says of its bundle."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class BundleReply(BaseModel):
    """What is loaded."""

    name: str
    created: str
    lurcher_version: str
    passages: int
    bytes: int
    encoder: dict[str, Any]
    build: dict[str, Any]
    figures: dict[str, Any]
    tokens: dict[str, Any] | None = Field(
        description="What ranking reads, if the bundle has it: 1-bit tokens, their number and size."
    )
    ranker: dict[str, Any] | None = Field(
        description="The decoder or T5 that `rank` may name, if the bundle has it."
    )
    states: dict[str, Any] | None = Field(
        description="What the T5 reads, if one ranks: its states of passages, their number, form and size."
    )
    reader: dict[str, Any] | None = Field(
        description="What finds answers, if the bundle has it: what it was trained on, and how well it reads."
    )
    reading: dict[str, Any] | None = Field(
        description="What the reader reads: the tokens in more detail, their number and size."
    )
    filter_fields: list[str]
    limits: dict[str, int]
