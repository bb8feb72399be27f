"""A cluster of the small corpus, in this process: shards that are asked by a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.cluster.build import build_cluster
from lurcher.cluster.cluster_file import read_cluster
from lurcher.cluster.coordinator import Coordinator
from lurcher.cluster.messages import Reply, Request
from lurcher.cluster.shard import Shard
from lurcher.cluster.split import split
from lurcher.index_builder.progress import Silent
from lurcher.models.engines import EngineName
from lurcher.retrieval.snapshot import Snapshot
from tests.shared import Shared
from tests.tiny import TinyOptions

SHARDS = 3
# The one that is measured to be faster may be another for a bundle than for a cluster, and rounds otherwise.
ENGINE: EngineName = "onnxruntime"


# What is told of the requests of a round before the shards are asked.
Before = Callable[[Mapping[int, Request]], object]


def _nothing(_: Mapping[int, Request]) -> None:
    pass


def kind_of(requests: Mapping[int, Request]) -> str:
    """What a round asks shards to do."""
    return type(next(iter(requests.values())).works[0]).__name__


class NearShards:
    """Shards in this process; those in ``gone`` do not answer."""

    def __init__(self, shards: list[Shard]) -> None:
        self.shards = shards
        self.gone: set[int] = set()
        self.before: Before = _nothing

    @contextmanager
    def telling(self, before: Before) -> Iterator[None]:
        """Call ``before`` with each round of requests in the block, and have no shard gone afterwards."""
        self.before = before
        try:
            yield
        finally:
            self.before = _nothing
            self.gone.clear()

    def ask(self, requests: Mapping[int, Request], _seconds: float) -> Mapping[int, Reply]:
        self.before(requests)
        return {
            number: self.shards[number].answer(request)
            for number, request in requests.items()
            if number not in self.gone
        }


@pytest.fixture(scope="session")
def small_cluster(small_corpus: Path, shared: Shared) -> Path:
    """The folder of ``small_corpus`` in three shards. Copy it to change it."""

    def make(made: Path) -> None:
        build_cluster(small_corpus, made / "small", SHARDS, TinyOptions(seed=1))

    return shared.once("small-cluster", make) / "small"


def split_once(bundle: Path, name: str, shared: Shared) -> Path:
    """The folder of ``bundle`` in three shards, made once a run under this ``name``."""

    def make(made: Path) -> None:
        with closing(Bundle.open(bundle)) as whole:
            split(whole, made / name, SHARDS, Silent())

    return shared.once(f"{name}-cluster", make) / name


@pytest.fixture(scope="session")
def answering_cluster_folder(answering_bundle: Path, shared: Shared) -> Path:
    """The folder of ``answering_bundle`` in three shards; only to be read."""
    return split_once(answering_bundle, "answering", shared)


@pytest.fixture(scope="module")
def open_cluster() -> Iterator[Callable[[Path], tuple[Coordinator, NearShards]]]:
    """A function that opens the cluster in a folder, in this process."""
    opened: list[Shard | Snapshot] = []

    def open_(folder: Path) -> tuple[Coordinator, NearShards]:
        cluster = read_cluster(folder)
        near = NearShards([Shard(folder, cluster, i) for i in range(len(cluster.shards))])
        opened.extend(near.shards)
        bundle = Bundle.open(folder / cluster.coordinator.path)
        coordinator = Coordinator(bundle, cluster, near, 1.0, 1, ENGINE)
        opened.append(coordinator)
        return coordinator, near

    yield open_
    for one in opened:
        one.close()


@pytest.fixture(scope="module")
def cluster(
    small_cluster: Path, open_cluster: Callable[[Path], tuple[Coordinator, NearShards]]
) -> tuple[Coordinator, NearShards]:
    """``small_cluster``, opened in this process."""
    return open_cluster(small_cluster)


@pytest.fixture(scope="module")
def one_bundle(small_bundle: Path) -> Iterator[Snapshot]:
    """The bundle of the same corpus and options."""
    with closing(Snapshot(Bundle.open(small_bundle), 1, ENGINE)) as snapshot:
        yield snapshot


@pytest.fixture(scope="module")
def answering_cluster(
    answering_cluster_folder: Path,
    open_cluster: Callable[[Path], tuple[Coordinator, NearShards]],
) -> tuple[Coordinator, NearShards]:
    """``answering_cluster_folder``, opened in this process."""
    return open_cluster(answering_cluster_folder)


@pytest.fixture(scope="module")
def answering_one(answering_bundle: Path) -> Iterator[Snapshot]:
    """The bundle of the same corpus and options."""
    with closing(Snapshot(Bundle.open(answering_bundle), 1, ENGINE)) as snapshot:
        yield snapshot
