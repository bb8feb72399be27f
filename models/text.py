"""What a text must be before anything here can use it."""

from __future__ import annotations


def lone_surrogate(text: str) -> int | None:
    """The position in code points of the first lone surrogate in ``text``, or None: no UTF-8 can hold one."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def normalised(text: str) -> str:
    """``text`` as known queries are compared: runs of white space as one space, case folded."""
    return " ".join(text.split()).casefold()
