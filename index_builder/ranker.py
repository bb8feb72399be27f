"""What ranks, into a bundle: when it is built, or in a new bundle that shares the other's files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from lurcher.bundle.bundle import RANKER, SEGMENT, Bundle
from lurcher.bundle.manifest import Manifest
from lurcher.bundle.state_codecs import SIGNS
from lurcher.bundle.state_store import state_files
from lurcher.index_builder.derive import beside, derive
from lurcher.models.encoders.config import CONFIG_FILE, TOKENIZER_FILE, EncoderConfig
from lurcher.models.engines import trial
from lurcher.models.errors import FieldError, ModelError, ModelNotFound
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


def read_ranker(folder: Path) -> DecoderConfig | RankerConfig:
    """What the ranker in ``folder`` says of itself, one of either kind.

    Raises ModelNotFound where there is neither, ModelError where it cannot be used.
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
    """What makes the states that the T5 in ``folder`` ranks by, after a trial of both its graphs.

    Raises ModelError, and FieldError where they do not fit together.
    """
    encoder, decoder = Seq2SeqEncoder.load(folder), Seq2SeqDecoder.load(folder, 1)
    with trial(folder):
        decoder.scores("a trial query", encoder.encode(["a trial passage"]))
    return encoder


def put_seq2seq(folder: Path, root: Path) -> RankerConfig:
    """Copy what serving needs of the T5 in ``folder`` into the unfinished bundle at ``root``.

    Raises ModelError where that is not all it needs.
    """
    copy = _copy(folder, root, (CONFIG_FILE, TOKENIZER_FILE, DECODER_GRAPH))
    with _whole(folder):
        return Seq2SeqDecoder.load(copy, 1).config


def ranker_beside(
    encoder: Path, config: EncoderConfig, bits: int, space: str | None
) -> Path | None:
    """The decoder that comes with the encoder in the folder ``encoder``, if it reads such codes.

    ``space`` None: not known before the corpus is read.
    """
    folder = encoder / RANKER
    if not (folder / DECODER_FILE).exists():
        return None
    try:
        check_decoder(load_decoder_config(folder), config, bits, space)
    except ModelError:  # other bits were asked for, or it is another encoder's
        return None
    return folder


def check_ranker(folder: Path, encoder: EncoderConfig, bits: int, space: str | None) -> None:
    """Raises ModelError, ModelNotFound unless the decoder in ``folder`` runs, and reads such codes.

    ``space`` None: not known before the corpus is read.
    """
    check_decoder(Decoder.load(folder, 1).config, encoder, bits, space)


def put_ranker(
    folder: Path | None, root: Path, encoder: EncoderConfig, coder: TokenCoder
) -> DecoderConfig | None:
    """Copy the decoder in ``folder`` into the unfinished bundle at ``root``, in place of any there.

    Raises ModelError, ModelNotFound where it cannot be used for that encoder and coder, or needs more than
    its own files.
    """
    if folder is None:
        shutil.rmtree(root / RANKER, ignore_errors=True)
        return None
    check_ranker(folder, encoder, coder.bits, coder.space)
    copy = _copy(folder, root, (DECODER_FILE, QUERY_GRAPH, PAIR_GRAPH))
    with _whole(folder):
        return Decoder.load(copy, 1).config


def _copy(folder: Path, root: Path, names: tuple[str, ...]) -> Path:
    """The new folder ``ranker`` of the bundle at ``root``, with the files ``names`` of ``folder``."""
    copy = root / RANKER
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in names:
        shutil.copyfile(folder / name, copy / name)
    return copy


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """Around the load of a copy of ``folder``, which loaded itself: names what a copy can lack."""
    try:
        yield
    except ModelError as error:
        reason = "its graphs keep weights in files beside them, which a bundle does not take"
        raise ModelError(f"{folder}: {reason}: {error}") from error


def swap_ranker(bundle: Path, ranker: Path, out: Path | None = None) -> tuple[Path, Manifest]:
    """The new bundle and its manifest: ``bundle``, ranked by the decoder in the folder ``ranker``.

    ``out`` None is a name beside ``bundle``, made of its name and the decoder's. Raises FieldError where
    ``out`` exists or the bundle has no tokens or ``ranker`` is a T5, ModelError for a decoder that does not
    fit, BundleError.
    """
    described = read_ranker(ranker)
    if isinstance(described, RankerConfig):
        raise FieldError("ranker", f"{ranker} reads states, which only `lurcher build` makes")
    with closing(Bundle.open(bundle)) as old:
        if old.tokens is None:
            raise FieldError("bundle", f"{bundle} has no tokens to rank by; build it again")
        coder, encoder = old.tokens.coder, old.manifest.encoder
        before = None if old.manifest.ranker is None else old.manifest.ranker.name
        out = out or beside(bundle.resolve(), before, described.name)

        def write(made: Path) -> dict[str, Any]:
            for file in (*state_files(made, SEGMENT), made / SIGNS):  # of a T5 that ranked before
                file.unlink(missing_ok=True)
            return {"ranker": put_ranker(ranker, made, encoder, coder), "states": None}

        return out, derive(old, out, RANKER, write)
