"""Where a file lies that a build writes once and a later generation may write anew.

::

    tokens/coder.npz           as it was built
    tokens/000007/coder.npz    since generation 7; the other is in the manifest no more

Files of a bundle never change, so what is learnt anew needs another place.
"""

from __future__ import annotations

from collections.abc import Iterable


def place_of(files: Iterable[str], name: str) -> str:
    """The place of ``name``, a folder and a file, among ``files`` of a manifest; ``name`` if it has none."""
    folder, _, file = name.partition("/")
    for found in files:
        parts = found.split("/")
        if len(parts) == 3 and parts[0] == folder and parts[2] == file and parts[1].isdigit():
            return found
    return name


def new_place(name: str, generation: int) -> str:
    """The place of ``name``, a folder and a file, as ``generation`` writes it."""
    folder, _, file = name.partition("/")
    return f"{folder}/{generation:06}/{file}"
