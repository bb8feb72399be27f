"""The models of a build, loaded and checked against each other before anything is read.

What cannot work fails here, within seconds, and not after hours of encoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lurcher.bundle.index_building import empty_index
from lurcher.errors import FieldError, ModelError
from lurcher.index_builder.neighbours import check_similarity
from lurcher.index_builder.options import BuildOptions
from lurcher.index_builder.ranker_files import (
    check_ranker,
    decoder_of_encoder,
    open_seq2seq,
    read_ranker,
)
from lurcher.index_builder.reader_files import choose_reader
from lurcher.index_builder.split import Splitter
from lurcher.models.encoders.config import EncoderConfig
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.merge import student_of
from lurcher.models.encoders.side_tokenizer import SideTokenizer
from lurcher.models.ranker.seq2seq import RankerConfig, Seq2SeqEncoder
from lurcher.models.tokens.projection import PROJECTION_FILE, Projection
from lurcher.threads import available_cpus


@dataclass(frozen=True, slots=True)
class BuildModels:
    """What a build splits and encodes with, and the folder and bits of the reader that it adds."""

    tokenizer: SideTokenizer  # of passages: their encoder, unless vectors are left out
    splitter: Splitter  # of documents into passages that it reads
    token_bits: int | None  # of a code of the token store; None without tokens
    projection: Projection | None  # trained; None: principal components of the corpus
    t5: Seq2SeqEncoder | None  # makes the states that a T5 ranks by
    reader: Path | None
    answer_bits: int | None  # None without answers

    @property
    def config(self) -> EncoderConfig:
        """The description of the encoder."""
        return self.tokenizer.config

    @property
    def encoder(self) -> Encoder:
        """The encoder of passages; not to be asked for where vectors are left out."""
        assert isinstance(self.tokenizer, Encoder)  # noqa: S101 (no stage encodes then)
        return self.tokenizer


def load_models(options: BuildOptions) -> BuildModels:
    """The models that ``options`` name.

    Raises FieldError for options that the models cannot meet, ModelError and ModelNotFound for models that
    do not run or do not fit together.
    """
    if not options.vectors:
        tokenizer = SideTokenizer.of_passages(options.encoder)
        splitter = Splitter(tokenizer, options.window, options.overlap, options.url_prefix)
        return BuildModels(tokenizer, splitter, None, None, None, None, None)
    # The reference; another engine may encode the passages (``passage_engine``).
    encoder = Encoder.load(options.encoder, "passage", available_cpus(), "onnxruntime")
    splitter = Splitter(encoder, options.window, options.overlap, options.url_prefix)
    projection = token_bits = None
    if options.tokens is not None:
        token_bits = options.tokens.bits_for(encoder.config.dimension)
        projection = trained_projection(options.encoder, token_bits, encoder.config.dimension)
    t5 = _load_t5(options)
    if t5 is None and token_bits is not None:
        _check_decoder(options, encoder.config, token_bits, projection)
    if options.states is not None and t5 is None:
        raise FieldError("states", "is for a T5 as --ranker, that `lurcher export-ranker` wrote")
    reader = answer_bits = None
    if options.answers:
        reader, answer_bits = choose_reader(
            options.reader, options.answer_bits, options.encoder, encoder.config
        )
    if options.judged is not None:
        check_similarity(encoder.config)
    if options.student is not None:
        student_of(encoder.config, options.student)
    if options.index != "auto":
        empty_index(encoder.config.dimension, options.index)
    return BuildModels(encoder, splitter, token_bits, projection, t5, reader, answer_bits)


def trained_projection(folder: Path, bits: int, dimension: int) -> Projection | None:
    """The projection to ``bits`` that was trained for the encoder in ``folder``; None if there is none.

    Raises ModelError for one that cannot be used.
    """
    if not (folder / PROJECTION_FILE).exists():
        return None
    found = Projection.load(folder / PROJECTION_FILE)
    if found.dimension != dimension:
        raise ModelError(
            f"{folder / PROJECTION_FILE}: {found.dimension} dimensions, not {dimension}"
        )
    return found if found.bits == bits else None


def _load_t5(options: BuildOptions) -> Seq2SeqEncoder | None:
    """The encoder of the ranker if it is a T5. Raises FieldError, ModelError, ModelNotFound."""
    if options.ranker is None:
        return None
    if isinstance(read_ranker(options.ranker), RankerConfig):
        return open_seq2seq(options.ranker)
    if options.tokens is None:
        raise FieldError("ranker", "needs tokens to read, which are to be left out")
    return None


def _check_decoder(
    options: BuildOptions, config: EncoderConfig, bits: int, projection: Projection | None
) -> None:
    """Raise ModelError or ModelNotFound if it is known already that the decoder cannot be used."""
    # Principal components, and with them their hash, depend on the corpus.
    projection_hash = None if projection is None else projection.projection_hash
    folder = options.ranker or decoder_of_encoder(options.encoder, config, bits, projection_hash)
    if folder is not None:
        check_ranker(folder, config, bits, projection_hash)
