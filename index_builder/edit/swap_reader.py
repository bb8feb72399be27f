"""Another reader for a bundle that exists: a new bundle, in which no passage is encoded again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from lurcher.bundle.bundle import READER, Bundle
from lurcher.bundle.manifest import Manifest
from lurcher.errors import FieldError
from lurcher.index_builder.edit.derive import beside, derive
from lurcher.index_builder.reader_files import put_reader
from lurcher.models.reader.reader import Reader


def swap_reader(bundle: Path, reader: Path, out: Path | None = None) -> tuple[Path, Manifest]:
    """The new bundle and its manifest: ``bundle`` with the reader in the folder ``reader``.

    ``out`` None: a name beside ``bundle``, made of its name and the reader's. Raises FieldError if ``out``
    exists or the bundle has no reading store; ModelError for a reader that does not fit; BundleError.
    """
    name = Reader.load(reader, 1).config.name
    with closing(Bundle.open(bundle)) as old:
        if old.reading is None:
            reason = f"{bundle} has no codes to read; `lurcher build --answers` makes one that has"
            raise FieldError("bundle", reason)
        encoder, before = old.encoder, old.manifest.reader
        out = out or beside(bundle.resolve(), None if before is None else before.name, name)

        def write(made: Path) -> dict[str, Any]:
            return {"reader": put_reader(reader, made, encoder)}

        return out, derive(old, out, READER, write)
