"""Documents into passages as the bundle's build cut them."""

from __future__ import annotations

from pathlib import Path

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.errors import FieldError
from lurcher.index_builder.split import Splitter
from lurcher.models.encoders.side_tokenizer import SideTokenizer
from lurcher.models.pretrained import DEFAULT_ENCODER

_NO_TOKENIZER = (
    "the bundle's documents were cut by the tokens of an encoder that is not in it, as it was built without"
    " vectors; of these, only bundles built by the shipped encoder can take documents"
)


def splitter_of(bundle: Bundle) -> Splitter:
    """What splits documents for ``bundle``. Raises FieldError where its tokeniser is not to be had.

    A bundle without vectors has no tokeniser; the shipped encoder's is taken if it was built by that one. One
    of a format up to 4 does not say how it was split: its documents are cut as by default.
    """
    options = bundle.manifest.build.split
    folder = Path(DEFAULT_ENCODER) if bundle.index is None else bundle.path / ENCODER
    tokenizer = SideTokenizer.of_passages(folder)
    if options is None:
        return Splitter(tokenizer)
    if tokenizer.config.fingerprint != options.tokenizer:
        raise FieldError("records", _NO_TOKENIZER)
    return Splitter(tokenizer, options.window, options.overlap, options.url_prefix)
