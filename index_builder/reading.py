"""The coder of a reading store, made of a sample of the corpus."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import numpy as np

from lurcher.bundle.passages import Passages
from lurcher.bundle.reading_store import READING_CODER
from lurcher.bundle.vectors import Vectors
from lurcher.index_builder.progress import Reporter
from lurcher.index_builder.workspace import Workspace
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.reader.coder import DetailCoder, fit
from lurcher.models.tokens.clustering import Integers
from lurcher.models.tokens.coder import TokenCoder
from lurcher.models.tokens.passages import telling_tokens

# Passages that it is made of: tokens that are seen seldom have poor centres.
_SAMPLE = 4_096
# Passages encoded at once.
_AT_ONCE = 32


def store_coder(
    passages: Passages, encoder: Encoder, tokens: TokenCoder | None, bits: int | None, seed: int,
    stage_key: str, workspace: Workspace, report: Reporter,
) -> DetailCoder | None:  # fmt: skip
    """The stage ``details`` of a build: the coder of its reading store, to ``bits`` bits a code.

    ``bits`` None leaves none behind, not even that of an earlier run.
    """
    file = workspace.bundle / READING_CODER
    if workspace.begin("details", stage_key, [file]):
        shutil.rmtree(file.parent, ignore_errors=True)
        if bits is not None and tokens is not None:
            file.parent.mkdir()
            calibrate(passages, encoder, tokens, bits, seed, report).save(file)
        workspace.done("details")
    return None if bits is None else DetailCoder.load(file)


def calibrate(
    passages: Passages, encoder: Encoder, tokens: TokenCoder, bits: int, seed: int, report: Reporter
) -> DetailCoder:
    """A coder for the lower states of ``passages``, but for tokens that are common by ``tokens``."""
    report.stage("calibrating", None)
    rows = np.random.default_rng(seed).permutation(passages.count)[:_SAMPLE]

    def sample() -> Iterator[tuple[Vectors, Integers]]:
        for first in range(0, len(rows), _AT_ONCE):
            some = sorted(rows[first : first + _AT_ONCE].tolist())
            texts = encoder.tokenise([passage.content for passage in passages.get(some)])
            for found, text in zip(encoder.lower_states(texts), texts, strict=True):
                places, ids = telling_tokens(encoder, tokens, text)
                yield found[encoder.own_tokens(text)][places], ids

    return fit(sample(), encoder.config.dimension, len(tokens.frequency), bits, seed)
