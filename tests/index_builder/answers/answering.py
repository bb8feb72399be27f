"""How these tests build: with answers, and with readers of their own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lurcher.bundle.bundle import READER, SEGMENT
from lurcher.bundle.reading_store import READING_CODER, reading_files
from lurcher.bundle.token_store import CODER, token_files
from lurcher.models.reader.reader import READER_FILE, READER_GRAPH
from tests.tiny import TINY, TinyOptions

Write = Callable[[Path, Iterable[Any]], Path]

SHIPPED = TINY / READER
ANSWERS = TinyOptions(answers=True)
STORE = [*reading_files(Path(), SEGMENT), Path(READING_CODER)]
OWN = [*STORE, Path(READER) / READER_FILE, Path(READER) / READER_GRAPH]


def another_reader(folder: Path, **changes: Any) -> Path:
    """The tiny encoder's in ``folder``, but for what it says of itself."""
    shutil.copytree(SHIPPED, folder)
    said = json.loads((folder / READER_FILE).read_text())
    (folder / READER_FILE).write_text(json.dumps(said | changes))
    return folder


def content(root: Path) -> list[bytes]:
    """The bytes of both stores and their coders, and of the reader."""
    files = [*token_files(Path(), SEGMENT), Path(CODER), *OWN]
    return [(root / file).read_bytes() for file in files]
