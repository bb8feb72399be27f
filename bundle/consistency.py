"""Whether the files of a bundle fit each other, however whole each of them is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lurcher.bundle.manifest import Manifest
from lurcher.bundle.segment import PASSAGES_FILE, VECTORS_FILE, Segment
from lurcher.errors import BundleCorrupt, ModelError
from lurcher.models.encoders.config import CONFIG_FILE, load_config
from lurcher.models.ranker.decoder import DECODER_FILE, DecoderConfig, load_decoder_config
from lurcher.models.ranker.seq2seq import load_ranker_config
from lurcher.models.reader.reader import (
    CALIBRATION,
    READER_FILE,
    check_reader,
    load_reader_config,
)

# Folders of models.
ENCODER, RANKER, READER = "encoder", "ranker", "reader"


def check_files(path: Path, manifest: Manifest, segments: Sequence[Segment]) -> None:
    """Raise BundleCorrupt where the files of ``segments`` and of models contradict ``manifest``."""
    encoder = manifest.encoder
    for entry, segment in zip(manifest.segments, segments, strict=True):
        count, vectors = entry.passages, segment.vectors
        found = [(PASSAGES_FILE, "passages", segment.count, count)]
        if vectors is not None and encoder is not None:
            found.append((VECTORS_FILE, "vectors", vectors.count, count))
            found.append((VECTORS_FILE, "dimensions", vectors.dimension, encoder.dimension))
        for file, what, has, wants in found:
            if has != wants:
                reason = f"{has} {what}, the manifest says {wants}"
                raise BundleCorrupt(path, f"{entry.folder}/{file}", reason)
    if encoder is None:
        return
    _check_model(path, ENCODER, CONFIG_FILE, load_config, encoder, "encoder")
    if manifest.ranker is not None:
        decoder = isinstance(manifest.ranker, DecoderConfig)
        file = DECODER_FILE if decoder else CONFIG_FILE
        load: Callable[[Path], Any] = load_decoder_config if decoder else load_ranker_config
        _check_model(path, RANKER, file, load, manifest.ranker, "decoder")
    if manifest.reader is not None:
        # A bundle's reader may have been calibrated since; that the manifest alone says.
        calibration = {name: getattr(manifest.reader, name) for name in CALIBRATION}
        _check_model(
            path, READER, READER_FILE,
            lambda folder: load_reader_config(folder).model_copy(update=calibration),
            manifest.reader, "reader",
        )  # fmt: skip
        try:
            check_reader(manifest.reader, encoder)
        except ModelError as error:
            raise BundleCorrupt(path, f"{READER}/{READER_FILE}", str(error)) from error


def _check_model(
    path: Path, folder: str, file: str, load: Callable[[Path], Any], stated: object, what: str
) -> None:
    """Raise BundleCorrupt where the folder's description of its model is not that ``stated``."""
    try:
        found = load(path / folder)
    except ModelError as error:
        raise BundleCorrupt(path, f"{folder}/{file}", str(error)) from error
    if found != stated:
        raise BundleCorrupt(path, f"{folder}/{file}", f"not the manifest's {what}")
