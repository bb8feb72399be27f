"""Passages encoded by actors on Ray, one for each core, for a build that runs elsewhere.

A chunk is what the build in one process would encode together, so that vectors and codes are its own to the
last bit, on processors of one kind. A worker takes the next chunk when it is done with one, so none waits for
another's long passages. One that dies is started again, and what it was about is done again: encoding changes
nothing, and only the build writes, each chunk once and in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray

from lurcher.errors import LurcherError, ModelError
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.stages.encode_passages import Chunk, Coding, Kept, encode_chunk
from lurcher.models.encoders.config import load_config
from lurcher.models.encoders.encoder import Encoder, Vectors
from lurcher.models.engines import EngineName

# Chunks that each worker has: one that it encodes, and one that it need not wait for.
_AHEAD = 2


class _Worker:
    """Encodes chunks, on one core."""

    def __init__(
        self, folder: Path, fingerprint: str, engine: EngineName, coding: Coding | None
    ) -> None:
        """Load the encoder in ``folder``, which has to be on this node as well. Raises ModelError."""
        if (found := load_config(folder).fingerprint) != fingerprint:
            raise ModelError(
                f"{folder}: encoder {found} on a worker, {fingerprint} where the build runs"
            )
        self._encoder = Encoder.load(folder, "passage", 1, engine)
        self._coding = coding

    def encode(self, chunk: Chunk) -> tuple[Vectors, list[Kept]]:
        """Vectors (n, d) and codes of ``chunk``."""
        return encode_chunk(self._encoder, self._coding, chunk)


class RayEncoders:
    """The workers of a build on the cluster that this process has joined."""

    def __init__(self, workers: int | None = None) -> None:
        """So many ``workers``, None: as many as the cluster has cores."""
        self._workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def encode(
        self, context: BuildContext, coding: Coding | None, chunks: Iterator[Chunk]
    ) -> Iterator[tuple[Vectors, list[Kept]]]:
        """As ``EncodeChunks``. Raises LurcherError where workers cannot be started or do not stay."""
        folder = context.options.encoder.resolve()
        fingerprint, engine = context.models.config.fingerprint, context.encoder.choice.name
        kind: Any = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)(_Worker)
        workers = [kind.remote(folder, fingerprint, engine, coding) for _ in range(self._workers)]
        try:
            for vectors, kept in _in_order(workers, chunks):
                context.report.advance(len(vectors))
                yield vectors.copy(), kept  # what comes from the object store cannot be written to
        except ray.exceptions.RayError as error:
            raise LurcherError(f"encoding on Ray failed: {str(error).splitlines()[-1]}") from error
        finally:
            for worker in workers:
                ray.kill(worker)


def _in_order(workers: list[Any], chunks: Iterator[Chunk]) -> Iterator[tuple[Vectors, list[Kept]]]:
    """What the ``workers`` make of each of ``chunks``; as many are read ahead as keep all of them busy."""
    loads = [0] * len(workers)
    running: dict[Any, int] = {}  # the worker of each chunk that is not done
    waiting: deque[Any] = deque()  # chunks whose turn to be yielded has not come
    ended = False
    while waiting or not ended:
        while not ended and min(loads) < _AHEAD and len(waiting) < 2 * _AHEAD * len(workers):
            chunk = next(chunks, None)
            if chunk is None:
                ended = True
                break
            worker = loads.index(min(loads))
            done = workers[worker].encode.remote(chunk)
            loads[worker] += 1
            running[done] = worker
            waiting.append(done)
        if waiting and waiting[0] not in running:
            yield ray.get(waiting.popleft())
        elif running:
            for done in ray.wait(list(running))[0]:
                loads[running.pop(done)] -= 1
