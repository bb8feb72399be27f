"""Passages to all that a segment holds of them, as the bundle's own build made it.

Coders and shares are those of the bundle, so that a passage scores what it would have scored had the build
known it. Each is encoded by itself: in a batch, its last bits would depend on what else is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.model_cache import ModelCache
from lurcher.bundle.passages import Passage
from lurcher.bundle.state_codecs import Packed
from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError
from lurcher.index_builder.stages.encode_passages import Coding, Kept, encode_vectors
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.engines import EngineName
from lurcher.models.ranker.seq2seq import RankerConfig, Seq2SeqEncoder

NO_T5 = (
    "a T5 ranks in this bundle, and what encodes passages for it is too large to be in it: name the folder"
    " that `lurcher export-ranker` wrote by --ranker-model (the setting ranker_model); delete and patch work"
    " without"
)


@dataclass(frozen=True, slots=True)
class States:
    """A passage's states for a T5, packed (L, columns), and whether it was too long for it."""

    packed: Packed
    truncated: bool


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Passages with what a segment holds of them, except what follows from their texts alone.

    sources    of each, a hash of its document, None where it is not known
    vectors    (n, d) float32; None without vectors
    kept       of each, its codes; none without a token store
    states     of each; none without a T5
    since      of each, when its text took the place of another, None: the build has it; none: so of all
    """

    passages: tuple[Passage, ...]
    sources: tuple[bytes | None, ...]
    vectors: Vectors | None
    kept: tuple[Kept, ...] = ()
    states: tuple[States, ...] = ()
    since: tuple[float | None, ...] = ()

    def __len__(self) -> int:
        """How many there are."""
        return len(self.passages)

    def take(self, places: Sequence[int]) -> Encoded:
        """Those at ``places``, in that order."""
        return Encoded(
            tuple(self.passages[i] for i in places),
            tuple(self.sources[i] for i in places),
            None if self.vectors is None else self.vectors[list(places)],
            tuple(self.kept[i] for i in places) if self.kept else (),
            tuple(self.states[i] for i in places) if self.states else (),
            tuple(self.since[i] for i in places) if self.since else (),
        )


def joined(parts: Sequence[Encoded]) -> Encoded:
    """All of ``parts``, which are of one bundle, one after the other; there has to be one."""
    vectors = [part.vectors for part in parts if part.vectors is not None]
    return Encoded(
        tuple(one for part in parts for one in part.passages),
        tuple(one for part in parts for one in part.sources),
        np.concatenate(vectors) if vectors else None,
        tuple(one for part in parts for one in part.kept),
        tuple(one for part in parts for one in part.states),
        tuple(one for part in parts for one in part.since or (None,) * len(part)),
    )


class PassageEncoder:
    """Encodes passages for a bundle; call it from one thread at a time."""

    def __init__(
        self, bundle: Bundle, encoder: Encoder | None, t5: Seq2SeqEncoder | None = None
    ) -> None:
        """Encode for ``bundle`` by its ``encoder`` of passages; None: it has no vectors.

        ``t5`` makes the states of a T5 that ranks in it. Raises FieldError where that is missing.
        """
        if bundle.states is not None and t5 is None:
            raise FieldError("ranker_model", NO_T5)
        self._encoder, self._t5 = encoder, t5
        self._codec = bundle.codecs.states
        tokens, reading = bundle.tokens, bundle.reading
        self._coding = (
            None
            if tokens is None
            else Coding(
                tokens.coder, tokens.settings.keep_ratio, None if reading is None else reading.coder
            )
        )

    @classmethod
    def load(
        cls, bundle: Bundle, threads: int, cache: ModelCache | None = None,
        ranker_model: Path | None = None,
    ) -> PassageEncoder:  # fmt: skip
        """That of ``bundle``, its models loaded, unless ``cache`` has its encoder.

        ``ranker_model`` is the folder of the T5 that ranks in it, if one does. Raises ModelError,
        ModelNotFound, and FieldError for another ranker or none.
        """
        t5 = _t5(bundle, threads, ranker_model)
        if bundle.index is None:
            return cls(bundle, None)
        # The native engine gives the same vectors, faster, but not on every machine.
        native = bundle.manifest.build.engine == "native"
        engine: EngineName = "auto" if native else "onnxruntime"
        encoder = (cache or ModelCache()).get(
            bundle.manifest, ENCODER, ("write", threads, engine),
            lambda: Encoder.load(bundle.path / ENCODER, "passage", threads, engine),
        )  # fmt: skip
        return cls(bundle, encoder, t5)

    def encode(
        self, passages: Sequence[Passage], sources: Sequence[bytes | None],
        advance: Callable[[int], object] = str,
    ) -> Encoded:  # fmt: skip
        """``passages``, whose documents have the hashes ``sources``, encoded; ``advance`` counts batches."""
        if self._encoder is None:
            return Encoded(tuple(passages), tuple(sources), None)
        contents = [passage.content for passage in passages]
        tokens = self._encoder.tokenise(contents)
        alone = range(len(tokens))
        kept: list[Kept] = []
        if self._coding is None:
            vectors = encode_vectors(self._encoder, tokens, advance, alone)
        else:
            vectors, kept = self._coding.encode(self._encoder, tokens, advance, alone)
        # As in a build: no query comes near a passage with neither title nor text.
        vectors[[place for place, content in enumerate(contents) if not content]] = 0.0
        states = self._states(contents)
        return Encoded(tuple(passages), tuple(sources), vectors, tuple(kept), states)

    def _states(self, contents: Sequence[str]) -> tuple[States, ...]:
        """The states of each of ``contents`` for the T5; none without one."""
        t5, codec = self._t5, self._codec
        if t5 is None or codec is None:
            return ()
        found = []
        for tokens in t5.tokenise(contents):
            packed: list[Packed] = []

            def keep(_: int, states: Vectors, packed: list[Packed] = packed) -> None:
                packed.append(codec.pack(states))

            t5.visit_states([tokens], keep)
            found.append(States(packed[0], tokens.truncated))
        return tuple(found)


def _t5(bundle: Bundle, threads: int, folder: Path | None) -> Seq2SeqEncoder | None:
    """What makes the states of the T5 that ranks in ``bundle``, in ``folder``; None where none ranks.

    Raises ModelError, ModelNotFound, FieldError.
    """
    ranker = bundle.manifest.ranker
    if bundle.states is None or not isinstance(ranker, RankerConfig) or folder is None:
        return None
    t5 = Seq2SeqEncoder.load(folder, threads)
    if t5.config.fingerprint != ranker.fingerprint:
        reason = f"{folder} is another than {ranker.name}, which the bundle's states are of"
        raise FieldError("ranker_model", reason)
    return t5
