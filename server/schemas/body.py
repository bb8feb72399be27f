"""What all requests have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A request's body."""

    # A misspelt field is an error, and a number in quotes is not a number.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
