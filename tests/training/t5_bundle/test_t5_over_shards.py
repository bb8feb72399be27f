"""A T5 over shards orders hits as in one bundle, with and without tokens beside its states."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("optimum.exporters.onnx", reason="the [train] extra is not installed")

from lurcher.bundle.bundle import Bundle
from lurcher.cluster.coordinator import Coordinator
from lurcher.cluster.shard import Shard
from lurcher.cluster.split import split
from lurcher.index_builder.options import TokenOptions
from lurcher.index_builder.progress import Silent
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.cluster.conftest import NearShards
from tests.tiny import TinyOptions, build
from tests.training.t5_bundle.words import QUERY


@pytest.mark.parametrize("tokens", [TokenOptions(), None])
def test_ordered_as_in_one_bundle(
    corpus: Path, ranker: Path, tmp_path: Path, tokens: TokenOptions | None
) -> None:
    build(corpus, tmp_path / "one.lurcher", TinyOptions(ranker=ranker, tokens=tokens))
    query = Query(QUERY, 20, rank="t5")
    with ExitStack() as stack:
        one = stack.enter_context(closing(Snapshot(Bundle.open(tmp_path / "one.lurcher"), 1)))
        folder = tmp_path / "cluster"
        cluster = split(one.bundle, folder, 2, Silent())
        shards = [stack.enter_context(closing(Shard(folder, cluster, i))) for i in range(2)]
        head = Bundle.open(folder / cluster.coordinator.path)
        coordinator = Coordinator(head, cluster, NearShards(shards), 1.0, 1)
        (found,) = stack.enter_context(closing(coordinator)).run([query])
        (wanted,) = one.run([query])
    assert isinstance(found, SearchResult), found
    assert isinstance(wanted, SearchResult)
    assert len(wanted.hits) > 2
    assert [hit.passage for hit in found.hits] == [hit.passage for hit in wanted.hits]
    assert [hit.score for hit in found.hits] == pytest.approx(
        [hit.score for hit in wanted.hits], abs=1e-4
    )
    assert [list(hit.scores) for hit in found.hits] == [list(hit.scores) for hit in wanted.hits]
