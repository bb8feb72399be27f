"""The files of a ranker: chosen, checked, and copied into a bundle."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from lurcher.bundle.bundle import RANKER
from lurcher.errors import ModelError, ModelNotFound
from lurcher.models.encoders.config import CONFIG_FILE, TOKENIZER_FILE, EncoderConfig
from lurcher.models.engines import first_run
from lurcher.models.ranker.decoder import (
    DECODER_FILE,
    PAIR_GRAPH,
    QUERY_GRAPH,
    Decoder,
    DecoderConfig,
    check_decoder,
    load_decoder_config,
)
from lurcher.models.ranker.seq2seq import (
    DECODER_GRAPH,
    RankerConfig,
    Seq2SeqDecoder,
    Seq2SeqEncoder,
    load_ranker_config,
)
from lurcher.models.tokens.coder import TokenCoder
from lurcher.threads import available_cpus

Config = TypeVar("Config", DecoderConfig, RankerConfig)


def read_ranker(folder: Path) -> DecoderConfig | RankerConfig:
    """The description of the ranker in ``folder``, a decoder's or a T5's.

    Raises ModelNotFound if there is neither, ModelError if it cannot be used.
    """
    if (folder / DECODER_FILE).exists():
        return load_decoder_config(folder)
    if (folder / CONFIG_FILE).exists():
        return load_ranker_config(folder)
    raise ModelNotFound(
        f"{folder}: neither {DECODER_FILE}, of `lurcher train ranker`, nor {CONFIG_FILE}, of"
        " `lurcher export-ranker`, is in it"
    )


def open_seq2seq(folder: Path) -> Seq2SeqEncoder:
    """The encoder of the T5 in ``folder``, which makes the states that it ranks by; both graphs are tried.

    Raises ModelError, and FieldError where they do not fit together.
    """
    encoder, decoder = Seq2SeqEncoder.load(folder, available_cpus()), Seq2SeqDecoder.load(folder, 1)
    with first_run(folder):
        decoder.scores("a trial query", encoder.encode(["a trial passage"]))
    return encoder


def put_seq2seq(folder: Path, root: Path) -> RankerConfig:
    """Copy what serving needs of the T5 in ``folder`` into the unfinished bundle at ``root``.

    Raises ModelError if it needs more than that.
    """
    copy = _copy(folder, root, (CONFIG_FILE, TOKENIZER_FILE, DECODER_GRAPH))
    return _whole(folder, lambda: Seq2SeqDecoder.load(copy, 1).config)


def ranker_in(root: Path) -> DecoderConfig | RankerConfig | None:
    """The description of the ranker in the unfinished bundle at ``root``, None if it has none."""
    return read_ranker(root / RANKER) if (root / RANKER).exists() else None


def decoder_of_encoder(
    encoder: Path, config: EncoderConfig, bits: int, projection_hash: str | None
) -> Path | None:
    """The folder of the decoder that comes with the encoder in ``encoder``, if it reads such codes.

    ``projection_hash`` None: not known before the corpus is read.
    """
    folder = encoder / RANKER
    if not (folder / DECODER_FILE).exists():
        return None
    try:
        check_decoder(load_decoder_config(folder), config, bits, projection_hash)
    except ModelError:  # other bits were asked for, or it is another encoder's
        return None
    return folder


def check_ranker(
    folder: Path, encoder: EncoderConfig, bits: int, projection_hash: str | None
) -> None:
    """Raise ModelError or ModelNotFound unless the decoder in ``folder`` runs and reads such codes.

    ``projection_hash`` None: not known before the corpus is read.
    """
    check_decoder(Decoder.load(folder, 1).config, encoder, bits, projection_hash)


def put_decoder(
    folder: Path, root: Path, encoder: EncoderConfig, coder: TokenCoder
) -> DecoderConfig:
    """Copy the decoder in ``folder`` into the unfinished bundle at ``root``, in place of any ranker there.

    It has passed ``check_ranker``. Raises ModelError if it does not fit that encoder and coder, or needs more
    than its own files.
    """
    check_decoder(load_decoder_config(folder), encoder, coder.bits, coder.projection_hash)
    copy = _copy(folder, root, (DECODER_FILE, QUERY_GRAPH, PAIR_GRAPH))
    return _whole(folder, lambda: Decoder.load(copy, 1).config)


def _copy(folder: Path, root: Path, names: Sequence[str]) -> Path:
    """The new folder ``ranker`` of the bundle at ``root``, with the files ``names`` of ``folder``."""
    copy = root / RANKER
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in names:
        shutil.copyfile(folder / name, copy / name)
    return copy


def _whole(folder: Path, load: Callable[[], Config]) -> Config:
    """The result of ``load``, of a copy of ``folder``; its error says what a copy can lack."""
    try:
        return load()
    except ModelError as error:
        reason = "its graphs keep weights in files beside them, which a bundle does not take"
        raise ModelError(f"{folder}: {reason}: {error}") from error
