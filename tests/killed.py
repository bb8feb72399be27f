"""What stands for a process that is killed: nothing in the project catches it."""

from __future__ import annotations

from collections.abc import Callable


class KilledError(BaseException):
    """Raised where a kill would come."""


def kill_at(words: str) -> Callable[[str], None]:
    """A report that raises at the line that holds ``words``."""

    def report(line: str) -> None:
        if words in line:
            raise KilledError(line)

    return report
