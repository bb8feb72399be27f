"""What ranks, into a bundle: when it is built, or in a new bundle that shares the other's files."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

from bundle.bundle import RANKER, SEGMENT, Bundle
from bundle.manifest import Manifest
from bundle.states import SIGNS, state_files
from index_builder.derive import derive
from models.encoders.config import CONFIG_FILE, TOKENIZER_FILE, EncoderConfig
from models.engines import trial
from models.errors import FieldError, ModelError, ModelNotFound
from models.ranker.decoder import (
    DECODER_FILE,
    PAIR_GRAPH,
    QUERY_GRAPH,
    Decoder,
    DecoderConfig,
    check_decoder,
    load_decoder_config,
)
from models.ranker.seq2seq import (
    DECODER_GRAPH,
    RankerConfig,
    Seq2SeqDecoder,
    Seq2SeqEncoder,
    load_ranker_config,
)
from models.tokens.coder import TokenCoder


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
    """Copy what serving needs of the T5 in ``folder`` into the unfinished bundle at ``root``."""
    shutil.rmtree(root / RANKER, ignore_errors=True)
    (root / RANKER).mkdir()
    for name in (CONFIG_FILE, TOKENIZER_FILE, DECODER_GRAPH):
        shutil.copyfile(folder / name, root / RANKER / name)
    return load_ranker_config(root / RANKER)


def ranker_beside(encoder: Path, config: EncoderConfig, coder: TokenCoder) -> Path | None:
    """The decoder that comes with the encoder in the folder ``encoder``, if it reads ``coder``'s codes."""
    folder = encoder / RANKER
    if not (folder / DECODER_FILE).exists():
        return None
    try:
        check_decoder(load_decoder_config(folder), config, coder)
    except ModelError:  # other bits were asked for, or it is another encoder's
        return None
    return folder


def put_ranker(
    folder: Path | None, root: Path, encoder: EncoderConfig, coder: TokenCoder
) -> DecoderConfig | None:
    """Copy the decoder in ``folder`` into the unfinished bundle at ``root``, in place of any there.

    Raises ModelError, ModelNotFound where it cannot be used for that encoder and coder.
    """
    shutil.rmtree(root / RANKER, ignore_errors=True)
    if folder is None:
        return None
    Decoder.load(folder, 1).check(encoder, coder)
    (root / RANKER).mkdir()
    for name in (DECODER_FILE, QUERY_GRAPH, PAIR_GRAPH):
        shutil.copyfile(folder / name, root / RANKER / name)
    return load_decoder_config(root / RANKER)


def swap_ranker(bundle: Path, ranker: Path, out: Path | None = None) -> tuple[Path, Manifest]:
    """The new bundle and its manifest: ``bundle``, ranked by the decoder in the folder ``ranker``.

    ``out`` None is ``NAME-RANKER.lurcher`` beside ``bundle``. Raises FieldError where ``out`` exists or the
    bundle has no tokens or ``ranker`` is a T5, ModelError for a decoder that does not fit, BundleError.
    """
    if isinstance(read_ranker(ranker), RankerConfig):
        raise FieldError("ranker", f"{ranker} reads states, which only `lurcher build` makes")
    with closing(Bundle.open(bundle)) as old:
        if old.tokens is None:
            raise FieldError("bundle", f"{bundle} has no tokens to rank by; build it again")
        coder, encoder = old.tokens.coder, old.manifest.encoder
        name = bundle.resolve().name.removesuffix(".lurcher")
        out = out or bundle.resolve().with_name(f"{name}-{ranker.resolve().name}.lurcher")

        def write(made: Path) -> dict[str, Any]:
            for file in (*state_files(made, SEGMENT), made / SIGNS):  # of a T5 that ranked before
                file.unlink(missing_ok=True)
            return {"ranker": put_ranker(ranker, made, encoder, coder), "states": None}

        return out, derive(old, out, RANKER, write)
