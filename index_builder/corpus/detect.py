"""What kind of corpus a path is, told by names alone; and which files it is read from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, NoReturn

from lurcher.errors import CorpusError

Kind = Literal["jsonl", "csv", "tsv", "parquet", "folder"]

_KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}

_TEXTS = frozenset({".txt", ".md", ".html", ".htm"})


def detect(path: Path) -> tuple[Kind, list[Path]]:
    """The corpus's kind and its files in the order they are read; a folder may have several.

    Raises CorpusError where there is nothing to read.
    """
    try:
        path.stat()
        if path.is_dir():
            return _detect_folder(path)
        if not path.is_file():
            raise CorpusError(path, None, "neither a file nor a folder")
        # Better now than when the first record is asked for.
        path.open("rb").close()
    except OSError as error:
        _unreadable(error)
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in _KINDS:
        raise CorpusError(
            path,
            None,
            f"unknown kind {suffix or path.name!r}; a corpus file is one of {', '.join(_KINDS)}, "
            "or .gz of these; for text files give their folder",
        )
    return _KINDS[suffix], [path]


def _detect_folder(root: Path) -> tuple[Kind, list[Path]]:
    for name in ("corpus.jsonl", "corpus.jsonl.gz"):
        if (root / name).is_file():
            return "jsonl", [root / name]
    files = _text_files(root)
    if not files:
        raise CorpusError(
            root,
            None,
            f"no corpus.jsonl in this folder, and no {', '.join(sorted(_TEXTS))} file; "
            "give any other corpus file by its own path",
        )
    return "folder", files


def _text_files(root: Path) -> list[Path]:
    inside = root.resolve()
    found = []
    for folder, folders, names in os.walk(root, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if name.startswith(".") or path.suffix.lower() not in _TEXTS or not path.is_file():
                continue
            # A link out of the folder could publish any file of the machine.
            if not path.is_symlink() or path.resolve().is_relative_to(inside):
                found.append(path)
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def _unreadable(error: OSError) -> NoReturn:
    raise CorpusError(error.filename, None, f"cannot be read: {error.strerror}") from error
