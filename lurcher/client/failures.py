"""What went wrong with a request, as the project's own errors; and whether, and when, to try it again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

from pydantic import ValidationError

from lurcher.errors import (
    AccessRefused,
    DeadlinePassed,
    FeedbackNotKept,
    FieldError,
    InputError,
    LurcherError,
    NotReady,
    QueueFull,
    ServiceError,
    VersionMismatch,
)
from lurcher.server.schemas.problems import Problem

# Of a server that cannot take a request now: it did nothing with it.
_TRY_AGAIN = (429, 503)
# Between tries after a connection that failed: twice as long each time.
_FIRST_PAUSE = 0.1

# Pydantic's words, in which every version of the server says it.
_UNKNOWN_FIELD = "Extra inputs are not permitted"

_WAITING = re.compile(r"(\d+) are waiting")


def read_failure(status: int, headers: Mapping[str, str], raw: bytes) -> LurcherError:
    """Return the error that a reply of ``status`` tells."""
    try:
        problem = Problem.model_validate_json(raw)
    except ValidationError:
        if status >= 500 or status == 429:
            text = raw[:200].decode("utf-8", "replace")
            return ServiceError(f"something before the server answered {status}: {text}")
        return VersionMismatch(f"it answered {status}, and not as this client knows it")
    unknown = [one.field for one in problem.errors if one.reason == _UNKNOWN_FIELD]
    if unknown:  # a client sends no field but those of its own version
        return VersionMismatch(f"it does not know the field {unknown[0]}")
    if status in (404, 405) and problem.detail in ("Not Found", "Method Not Allowed"):
        return VersionMismatch("it has no such route")
    return error_of(problem, headers, {})


def error_of(
    problem: Problem, headers: Mapping[str, str], names: Mapping[str, str]
) -> LurcherError:
    """Return the error that ``problem`` tells; its field may have another name in ``names``."""
    if problem.errors:
        first = problem.errors[0]
        return FieldError(names.get(first.field, first.field), first.reason)
    waiting = _WAITING.search(problem.detail)
    match problem.status:
        case 401 | 403:
            return AccessRefused(problem.detail)
        case 429:
            pause = retry_after(headers)
            return QueueFull(int(waiting[1]) if waiting else 0, round(pause or 1))
        case 503:
            return NotReady(problem.detail)
        case 504:
            return DeadlinePassed(problem.detail)
        case 507:
            return FeedbackNotKept(problem.detail)
    if problem.status < 500:
        return InputError(problem.detail)
    return LurcherError(f"{problem.detail} (request {problem.request_id})")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait that ``Retry-After`` in ``headers`` says: a number, or a date."""
    given = headers.get("retry-after", "").strip()
    if given.isdecimal():
        return float(given)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time())
    except (ValueError, TypeError):
        return None


def pause_before(
    attempt: int, status: int | None, headers: Mapping[str, str], left: float
) -> float | None:
    """Return the seconds to wait before the next try, None to give up.

    ``attempt`` counts from 0; ``status`` is None for a connection that failed. Nothing is tried again that
    could not be done in the ``left`` seconds.
    """
    if status is None:
        pause: float | None = _FIRST_PAUSE * 2**attempt
    elif status in _TRY_AGAIN:
        pause = retry_after(headers)
    else:
        return None
    return pause if pause is not None and pause < left else None
