"""What every query has to meet, wherever it comes from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lurcher.bundle.passages import Passages, Rows
from lurcher.models.errors import FieldError
from lurcher.models.text import lone_surrogate


def check_unicode(field: str, text: str) -> None:
    """Raise FieldError where ``text`` holds half of a surrogate pair; over HTTP that is refused before."""
    if lone_surrogate(text) is not None:
        raise FieldError(field, "is not valid Unicode")


def rows_of(passages: Passages, ids: Sequence[str]) -> Rows:
    """The rows (n,) of ``passages`` with ``ids``. Raises FieldError for an id that no passage has."""
    rows = passages.rows_of(list(dict.fromkeys(ids)))
    for i, id_ in enumerate(ids):
        if id_ not in rows:
            raise FieldError(f"passages.{i}", "no passage has this id")
    return np.array([rows[id_] for id_ in ids], np.int64)
