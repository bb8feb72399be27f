"""What every query has to meet, wherever it comes from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.errors import FieldError
from lurcher.text import lone_surrogate

_NAMED = 3


def check_unicode(field: str, texts: Sequence[str]) -> None:
    """Raise FieldError for the first of the ``texts`` in ``field`` that UTF-8 cannot hold."""
    for i, text in enumerate(texts):
        if lone_surrogate(text) is not None:
            raise FieldError(f"{field}.{i}", "is not valid Unicode")


def check_choice(field: str, value: str, choices: Sequence[str]) -> None:
    """Raise FieldError where the ``value`` of ``field`` is none of its ``choices``."""
    if value not in choices:
        raise FieldError(field, f"must be one of {', '.join(choices)}, not {value!r}")


def check_count(field: str, value: int) -> None:
    """Raise FieldError where the ``value`` of ``field`` is below 1."""
    if value < 1:
        raise FieldError(field, f"must be at least 1, not {value}")


def check_share(field: str, value: float) -> None:
    """Raise FieldError where the ``value`` of ``field`` does not lie between 0 and 1."""
    if not 0 <= value <= 1:
        raise FieldError(field, f"must lie between 0 and 1, not {value}")


def rows_of(passages: PassageStore, ids: Sequence[str]) -> Rows:
    """The rows (n,) of ``passages`` with ``ids``.

    Raises FieldError for an id that no passage has; if a document has it, it names passages of that.
    """
    rows = passages.rows_of(list(dict.fromkeys(ids)))
    for i, id_ in enumerate(ids):
        if id_ not in rows:
            parts = passages.parts([id_]).get(id_, [])
            raise FieldError(f"passages.{i}", no_passage(parts))
    return np.array([rows[id_] for id_ in ids], np.int64)


def no_passage(parts: Sequence[str]) -> str:
    """Why no passage has an id: it is that of a document with these ``parts``, if there are any."""
    if not parts:
        return "no passage has this id"
    more = ", …" if len(parts) > _NAMED else ""
    return f"is a document of {len(parts):,} passages: {', '.join(parts[:_NAMED])}{more}"
