"""Errors as RFC 9457 problem JSON: one table maps the tree in ``lurcher.errors`` to status and title."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from lurcher.errors import (
    CollectionBusy,
    DeadlinePassed,
    FeedbackNotKept,
    FieldError,
    LurcherError,
    NoCollection,
    NoCorpus,
    NotKept,
    NotReady,
    PartlyWritten,
    QueueFull,
    ShardsMissing,
    VersionConflict,
)
from lurcher.server.schemas.problems import FieldProblem, Problem

_log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"

_TABLE: dict[type[LurcherError], tuple[int, str]] = {
    FieldError: (422, "A field cannot be used"),
    NoCorpus: (409, "No corpus here"),
    NoCollection: (404, "No such collection"),
    VersionConflict: (409, "Changed meanwhile"),
    CollectionBusy: (409, "Being changed"),
    NotReady: (503, "Not ready"),
    ShardsMissing: (503, "Shards are missing"),
    PartlyWritten: (503, "Written in part"),
    QueueFull: (429, "Too many queries wait"),
    DeadlinePassed: (504, "Out of time"),
    FeedbackNotKept: (507, "Feedback cannot be kept"),
    NotKept: (507, "No room for a write"),
    LurcherError: (500, "The server is at fault"),
}

_RETRY_LOADING_SECONDS = 2

_UNREAD = "The body cannot be read"
# What FastAPI says of all of them.
_FASTAPIS = "There was an error parsing the body"

# A list of a thousand wrong documents, or a name of a megabyte, helps nobody.
_MOST_PROBLEMS = 20
_IN_DETAIL = 3
_MOST_CHARS = 1_000


def problem(error: LurcherError, request_id: str) -> Problem:
    """Return ``error`` as the caller sees it."""
    status, title = next(_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE)
    fields = (
        [FieldProblem(field=_shown(error.field), reason=_shown(error.reason))]
        if isinstance(error, FieldError)
        else []
    )
    detail = _shown(str(error))
    return Problem(title=title, status=status, detail=detail, request_id=request_id, errors=fields)


def render(found: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return ``found`` as a reply."""
    return Response(found.model_dump_json(), found.status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error with problem JSON."""
    for kind in (LurcherError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _on_error)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries for the errors of a route."""
    schema = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {s: {"description": HTTPStatus(s).phrase, "content": schema} for s in statuses}


async def _on_error(request: Request, error: Exception) -> Response:
    return render(*told(error, request.state.request_id))


def told(error: Exception, request_id: str) -> tuple[Problem, Mapping[str, str]]:
    """Return what the caller of a request is told of ``error``, and the headers of that reply.

    The log has the trace of one that nobody raised on purpose.
    """
    if isinstance(error, LurcherError):
        return problem(error, request_id), _retry(error)
    if isinstance(error, RequestValidationError):
        return _invalid(error, request_id), {}
    if isinstance(error, HTTPException):
        if (unread := _unreadable(error)) is not None:
            return _unread_problem(unread, request_id), {}
        found = Problem(
            title=HTTPStatus(error.status_code).phrase, status=error.status_code,
            detail=_shown(str(error.detail)), request_id=request_id,
        )  # fmt: skip
        return found, error.headers or {}
    _log.error("unexpected error", request_id=request_id, exc_info=error)
    detail = "The server failed unexpectedly; its log has the details."
    found = Problem(title="Internal error", status=500, detail=detail, request_id=request_id)
    # Starlette sends this reply outside of the middleware that adds the header.
    return found, {"X-Request-Id": request_id}


def _unreadable(error: HTTPException) -> str | None:
    """Why FastAPI could not read a body at all, of which it says nothing; None for other errors."""
    cause = error.__cause__ if error.detail == _FASTAPIS else None
    if isinstance(cause, UnicodeDecodeError):
        return f"not {cause.encoding.upper()} at byte {cause.start}"
    if isinstance(cause, RecursionError):
        return "nested too deeply"
    if isinstance(cause, ValueError) and "digits" in str(cause):  # Python's limit for integers
        return "a number has too many digits"
    return None


def _unread_problem(reason: str, request_id: str) -> Problem:
    """Return the problem of a body that cannot be read, for this ``reason``."""
    field = FieldProblem(field="body", reason=f"cannot be read: {reason}")
    return Problem(
        title=_UNREAD, status=400, detail=f"body: {field.reason}", request_id=request_id,
        errors=[field],
    )  # fmt: skip


def _retry(error: LurcherError) -> dict[str, str]:
    """Return the header that says when to try again, if that helps."""
    if isinstance(error, QueueFull):
        return {"Retry-After": str(error.retry_after)}
    if isinstance(error, NotReady):
        return {"Retry-After": str(_RETRY_LOADING_SECONDS)}
    return {}


def _invalid(error: RequestValidationError, request_id: str) -> Problem:
    # Do not repeat the input: it may be large, or contain what JSON cannot express.
    found = error.errors()
    fields = [_field_problem(e) for e in found[:_MOST_PROBLEMS]]
    detail = "; ".join(f"{f.field}: {f.reason}" for f in fields[:_IN_DETAIL])
    if len(found) > _IN_DETAIL:
        detail += f"; and {len(found) - _IN_DETAIL} more"
    broken = any(e["type"] == "json_invalid" for e in found)
    status, title = (400, _UNREAD) if broken else _TABLE[FieldError]
    return Problem(title=title, status=status, detail=detail, request_id=request_id, errors=fields)


def _field_problem(error: dict[str, Any]) -> FieldProblem:
    if error["type"] == "json_invalid":
        reason = f"not JSON: {error['ctx']['error']} at character {error['loc'][-1]}"
        return FieldProblem(field="body", reason=reason)
    field = ".".join(map(str, error["loc"][1:])) or "body"
    is_empty = error["type"] == "string_too_short" and not error["input"]
    reason = "is empty" if is_empty else error["msg"].removeprefix("Value error, ")
    return FieldProblem(field=_shown(field), reason=_shown(reason))


def _shown(text: str) -> str:
    """Return ``text`` for a reply: not too long, without lone surrogates, which UTF-8 cannot encode."""
    short = text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}…"
    return short.encode("utf-8", "replace").decode()
