"""What collections are called: after their bundles' folders, by names that a URL can hold as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from lurcher.errors import FieldError
from lurcher.server.sources import shown

SUFFIX = ".lurcher"

# What the only collection of a server is called if its folder has a name that is none.
ONLY = "default"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def check_name(field: str, name: str) -> str:
    """Return ``name``. Raises FieldError, naming ``field``, if no collection can be called so."""
    if not _NAME.fullmatch(name):
        reason = (
            f"{shown(name)} is no name of a collection: at most 64 letters, digits, `_` and `-`, the first "
            "a letter or a digit"
        )
        raise FieldError(field, reason)
    return name


def name_of(path: Path) -> str:
    """Return what the folder ``path`` is called, without `.lurcher`; it need not be a collection's name."""
    return path.absolute().name.removesuffix(SUFFIX)


def bundles_in(folder: Path) -> list[Path]:
    """Return the folders `*.lurcher` in ``folder``, by name. Raises FieldError if it cannot be read."""
    try:
        return sorted(one for one in folder.iterdir() if one.suffix == SUFFIX and one.is_dir())
    except OSError as error:
        reason = f"{folder} cannot be read as a folder of bundles: {error.strerror}"
        raise FieldError("collections", reason) from error


def named(bundles: Iterable[Path], folder: Path | None) -> dict[str, Path]:
    """Return the path of each collection by its name: ``bundles``, then those that are in ``folder``.

    One bundle alone may have any folder. Raises FieldError for a folder whose name is no collection's, and
    for two of one name.
    """
    found: dict[str, Path] = {}
    given = [("bundle", one) for one in bundles]
    if folder is not None:
        given += [("collections", one) for one in bundles_in(folder)]
    for field, path in given:
        name = name_of(path)
        if len(given) == 1 and folder is None and not _NAME.fullmatch(name):
            name = ONLY
        if check_name(field, name) in found:
            before = found[name]
            if before.resolve() == path.resolve():
                continue
            reason = (
                f"{before} and {path} would both be the collection {name!r}; rename one of the folders, or "
                "name it by a link"
            )
            raise FieldError(field, reason)
        found[name] = path
    return found
