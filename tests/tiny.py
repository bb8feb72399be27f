"""The tiny encoder in ``tests/assets``: what most tests build bundles with, in a tenth of a second.

It has all that ships with the default encoder: a projection, a decoder, a reader and a student, of 96
dimensions and three layers. Its tokens are those of the default encoder, for the words that tests use; texts
that share words have similar vectors, and it knows nothing else of meaning. ``tests/assets/make_tiny.py``
makes it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from lurcher.bundle.manifest import Manifest
from lurcher.index_builder.build import BuildOptions
from lurcher.index_builder.build import build as build_by
from lurcher.index_builder.progress import Reporter

TINY = Path(__file__).parent / "assets" / "tiny-encoder"

# On the command line.
BY_TINY = ["--encoder", str(TINY)]

# As lurcher.models.pretrained.PROFILES: what reads queries for its passages.
PROFILES: dict[str, Path | None] = {"fast": TINY / "students" / "fast", "best": None}

# The options of a build by it, where none is named.
TinyOptions = partial(BuildOptions, encoder=TINY)


def build(
    corpus: Path, out: Path, options: BuildOptions | None = None, report: Reporter | None = None,
    **how: Any,
) -> Manifest:  # fmt: skip
    """The manifest of the bundle ``out``, built by the tiny encoder if ``options`` are not given."""
    return build_by(corpus, out, options or TinyOptions(), report, **how)
