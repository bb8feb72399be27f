"""Stages ``state codec`` and ``states``: passages to the state store of a T5, as long as ``vectors``."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import SEGMENT
from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.bundle.state_codecs import SIGNS, Codec, Form, Halves, Packed, Signs, load_codec
from lurcher.bundle.state_store import StateWriter
from lurcher.bundle.vectors import Vectors
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.progress import Reporter
from lurcher.models.ranker.seq2seq import Seq2SeqEncoder

# Passages encoded before anything is written: enough to sort by length, few enough to be kept packed
# (of 512 tokens and 768 dimensions at float16, 200 MB).
CHUNK = 256
# Passages that means and scales are made of, and states of each.
_SAMPLE, _STATES = 256, 64


def state_form(context: BuildContext) -> Form:
    """How states are stored."""
    return context.options.states or "float16"


def codec_depends_on(context: BuildContext) -> object:
    """The T5, the form of its states, and the seed that draws a sample of them; None without a T5."""
    t5, form = context.models.t5, state_form(context)
    seed = context.options.seed if form == "1-bit" else None
    return t5 and [t5.config.fingerprint, form, seed]


def fit_codec(context: BuildContext) -> None:
    """Fit and save means and scales; where there is no need for them, remove those of an earlier run."""
    file, t5 = context.bundle / SIGNS, context.models.t5
    shutil.rmtree(file.parent, ignore_errors=True)
    if t5 is not None and state_form(context) == "1-bit":
        codec = calibrate(context.passages, t5, "1-bit", context.options.seed, context.report)
        if isinstance(codec, Signs):
            file.parent.mkdir()
            codec.save(file)


def states_depend_on(context: BuildContext) -> object:
    """Nothing but the codec, which depends on the T5."""
    return None if context.models.t5 is None else context.models.t5.config.fingerprint


def run(context: BuildContext) -> None:
    """Write the states of every passage, going on from what is there; nothing without a T5."""
    t5 = context.models.t5
    if t5 is not None:
        codec = load_codec(context.bundle, state_form(context), t5.config.dimension)
        encode_states(
            context.passages, t5, codec, context.bundle / SEGMENT, context.report,
            min(CHUNK, context.chunk_size), context.fail_point,
        )  # fmt: skip


def calibrate(
    passages: PassageStore, encoder: Seq2SeqEncoder, form: Form, seed: int, report: Reporter
) -> Codec:
    """How the states of ``passages`` are stored as ``form``, fitted to a sample of them if that matters."""
    if form == "float16":
        return Halves(encoder.config.dimension)
    report.stage("calibrating", None)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(passages.count)[:_SAMPLE])
    tokens = encoder.tokenise(passages.contents(rows.tolist()))
    # Drawn beforehand: passages are visited in no fixed order.
    drawn = [np.sort(rng.permutation(len(one.ids))[:_STATES]) for one in tokens]
    sample: list[Vectors | None] = [None] * len(tokens)

    def keep(text: int, states: Vectors) -> None:
        sample[text] = states[drawn[text]]

    encoder.visit_states(tokens, keep)
    return Signs.fit(np.concatenate([one for one in sample if one is not None]))


def encode_states(
    passages: PassageStore, encoder: Seq2SeqEncoder, codec: Codec, segment: Path, report: Reporter,
    chunk: int = CHUNK, fail_point: FailPoint = carry_on,
) -> None:  # fmt: skip
    """Write the states of every passage into the folder ``segment``, going on from what is there.

    A passage with neither title nor text has the states that the encoder gives for an empty text. Raises
    ModelError for states that ``codec`` cannot store.
    """
    with StateWriter(segment, codec, encoder.config.max_tokens, fail_point) as store:
        report.stage("states", passages.count, store.passages)
        for first in range(store.passages, passages.count, chunk):
            rows = range(first, min(first + chunk, passages.count))
            tokens = encoder.tokenise(passages.contents(rows))
            packed: list[Packed | None] = [None] * len(tokens)

            def keep(text: int, states: Vectors, packed: list[Packed | None] = packed) -> None:
                packed[text] = codec.pack(states)
                report.advance(1)

            encoder.visit_states(tokens, keep)
            own = [one for one in packed if one is not None]
            store.append_states(own, [one.truncated for one in tokens])
