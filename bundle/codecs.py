"""How texts become what a segment holds: frozen for a collection, so that a passage scores alike in any."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lurcher.bundle.frequencies import Frequencies, frequencies_folder
from lurcher.bundle.lexical_index import load_analyser
from lurcher.bundle.manifest import MANIFEST, Manifest
from lurcher.bundle.places import place_of
from lurcher.bundle.reading_store import READING_CODER, load_reading_coder
from lurcher.bundle.state_codecs import Codec
from lurcher.bundle.state_store import load_state_codec
from lurcher.bundle.token_store import CODER, load_token_coder
from lurcher.errors import BundleCorrupt
from lurcher.models.lexical.analyser import Analyser
from lurcher.models.ranker.seq2seq import RankerConfig
from lurcher.models.reader.coder import ReadingCoder
from lurcher.models.tokens.coder import TokenCoder


@dataclass(frozen=True, slots=True, eq=False)
class Codecs:
    """What a bundle's stores were written with; None for a store that it does not have."""

    tokens: TokenCoder | None
    reading: ReadingCoder | None
    states: Codec | None
    analyser: Analyser | None
    frequencies: Frequencies | None  # None: those of the first segment

    @classmethod
    def open(cls, path: Path, manifest: Manifest) -> Codecs:
        """Those of the bundle at ``path``. Raises BundleCorrupt, BundleVersionError."""
        folder = manifest.segments[0].folder if manifest.segments else "segments"
        words = manifest.lexical
        analyser = None if words is None else load_analyser(path, folder, words)
        counted = frequencies_folder(manifest.files)
        frequencies = (
            None if words is None or counted is None else Frequencies.open(path, counted, words)
        )
        tokens = _tokens(path, folder, manifest)
        reading = _reading(path, folder, manifest, tokens)
        return cls(tokens, reading, _states(path, folder, manifest), analyser, frequencies)


def _tokens(path: Path, folder: str, manifest: Manifest) -> TokenCoder | None:
    """The coder of tokens, if there are any. Raises BundleCorrupt."""
    if manifest.tokens is None or manifest.encoder is None:
        return None
    file = place_of(manifest.files, CODER)
    return load_token_coder(path, folder, manifest.tokens, manifest.encoder, file)


def _reading(
    path: Path, folder: str, manifest: Manifest, tokens: TokenCoder | None
) -> ReadingCoder | None:
    """The coder of what a reader reads, if there is it. Raises BundleCorrupt."""
    reading = manifest.reading
    if reading is None and manifest.reader is None:
        return None
    if reading is None or tokens is None or manifest.encoder is None:
        missing = "tokens" if tokens is None else "a reading store"
        raise BundleCorrupt(path, MANIFEST, f"what is to answer needs {missing}, which it has not")
    file = place_of(manifest.files, READING_CODER)
    coder = load_reading_coder(path, folder, reading, manifest.encoder, file)
    has, wants = len(coder.centres), len(tokens.frequency)
    if has != wants:
        raise BundleCorrupt(path, file, f"of {has} different tokens, expected {wants}")
    return coder


def _states(path: Path, folder: str, manifest: Manifest) -> Codec | None:
    """How states are packed, if it is a T5 that ranks. Raises BundleCorrupt."""
    ranker, states = manifest.ranker, manifest.states
    if isinstance(ranker, RankerConfig) and states is not None:
        return load_state_codec(path, folder, states, ranker)
    if isinstance(ranker, RankerConfig) or states is not None:
        raise BundleCorrupt(
            path, MANIFEST, "of states and a ranker that reads them it has only one"
        )
    return None
