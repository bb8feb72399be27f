"""A reader that points at the same tokens of every passage: what answers is known beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.model_cache import ModelCache
from lurcher.errors import ModelError
from lurcher.models.engines import EngineName
from lurcher.models.reader.reader import Reader, ReaderConfig
from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.opening import OpenSnapshot

# Of what is not pointed at: no softmax sees it.
_NEVER = -60.0


@dataclass
class Pointing:
    """In the place of a reader's graph; ``runs`` are the passages and tokens of each run."""

    first: int = 0  # of a passage's own tokens
    last: int = 0
    sure: float = 5.0  # the logit of the span, a bonus not counted
    runs: list[tuple[int, int]] = field(default_factory=list)

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        assert list(outputs) == ["logits"]
        places, counts = inputs["places"], inputs["counts"]
        self.runs.append((len(counts), int(counts.sum())))
        there = np.arange(places.shape[1]) < counts[:, None]
        logits = np.full((*places.shape, 2), _NEVER, np.float32)
        for side, place in enumerate((self.first, self.last)):
            logits[(places == place) & there, side] = self.sure / 2
        return [logits]


class Failing(Pointing):
    """A graph that cannot be run; ``runs`` are the attempts."""

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        super().run(outputs, inputs)
        raise ModelError("the graph cannot be run")


def pointed(bundle: Bundle, engine: Pointing, **changes: Any) -> Pointed:
    """``bundle``, read by ``engine``; ``changes`` are of the reader's description."""
    assert bundle.manifest.reader is not None
    told = {"rank_weight": 0.0, "slope": 1.0, "offset": 0.0, "min_score": 0.5, "longest": 400}
    config = bundle.manifest.reader.model_copy(update=told | changes)
    return Pointed.of(bundle, config, engine)


class Pointed(Bundle):
    """A bundle with a reader of the test's own."""

    read_by: tuple[ReaderConfig, Pointing]

    @classmethod
    def of(cls, bundle: Bundle, config: ReaderConfig, engine: Pointing, **others: Any) -> Pointed:
        parts = {part.name: getattr(bundle, part.name) for part in fields(bundle)}
        made = cls(**{**parts, **others})
        object.__setattr__(made, "read_by", (config, engine))
        return made

    def reader(self, threads: int, cache: ModelCache | None = None) -> Reader:  # noqa: ARG002 (it is given)
        config, graph = self.read_by
        return Reader(config, graph, threads or 1)


def pointing(engine: Pointing, costs: CostModel | None = None, **changes: Any) -> OpenSnapshot:
    """What opens a server's snapshots, read by ``engine``."""

    def make(bundle: Bundle, threads: int, name: EngineName) -> Snapshot:
        return Snapshot(pointed(bundle, engine, **changes), threads, name, costs)

    return make
