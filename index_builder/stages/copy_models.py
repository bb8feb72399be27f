"""Stages ``ranker``, ``reader`` and ``encoder``: what serving needs of the models, copied into the bundle.

They are copied anew in every build, in place of what an earlier run, asked for something else, left.
"""

from __future__ import annotations

import shutil

from lurcher.bundle.bundle import ENCODER, RANKER
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.ranker_files import decoder_of_encoder, put_decoder, put_seq2seq
from lurcher.index_builder.reader_files import put_reader
from lurcher.models.encoders.merge import copy_encoder, merge


def copy_ranker(context: BuildContext) -> None:
    """Copy what ranks, if there is anything to copy.

    The decoder of the encoder is left out if it does not fit: principal components are known only now.
    Raises ModelError for a decoder that was asked for and does not fit.
    """
    options, root, coder = context.options, context.bundle, context.token_coder
    if context.models.t5 is not None and options.ranker is not None:
        put_seq2seq(options.ranker, root)
        return
    shutil.rmtree(root / RANKER, ignore_errors=True)
    if coder is None:
        return
    encoder = context.models.config
    folder = options.ranker or decoder_of_encoder(
        options.encoder, encoder, coder.bits, coder.projection_hash
    )
    if folder is not None:
        put_decoder(folder, root, encoder, coder)


def copy_reader(context: BuildContext) -> None:
    """Copy what answers, if there is to be a reader."""
    put_reader(context.models.reader, context.bundle, context.models.config)


def copy_encoders(context: BuildContext) -> None:
    """Copy the encoder, and the student if one is to read queries; nothing if vectors are left out."""
    options, target = context.options, context.bundle / ENCODER
    shutil.rmtree(target, ignore_errors=True)
    if not options.vectors:
        return
    if options.student is None:
        copy_encoder(options.encoder, target)
    else:
        merge(options.encoder, options.student, target, shutil.copyfile)
