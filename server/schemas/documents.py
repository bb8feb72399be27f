"""Schema of a document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Part(BaseModel):
    """A passage of the document; its text is ``text[start:end]`` of the document."""

    id: str
    section: list[str] = Field(description="Headings above it, outermost first.")
    start: int = Field(description="In code points.")
    end: int
    anchor: str = ""
    url: str = ""


class DocumentReply(BaseModel):
    """A document, as far as it is searched."""

    id: str
    title: str
    text: str = Field(
        description="Its passages' texts, each where it stands in the document. Blanks stand for white space "
        "between them, and for what is not read, such as comments."
    )
    metadata: dict[str, Any]
    passages: list[Part]
    bundle: str
