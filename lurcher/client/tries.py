"""One request, tried as often and as long as a call may; what sends it is the clients' own."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

from lurcher.client.connection import Target
from lurcher.client.failures import pause_before, read_failure
from lurcher.client.steps import Request


class Tries:
    """The tries of ``request`` until ``deadline``, a time on the clock of ``monotonic``."""

    def __init__(
        self, target: Target, httpx: ModuleType, request: Request, deadline: float
    ) -> None:
        self._target, self._httpx, self._request = target, httpx, request
        self._deadline, self._number = deadline, 0

    def arguments(self) -> dict[str, Any]:
        """Return what httpx is called with for the next try. Raises DeadlinePassed."""
        return self._target.arguments(self._request, self._deadline - time.monotonic())

    def after_reply(self, reply: Any) -> float:
        """Return the seconds to wait before the next try, after a ``reply`` that is an error, or raise it."""
        failure = read_failure(reply.status_code, reply.headers, reply.content)
        return self._pause(failure, reply.status_code, reply.headers)

    def after_error(self, error: Exception) -> float:
        """Return the seconds to wait before the next try, after httpx's ``error`` of a connection.

        Raises DeadlinePassed where it took too long, ServerUnreachable where nothing is tried again.
        """
        if isinstance(error, self._httpx.TimeoutException):
            raise self._target.out_of_time() from error
        return self._pause(self._target.unreachable(error), None, {})

    def _pause(self, failure: Exception, status: int | None, headers: Any) -> float:
        left, number = self._deadline - time.monotonic(), self._number
        self._number += 1
        pause = (
            pause_before(number, status, headers, left) if number < self._target.retries else None
        )
        if pause is None:
            raise failure
        return pause
