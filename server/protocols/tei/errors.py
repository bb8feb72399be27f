"""Errors as text-embeddings-inference tells them."""

from __future__ import annotations

from typing import Any

from lurcher.server.schemas.problems import Problem

# 424 is its status for what its model cannot do.
_KINDS = {424: "Backend", 429: "Overloaded", 500: "Backend", 503: "Unhealthy", 504: "Overloaded"}


def error_reply(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Return status and body."""
    kind = _KINDS.get(problem.status, "Validation")
    return problem.status, {"error": problem.detail, "error_type": kind}
