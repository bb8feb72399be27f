"""The models of a bundle, loaded: what all snapshots of it share."""

from __future__ import annotations

from pathlib import Path

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.model_cache import ModelCache
from lurcher.bundle.vectors import Vectors
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.engines import EngineName
from lurcher.models.neighbours.adapted import unit
from lurcher.models.neighbours.nearness import UNRELATED_WORDS


class Models:
    """The models of a bundle that has vectors; call them from one thread at a time.

    queries    the encoder of queries
    common     (d,) the direction that all words have in common by it, at norm 1
    decoder    what ranks by tokens, if there is anything
    t5         what ranks and writes by states, if there is anything
    reader     what finds answers, if there is anything
    """

    def __init__(
        self, bundle: Bundle, threads: int, engine: EngineName, cache: ModelCache | None = None
    ) -> None:
        """Load those that are not in ``cache``, the query encoder into ``engine``.

        Raises BundleError or ModelError.
        """
        self._folder: Path = bundle.path / ENCODER
        self._threads, self._engine = threads, engine
        self._manifest, self._cache = bundle.manifest, cache or ModelCache()
        self.queries = bundle.query_encoder(threads, engine, self._cache)
        self._passages: Encoder | None = None
        if bundle.tokens is not None:
            self.passages()
        self.t5, self.reader = bundle.t5(threads, cache), bundle.reader(threads, cache)
        self.decoder = bundle.decoder(threads, cache)
        self.common: Vectors = unit(self.queries.encode(UNRELATED_WORDS).mean(axis=0))

    def passages(self) -> Encoder:
        """The encoder of passages, loaded when it is needed first."""
        if self._passages is None:
            self._passages = self._cache.get(
                self._manifest, ENCODER, ("passage", self._threads, self._engine),
                lambda: passage_encoder(self.queries, self._folder, self._threads, self._engine),
            )  # fmt: skip
        return self._passages


def passage_encoder(queries: Encoder, folder: Path, threads: int, engine: EngineName) -> Encoder:
    """The encoder of passages in ``folder``: that of ``queries`` where it is the same. Raises ModelError."""
    config = queries.config
    query, passage = (
        (config.query_prompt, config.query_graph), (config.passage_prompt, config.passage_graph)
    )  # fmt: skip
    if query == passage:
        return queries
    # Not by an engine that was asked for and may be good for a student's graph alone.
    return Encoder.load(
        folder, "passage", threads, "onnxruntime" if engine == "onnxruntime" else "auto"
    )
