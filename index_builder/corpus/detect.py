"""What kind of corpus a path is, told by names alone; and which files it is read from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, NoReturn

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus.records import Record
from lurcher.index_builder.corpus.texts.kinds import TEXT_KINDS, kind_suffix
from lurcher.index_builder.corpus.texts.tree import text_files

Kind = Literal["jsonl", "json", "csv", "tsv", "parquet", "texts"]

_KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    **dict.fromkeys(TEXT_KINDS, "texts"),
}  # fmt: skip


class Found(NamedTuple):
    """A corpus's kind, its files in the order they are read, and what of it cannot be read.

    A folder of texts may have several files; ``root`` is what their names start from.
    """

    kind: Kind
    root: Path
    files: list[Path]
    faults: list[Record]


def detect(path: Path) -> Found:
    """What the corpus at ``path`` is. Raises CorpusError where there is nothing to read."""
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
    suffix = kind_suffix(path)
    if suffix not in _KINDS:
        raise CorpusError(
            path,
            None,
            f"unknown kind {suffix or path.name!r}; a corpus file is one of {', '.join(_KINDS)}, "
            "or .gz of these",
        )
    return Found(_KINDS[suffix], path.parent, [path], [])


def bundle_name(corpus: Path) -> str:
    """The name of a bundle of the corpus: its own, without the suffix that tells its kind."""
    name = corpus.resolve().name
    if corpus.is_dir():
        return name
    if name.lower().endswith(".gz"):
        name = name[: -len(".gz")]
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in _KINDS else name


def _detect_folder(root: Path) -> Found:
    for name in ("corpus.jsonl", "corpus.jsonl.gz"):
        if (root / name).is_file():
            return Found("jsonl", root, [root / name], [])
    files, faults = text_files(root)
    if not files and not faults:
        raise CorpusError(
            root,
            None,
            f"no corpus.jsonl in this folder, and no {', '.join(sorted(TEXT_KINDS))} file; "
            "give any other corpus file by its own path",
        )
    return Found("texts", root, files, faults)


def _unreadable(error: OSError) -> NoReturn:
    raise CorpusError(error.filename, None, f"cannot be read: {error.strerror}") from error
