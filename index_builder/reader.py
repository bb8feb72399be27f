"""What answers, into a bundle that is built."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

from lurcher.bundle.bundle import READER, Bundle
from lurcher.bundle.manifest import Manifest
from lurcher.index_builder.derive import beside, derive
from lurcher.models.encoders.config import EncoderConfig
from lurcher.models.errors import FieldError
from lurcher.models.reader.reader import (
    READER_FILE,
    READER_GRAPH,
    Reader,
    ReaderConfig,
    check_reader,
    load_reader_config,
)


def choose_reader(
    folder: Path | None, bits: int | None, encoder: Path, config: EncoderConfig
) -> tuple[Path | None, int]:
    """The folder of the reader and bits a code: those asked for, or the encoder's own and the reader's.

    The reader fits ``config``, the encoder's, and runs. Where there is none ``bits`` have to be asked for:
    what is built then is to train one. Raises FieldError, also for bits that cannot be had, and ModelError
    for a reader that cannot be used.
    """
    if not config.lower_states:
        reason = f"{encoder} gives no lower states for a reader to read; `lurcher export` makes one that does"
        raise FieldError("answers", reason)
    if folder is None and (encoder / READER / READER_FILE).exists():
        folder = encoder / READER
    if folder is not None:
        reader = load_reader_config(folder)
        check_reader(reader, config)
        Reader.load(folder, 1)
        bits = reader.bits if bits is None else bits
    if bits is None:
        reason = f"{encoder} has no reader; `lurcher train reader` makes one, of a bundle with answer_bits"
        raise FieldError("answers", reason)
    if bits % 8 or not 8 <= bits <= config.dimension:
        reason = f"must be a multiple of 8 from 8 to {config.dimension}, the encoder's, not {bits}"
        raise FieldError("answer_bits", reason)
    return folder, bits


def put_reader(folder: Path | None, root: Path, encoder: EncoderConfig) -> ReaderConfig | None:
    """Copy the reader in ``folder`` into the unfinished bundle at ``root``, in place of any there.

    Raises ModelError, ModelNotFound where it cannot be used for that encoder.
    """
    shutil.rmtree(root / READER, ignore_errors=True)
    if folder is None:
        return None
    check_reader(load_reader_config(folder), encoder)
    (root / READER).mkdir()
    for name in (READER_FILE, READER_GRAPH):
        shutil.copyfile(folder / name, root / READER / name)
    return load_reader_config(root / READER)


def swap_reader(bundle: Path, reader: Path, out: Path | None = None) -> tuple[Path, Manifest]:
    """The new bundle and its manifest: ``bundle``, whose passages the reader in the folder ``reader`` reads.

    ``out`` None is a name beside ``bundle``, made of its name and the reader's. Raises FieldError where
    ``out`` exists or the bundle has no reading store, ModelError for a reader that does not fit, BundleError.
    """
    name = Reader.load(reader, 1).config.name
    with closing(Bundle.open(bundle)) as old:
        if old.reading is None:
            reason = f"{bundle} has no codes to read; `lurcher build --answers` makes one that has"
            raise FieldError("bundle", reason)
        encoder, before = old.manifest.encoder, old.manifest.reader
        out = out or beside(bundle.resolve(), None if before is None else before.name, name)

        def write(made: Path) -> dict[str, Any]:
            return {"reader": put_reader(reader, made, encoder)}

        return out, derive(old, out, READER, write)
