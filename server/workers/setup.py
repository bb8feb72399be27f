"""What a worker is told when it starts, and what it tells: a line of JSON each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lurcher.server.settings import Settings
from lurcher.server.workers.link import Link
from lurcher.threads import thread_count

# Where metrics are in the folder that the workers share.
METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Setup:
    """A worker of a server.

    number     from 0, of ``count``
    settings   its own: with its share of threads and connections, as JSON
    listening  file descriptors of the sockets that all accept from
    telling    file descriptor of a pipe, to which it writes ``Told``
    folder     what the workers share
    waits      whether it takes connections only when it is ready: others do meanwhile
    """

    number: int
    count: int
    settings: dict[str, Any]
    listening: list[int]
    telling: int
    folder: str
    waits: bool

    def line(self) -> str:
        """It as a line."""
        return f"{json.dumps(asdict(self))}\n"

    @classmethod
    def of(cls, line: str) -> Setup:
        """What ``line`` gave."""
        return cls(**json.loads(line))

    @property
    def own_settings(self) -> Settings:
        """The settings as such."""
        return Settings.model_validate(self.settings)

    @property
    def link(self) -> Link | None:
        """What it knows of the others; None where none of them writes."""
        if not someone_writes(self.own_settings):
            return None
        return Link(self.number, self.count, Path(self.folder))


@dataclass(frozen=True, slots=True)
class Told:
    """A worker is ready, with ``engine`` for its queries, or it cannot start because of an ``error``."""

    error: str | None = None
    engine: str | None = None

    def line(self) -> str:
        """It as a line."""
        return f"{json.dumps(asdict(self))}\n"

    @classmethod
    def of(cls, line: str) -> Told:
        """What ``line`` gave."""
        return cls(**json.loads(line))


def someone_writes(settings: Settings) -> bool:
    """Whether one of the workers writes, so that the others pass on what changes something."""
    return settings.writable or settings.feedback is not None


def share_of(settings: Settings, number: int, engine: str | None = None) -> Settings:
    """The settings of worker ``number``: all of the server's, with a share of its threads and connections.

    ``engine`` is that of the first, None: it is not known yet. Two engines round differently, so that which
    worker answers would decide the last digits of a score.
    """
    threads, count = thread_count(settings.threads), settings.workers
    own = {
        "workers": 1,  # of what this process is told, it is the only one
        "threads": max(1, _share(threads, count, number)),
        "max_connections": max(1, _share(settings.max_connections, count, number)),
    }
    return settings.model_copy(update=own if engine is None else own | {"engine": engine})


def _share(whole: int, count: int, number: int) -> int:
    return whole // count + (number < whole % count)
