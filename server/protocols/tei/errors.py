"""Errors as text-embeddings-inference tells them."""

from __future__ import annotations

from typing import Any

from lurcher.server.schemas.problems import Problem

_KINDS = {429: "Overloaded", 500: "Backend", 503: "Unhealthy", 504: "Overloaded"}


def error_reply(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Return status and body."""
    kind = _KINDS.get(problem.status, "Validation")
    return problem.status, {"error": problem.detail, "error_type": kind}
