"""What a verb needs that is not always installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lurcher.models.errors import LurcherError


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Imports that ``extra`` is for. Raises LurcherError where a package of it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise LurcherError(
            f"this needs the package {error.name}: pip install 'lurcher[{extra}]'"
        ) from error
