"""Passages to the state store, resumable at any passage and in constant memory."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import SEGMENT
from lurcher.bundle.passages import Passages
from lurcher.bundle.state_codecs import SIGNS, Codec, Form, Halves, Packed, Signs, load_codec
from lurcher.bundle.state_store import (
    StateSettings,
    StateWriter,
    describe_states,
    state_files,
)
from lurcher.bundle.vectors import Vectors
from lurcher.index_builder.progress import Reporter
from lurcher.index_builder.workspace import Workspace, key
from lurcher.models.ranker.seq2seq import Seq2SeqEncoder

# Passages encoded before anything is written: enough to sort by length, few enough to be kept packed
# (of 512 tokens and 768 dimensions at float16, 200 MB).
_CHUNK = 256
# Passages that means and scales are made of, and states of each.
_SAMPLE, _STATES = 256, 64


def store_states(
    passages: Passages, passages_key: str, encoder: Seq2SeqEncoder | None, form: Form, seed: int,
    workspace: Workspace, report: Reporter,
) -> StateSettings | None:  # fmt: skip
    """The stages ``signs`` and ``states`` of a build: what the manifest says of the store they fill.

    ``encoder`` None leaves none behind, not even that of an earlier run.
    """
    root = workspace.bundle
    made_by = encoder and [encoder.config.fingerprint, form, seed if form == "1-bit" else None]
    signs_key = key(passages_key, made_by)
    if workspace.begin("signs", signs_key, [root / SIGNS]):
        shutil.rmtree((root / SIGNS).parent, ignore_errors=True)
        if encoder is not None:
            codec = calibrate(passages, encoder, form, seed, report)
            if isinstance(codec, Signs):
                (root / SIGNS).parent.mkdir()
                codec.save(root / SIGNS)
        workspace.done("signs")
    if workspace.begin("states", key(signs_key, "states"), state_files(root, SEGMENT)):
        if encoder is not None:
            codec = load_codec(root, form, encoder.config.dimension)
            encode_states(passages, encoder, codec, root / SEGMENT, report)
        workspace.done("states")
    if encoder is None:
        return None
    codec = load_codec(root, form, encoder.config.dimension)
    return describe_states(root, SEGMENT, codec, encoder.config)


def calibrate(
    passages: Passages, encoder: Seq2SeqEncoder, form: Form, seed: int, report: Reporter
) -> Codec:
    """How the states of ``passages`` are kept as ``form``, by a sample of them where it matters."""
    if form == "float16":
        return Halves(encoder.config.dimension)
    report.stage("calibrating", None)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(passages.count)[:_SAMPLE])
    tokens = encoder.tokenise(_texts(passages, rows.tolist()))
    # Drawn beforehand: passages are read in no fixed order.
    drawn = [np.sort(rng.permutation(len(one.ids))[:_STATES]) for one in tokens]
    sample: list[Vectors | None] = [None] * len(tokens)

    def keep(text: int, states: Vectors) -> None:
        sample[text] = states[drawn[text]]

    encoder.visit_states(tokens, keep)
    return Signs.fit(np.concatenate([one for one in sample if one is not None]))


def encode_states(
    passages: Passages, encoder: Seq2SeqEncoder, codec: Codec, segment: Path, report: Reporter
) -> None:
    """Write the states of every passage into the folder ``segment``, going on from what is there.

    A passage with neither title nor text has the states of what the encoder makes of no text. Raises
    ModelError for states that ``codec`` cannot keep.
    """
    with StateWriter(segment, codec, encoder.config.max_tokens) as store:
        report.stage("states", passages.count, store.passages)
        for first in range(store.passages, passages.count, _CHUNK):
            rows = range(first, min(first + _CHUNK, passages.count))
            tokens = encoder.tokenise(_texts(passages, rows))
            packed: list[Packed | None] = [None] * len(tokens)

            def keep(text: int, states: Vectors, packed: list[Packed | None] = packed) -> None:
                packed[text] = codec.pack(states)

            encoder.visit_states(tokens, keep)
            store.append_states(
                [one for one in packed if one is not None], [t.truncated for t in tokens]
            )
            report.advance(len(rows))


def _texts(passages: Passages, rows: Sequence[int]) -> list[str]:
    return [passage.content for passage in passages.get(rows)]
