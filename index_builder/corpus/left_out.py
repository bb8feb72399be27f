"""Kinds of files, told by how their names end; and how many of a folder are no document."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath


def kind_of_file(name: str) -> str:
    """How ``name`` ends, in lower case, as in ``.md`` or ``.csv.gz``; "none" for a name without a dot."""
    suffixes = PurePosixPath(name.lower()).suffixes
    return "".join(suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:]) or "none"


def files_left_out(root: Path, files: Iterable[Path]) -> dict[str, int]:
    """How many files below ``root`` are not among ``files``, by kind; hidden ones do not count."""
    taken = set(files)
    found: Counter[str] = Counter()
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found.update(
            kind_of_file(name)
            for name in names
            if not name.startswith(".") and Path(folder, name) not in taken
        )
    return dict(sorted(found.items()))
