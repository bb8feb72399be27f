"""Errors as OpenAI tells them."""

from __future__ import annotations

from typing import Any

from lurcher.server.schemas.problems import Problem

# Type and code by status; OpenAI knows no 422, nor 413 of texts.
_KINDS: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "insufficient_permissions"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    503: ("server_error", "not_ready"),
    504: ("server_error", "timeout"),
}


def error_reply(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Return status and body."""
    status = 400 if problem.status in (413, 422) else problem.status
    kind, code = _KINDS.get(
        status, ("server_error" if status >= 500 else "invalid_request_error", None)
    )
    named = problem.errors[0].field if problem.errors else _named(problem.detail)
    error = {"message": problem.detail, "type": kind, "param": named, "code": code}
    return status, {"error": error}


def _named(detail: str) -> str | None:
    """Return the field that ``detail`` begins with, if it does."""
    name, colon, _ = detail.partition(": ")
    return name if colon and name.replace(".", "").replace("_", "").isalnum() else None
