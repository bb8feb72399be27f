"""What is in use by requests is closed only when the last of them has been answered."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from lurcher.errors import NotReady


class Leased:
    """Something that requests lease; its leases are counted in the thread of the event loop."""

    def __init__(self, close: Callable[[], object]) -> None:
        """``close`` is called when it is retired and its last lease has ended."""
        self._close, self._leases, self._retired = close, 0, False

    @property
    def leased(self) -> bool:
        """Whether a request has it; from any thread."""
        return self._leases > 0

    def __enter__(self) -> Self:
        """Lease it: it stays open for the time of the block, even if another replaces it.

        Raises NotReady once it was retired: its files may be closed, too.
        """
        if self._retired:
            raise NotReady("the server is stopping")
        self._leases += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._leases -= 1
        self._close_if_idle()

    def retire(self) -> None:
        """Lease it to no more requests, and close it when the last lease ends."""
        self._retired = True
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._retired and not self._leases:
            # It may refer to this, which would stay in memory until somebody looks for such circles.
            close, self._close = self._close, _nothing
            close()


def _nothing() -> None:
    """Do nothing: it is closed."""
