"""The base of all request bodies."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A request body."""

    # Unknown fields and numbers in quotes are errors.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
