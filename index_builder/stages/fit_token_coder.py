"""Stage ``token coder``: how token states become the codes of the token store, fitted to the corpus."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import astuple
from itertools import chain

import numpy as np

from lurcher.bundle.token_store import CODER
from lurcher.bundle.vectors import Vectors
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.passage_tokens import PassageTokens
from lurcher.models.tokens.coder import TokenCoder, document_frequency, fit
from lurcher.models.tokens.projection import Projection

# Passages that states are taken of; with 200 the coder was as good as with 1,000.
_SAMPLE = 256
# Passages whose tokens are counted.
_COUNTED = 16_384
# Passages that are read at once, and passages whose states are in memory at once.
_READ_AT_ONCE, _ENCODED_AT_ONCE = 1_024, 32


def depends_on(context: BuildContext) -> object:
    """The encoder and what runs it, options of the token store, the seed, and a trained projection."""
    options, models = context.options, context.models
    own = options.tokens and [*astuple(options.tokens), options.seed]
    projection = models.projection
    trained = None if projection is None else projection.projection_hash
    engine = context.encoder.choice.name if options.tokens else None
    return [models.config.fingerprint, own, trained, engine]


def run(context: BuildContext) -> None:
    """Fit and save the coder; without tokens, remove what an earlier run left."""
    file, models = context.bundle / CODER, context.models
    shutil.rmtree(file.parent, ignore_errors=True)
    if models.token_bits is not None:
        file.parent.mkdir()
        context.report.stage("calibrating", None)
        coder = calibrate(
            context.tokens, models.token_bits, models.projection, context.options.seed
        )
        coder.save(file)


def calibrate(
    tokens: PassageTokens, bits: int, projection: Projection | None, seed: int,
    sample: int = _SAMPLE, counted: int = _COUNTED,
) -> TokenCoder:  # fmt: skip
    """A coder to ``bits`` bits, fitted to ``sample`` of the passages of ``tokens`` that ``seed`` draws.

    Document frequencies are counted in ``counted`` passages. ``projection`` is a trained one, None:
    principal components. Raises FieldError.
    """
    encoder = tokens.encoder
    rows = np.random.default_rng(seed).permutation(tokens.count)[:counted]

    def own_ids() -> Iterator[list[list[int]]]:
        for first in range(0, len(rows), _READ_AT_ONCE):
            found, _ = tokens.read(rows[first : first + _READ_AT_ONCE].tolist())
            owns = encoder.own_slices(found)
            yield [list(one.ids[own]) for one, own in zip(found, owns, strict=True)]

    def states() -> Iterator[list[Vectors]]:
        sampled = sorted(rows[:sample].tolist())
        for first in range(0, len(sampled), _ENCODED_AT_ONCE):
            some, _ = tokens.read(sampled[first : first + _ENCODED_AT_ONCE])
            found, owns = encoder.encode_states(some)[1], encoder.own_slices(some)
            yield [one[own] for one, own in zip(found, owns, strict=True)]

    frequency = document_frequency(chain.from_iterable(own_ids()), encoder.vocabulary)
    dimension = encoder.config.dimension
    return fit(chain.from_iterable(states()), dimension, frequency, bits, seed, projection)
