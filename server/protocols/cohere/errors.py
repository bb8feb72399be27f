"""Errors as Cohere tells them, ``message`` and ``id``, which are problems as ours are at the same time."""

from __future__ import annotations

from typing import Any

from lurcher.server.schemas.problems import Problem


def error_reply(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Return status and body."""
    return problem.status, {
        **problem.model_dump(), "id": problem.request_id, "message": problem.detail
    }  # fmt: skip
