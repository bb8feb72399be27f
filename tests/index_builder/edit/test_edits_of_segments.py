"""A bundle of several segments and deletions is changed as one of one segment is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import RANKER, Bundle
from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.verifying import verify
from lurcher.errors import BundleError
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.index_builder.edit.swap_ranker import swap_ranker
from lurcher.index_builder.neighbours import NeighbourOptions
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.living import cut_in_two, files_with, publish, without
from tests.tickets import TICKET, tickets

GONE = 5  # of the second segment


@pytest.fixture(scope="module")
def twofold(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two segments, of which the first passage is deleted."""
    path = shutil.copytree(small_bundle, tmp_path_factory.mktemp("cut") / "twofold.lurcher")
    cut_in_two(path)
    first, second = read_manifest(path).segments
    second = without(path, second, [GONE, *range(50, 60)])
    publish(path, [first, second], files_with(path, second.deleted))
    return path


@pytest.fixture
def same(twofold: Path) -> Iterator[Callable[[Path], None]]:
    """A function that checks that a bundle is sound and has the segments of ``twofold``."""
    before = read_manifest(twofold)

    def check(out: Path) -> None:
        after = read_manifest(out)
        assert verify(out) == []
        assert after.segments == before.segments
        assert after.passages == 59
        assert after.generation == before.generation

    yield check
    assert read_manifest(twofold) == before


def test_another_student_is_put_in(
    twofold: Path, same: Callable[[Path], None], write_student: Callable[..., Path], tmp_path: Path
) -> None:
    out, _ = swap_encoder(twofold, write_student(), tmp_path / "out.lurcher")
    same(out)


def test_another_decoder_is_put_in(
    twofold: Path, same: Callable[[Path], None], tmp_path: Path
) -> None:
    out, _ = swap_ranker(twofold, twofold / RANKER, tmp_path / "out.lurcher")
    same(out)


def test_known_queries_are_put_in_and_find_their_passages(
    twofold: Path, same: Callable[[Path], None], small_records: list[dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "out.lurcher"
    options = NeighbourOptions(keep_unseen=0, skip_unknown=True)
    adapt(twofold, tickets(small_records), options, out)
    same(out)
    with closing(Bundle.open(out)) as bundle:
        snapshot = Snapshot(bundle, 1)
        for mode in ("adapted", "voting"):
            for number in (0, GONE, 17, 55, 59):
                text = TICKET.format(7919 * number)
                query = Query(text, 60, neighbours=mode, retrieve="dense", rank="off")  # type: ignore[arg-type]
                (result,) = snapshot.run([query])
                assert isinstance(result, SearchResult)
                ids = [hit.id for hit in result.hits]
                wanted = small_records[number]["id"]
                assert wanted not in ids if number == GONE else ids[0] == wanted


def test_what_needs_every_row_says_what_is_missing(twofold: Path) -> None:
    with (
        closing(Bundle.open(twofold)) as bundle,
        pytest.raises(BundleError, match="lurcher compact"),
    ):
        bundle.all_rows()
