"""Passages to all that a segment holds of them, as the bundle's own build made it.

Coders and shares are those of the bundle, so that a passage scores what it would have scored had the build
known it. Each is encoded by itself: in a batch, its last bits would depend on what else is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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

NO_T5 = (
    "a T5 ranks in this bundle, and what encodes passages for it is not in it: documents cannot be added or"
    " replaced; delete works"
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
    """

    passages: tuple[Passage, ...]
    sources: tuple[bytes | None, ...]
    vectors: Vectors | None
    kept: tuple[Kept, ...] = ()
    states: tuple[States, ...] = ()

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
    )


class PassageEncoder:
    """Encodes passages for a bundle; call it from one thread at a time."""

    def __init__(self, bundle: Bundle, encoder: Encoder | None) -> None:
        """Encode for ``bundle`` by its ``encoder`` of passages; None: it has no vectors."""
        self._encoder = encoder
        self._ranked_by_t5 = bundle.states is not None
        tokens, reading = bundle.tokens, bundle.reading
        self._coding = (
            None
            if tokens is None
            else Coding(
                tokens.coder, tokens.settings.keep_ratio, None if reading is None else reading.coder
            )
        )

    @classmethod
    def load(cls, bundle: Bundle, threads: int, cache: ModelCache | None = None) -> PassageEncoder:
        """That of ``bundle``, its models loaded, unless ``cache`` has them. Raises ModelError."""
        if bundle.index is None:
            return cls(bundle, None)
        # The native engine gives the same vectors, faster, but not on every machine.
        native = bundle.manifest.build.engine == "native"
        engine: EngineName = "auto" if native else "onnxruntime"
        encoder = (cache or ModelCache()).get(
            bundle.manifest, ENCODER, ("write", threads, engine),
            lambda: Encoder.load(bundle.path / ENCODER, "passage", threads, engine),
        )  # fmt: skip
        return cls(bundle, encoder)

    def encode(
        self, passages: Sequence[Passage], sources: Sequence[bytes | None],
        advance: Callable[[int], object] = str,
    ) -> Encoded:  # fmt: skip
        """``passages``, whose documents have the hashes ``sources``, encoded; ``advance`` counts batches.

        Raises FieldError where a T5 would have to read them.
        """
        if self._ranked_by_t5 and passages:
            raise FieldError("passages", NO_T5)
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
        return Encoded(tuple(passages), tuple(sources), vectors, tuple(kept))
