"""Optional packages that a command needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lurcher.errors import LurcherError


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Wrap the imports that need ``extra``. Raises LurcherError if a package of it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise LurcherError(
            f"this needs the package {error.name}: pip install 'lurcher[{extra}]'"
        ) from error
