"""The files of a reader: chosen, checked, and copied into a bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

from lurcher.bundle.bundle import READER
from lurcher.errors import FieldError
from lurcher.models.encoders.config import EncoderConfig
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
    """The folder of the reader, and bits a code: as asked for, or the encoder's own reader and its bits.

    The reader fits ``config``, the encoder's, and runs. If there is none, ``bits`` must be given: the bundle
    is to train one on. Raises FieldError, also for bits that cannot be had, and ModelError for a reader that
    cannot be used.
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

    Raises ModelError, ModelNotFound if it cannot be used for that encoder.
    """
    shutil.rmtree(root / READER, ignore_errors=True)
    if folder is None:
        return None
    check_reader(load_reader_config(folder), encoder)
    (root / READER).mkdir()
    for name in (READER_FILE, READER_GRAPH):
        shutil.copyfile(folder / name, root / READER / name)
    return load_reader_config(root / READER)
