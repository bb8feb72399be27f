"""Stage ``reading coder``: how lower states become the codes of the reading store, fitted to the corpus."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import chain

import numpy as np

from lurcher.bundle.reading_store import READING_CODER
from lurcher.bundle.vectors import Vectors
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.passage_tokens import PassageTokens
from lurcher.models.reader.coder import ReadingCoder, fit
from lurcher.models.tokens.clustering import Integers
from lurcher.models.tokens.coder import TokenCoder

# Passages that it is fitted to: tokens that are seen seldom have poor centres.
_SAMPLE = 4_096
# Passages encoded at once.
_ENCODED_AT_ONCE = 32


def depends_on(context: BuildContext) -> object:
    """The bits of a code."""
    return context.models.answer_bits


def run(context: BuildContext) -> None:
    """Fit and save the coder; without answers, remove what an earlier run left."""
    file, bits = context.bundle / READING_CODER, context.models.answer_bits
    shutil.rmtree(file.parent, ignore_errors=True)
    if bits is not None and context.token_coder is not None:
        file.parent.mkdir()
        context.report.stage("calibrating", None)
        calibrate(context.tokens, context.token_coder, bits, context.options.seed).save(file)


def calibrate(
    tokens: PassageTokens, token_coder: TokenCoder, bits: int, seed: int, sample: int = _SAMPLE
) -> ReadingCoder:
    """A coder to ``bits`` bits, fitted to ``sample`` passages that ``seed`` draws.

    Only tokens that are informative by ``token_coder`` count.
    """
    encoder = tokens.encoder
    rows = np.random.default_rng(seed).permutation(tokens.count)[:sample]

    def states() -> Iterator[list[tuple[Vectors, Integers]]]:
        for first in range(0, len(rows), _ENCODED_AT_ONCE):
            some, _ = tokens.read(sorted(rows[first : first + _ENCODED_AT_ONCE].tolist()))
            found, owns = encoder.lower_states(some), encoder.own_slices(some)
            ids = [np.array(one.ids[own], np.int64) for one, own in zip(some, owns, strict=True)]
            kept = token_coder.informative_batch(ids)
            yield [
                (one[own][positions], own_ids[positions])
                for one, own, own_ids, positions in zip(found, owns, ids, kept, strict=True)
            ]

    vocabulary = len(token_coder.frequency)
    return fit(chain.from_iterable(states()), encoder.config.dimension, vocabulary, bits, seed)
