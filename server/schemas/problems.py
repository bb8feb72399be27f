"""Errors as RFC 9457 problem details."""

from __future__ import annotations

from pydantic import BaseModel


class FieldProblem(BaseModel):
    """A field that cannot be used, and why."""

    field: str
    reason: str


class Problem(BaseModel):
    """An error, as RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str = ""
    errors: list[FieldProblem] = []
