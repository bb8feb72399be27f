"""Known queries come back as they were written, and a file that does not fit is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as checked
from hypothesis import strategies as st

from lurcher.bundle.index_building import build_index
from lurcher.bundle.labels import Labels
from lurcher.bundle.neighbours import (
    ADAPTED,
    LABELS,
    LENGTHS,
    MEANS,
    NEIGHBOURS,
    QUERIES,
    SCORES,
    TEXTS,
    AdaptedSettings,
    Neighbours,
    NeighbourSettings,
    Trial,
    VotingSettings,
)
from lurcher.bundle.passages import Passage, PassageWriter
from lurcher.bundle.vectors import Vectors, write_index
from lurcher.errors import BundleCorrupt

PASSAGES, DIMENSION = 9, 8
# Of four queries; passages 1, 4 and 7 are labelled, the last query's label is one of two.
LABELLED = Labels(
    np.array([0, 1, 3, 4, 6]),
    np.array([4, 1, 4, 7, 1, 7]),
    np.array([1, 1, 0.5, 1, 0.25, 1], np.float32),
)


def points(seed: int, count: int) -> Vectors:
    drawn = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    normed: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return normed


MEANS_OF = points(3, 3)
LENGTHS_OF = np.array([0.5, 1.5, 2.5], np.float32)

SETTINGS = NeighbourSettings(
    mode="voting", adapted=AdaptedSettings(), voting=VotingSettings(), queries=4, labels=6, passages=3,
    sources={"qrels.tsv": 4}, logs={}, search_effort=None, adapted_effort=None,
    development="known queries held out",
    trials=[Trial(mode="off", ndcg=0.5, recall=0.5, unseen_ndcg=None, unseen_recall_10=None,
                  unseen_recall=None)],
)  # fmt: skip


def rows_of(ids: Sequence[str]) -> dict[str, int]:
    """Passages are called p0, p1 ... here."""
    return {id_: int(id_[1:]) for id_ in ids}


def write_flat(vectors: Vectors, path: Path) -> None:
    write_index(build_index(vectors, "Flat", 0, lambda _: None), path)


def write_texts(path: Path, count: int) -> None:
    path.unlink(missing_ok=True)
    writer = PassageWriter(path)
    writer.append([Passage(f"q{i}", f"query {i}", "", {"source": "s"}) for i in range(count)], 0, 0)
    writer.finish()


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A bundle's folder with nothing but known queries in it."""
    (tmp_path / NEIGHBOURS).mkdir()
    write_flat(points(1, 4), tmp_path / QUERIES)
    write_flat(points(2, PASSAGES), tmp_path / ADAPTED)
    write_texts(tmp_path / TEXTS, 4)
    LABELLED.save(tmp_path / LABELS, ["p1", "p4", "p7"])
    np.save(tmp_path / SCORES, np.arange(6, dtype=np.float32))
    np.save(tmp_path / MEANS, MEANS_OF)
    np.save(tmp_path / LENGTHS, LENGTHS_OF)
    return tmp_path


@pytest.fixture
def opened(written: Path) -> Iterator[Neighbours]:
    neighbours = Neighbours.open(written, SETTINGS, PASSAGES, rows_of)
    yield neighbours
    neighbours.close()


def test_what_was_written_is_opened(opened: Neighbours) -> None:
    assert opened.settings == SETTINGS
    assert [q.text for q in opened.texts.get(range(4))] == [f"query {i}" for i in range(4)]
    np.testing.assert_array_equal(opened.queries.vectors(np.arange(4)), points(1, 4))
    np.testing.assert_array_equal(opened.adapted.vectors(np.arange(PASSAGES)), points(2, PASSAGES))
    np.testing.assert_array_equal(opened.labels.rows, LABELLED.rows)
    np.testing.assert_array_equal(opened.scores, np.arange(6))
    assert opened.rows.tolist() == [1, 4, 7]


def test_each_passage_knows_its_queries(opened: Neighbours) -> None:
    of = opened.by_passage
    known = [of.rows[slice(*of.indptr[row : row + 2])].tolist() for row in range(PASSAGES)]
    assert known == [[], [1, 3], [], [], [0, 1], [], [], [2, 3], []]


@given(st.lists(st.integers(0, PASSAGES - 1), max_size=12))
@checked(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_means_are_those_of_each_row(opened: Neighbours, rows: list[int]) -> None:
    means, lengths = opened.means_of(np.array(rows, np.int64))
    place = {1: 0, 4: 1, 7: 2}
    assert means.shape == (len(rows), DIMENSION)
    for row, mean, length in zip(rows, means, lengths.tolist(), strict=True):
        if row in place:
            np.testing.assert_array_equal(mean, MEANS_OF[place[row]])
            assert length == LENGTHS_OF[place[row]]
        else:
            assert not mean.any()
            assert length == 0


def test_means_that_are_given_may_be_written_to(opened: Neighbours) -> None:
    means, _ = opened.means_of(np.array([1, 2]))
    means[:] = 5
    np.testing.assert_array_equal(opened.means_of(np.array([1]))[0], MEANS_OF[:1])


ALL = [QUERIES, TEXTS, LABELS, SCORES, MEANS, LENGTHS, ADAPTED]


def refused(bundle: Path, file: str, reason: str = "") -> None:
    name = Path(file).name.replace(".", r"\.")
    with pytest.raises(BundleCorrupt, match=f"{name}: .*{reason}") as caught:
        Neighbours.open(bundle, SETTINGS, PASSAGES, rows_of)
    assert caught.value.file in (file, Path(file).name)


@pytest.mark.parametrize("file", ALL)
def test_a_missing_file_is_named(written: Path, file: str) -> None:
    (written / file).unlink()
    refused(written, file)


@pytest.mark.parametrize("file", ALL)
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5])
def test_a_file_cut_short_is_named(written: Path, file: str, kept: float) -> None:
    content = (written / file).read_bytes()
    (written / file).write_bytes(content[: int(kept * len(content))])
    refused(written, file)


@pytest.mark.parametrize("file", [QUERIES, LABELS, SCORES, MEANS, LENGTHS, ADAPTED])
@pytest.mark.parametrize("content", [b"", b"no such thing" * 50, b"PK\x03\x04" * 50, b"\x93NUMPY"])
def test_a_file_of_something_else_is_named(written: Path, file: str, content: bytes) -> None:
    (written / file).write_bytes(content)
    refused(written, file)


def fewer(path: Path) -> None:
    np.save(path, np.load(path)[:-1])


OTHER_SIZES: list[tuple[str, Callable[[Path], object], str]] = [
    (QUERIES, lambda path: write_flat(points(1, 3), path), "3 entries, expected 4"),
    (TEXTS, lambda path: write_texts(path, 5), "5 entries, expected 4"),
    (
        LABELS,
        lambda path: LABELLED.select(np.arange(3)).save(path, ["p1", "p4", "p7"]),
        "3 queries, expected 4",
    ),
    (
        LABELS,
        lambda path: LABELLED.select(np.array([0, 1, 1, 1])).save(path, ["p1", "p4"]),
        "7 labels, expected 6",
    ),
    (
        LABELS,
        lambda path: replace(LABELLED, rows=np.array([4, 1, 4, 6, 1, 7])).save(
            path, ["p1", "p4", "p6", "p7"]
        ),
        "4 passages, expected 3",
    ),
    (SCORES, fewer, r"float32 \(5,\), expected float32 \(6,\)"),
    (MEANS, fewer, r"float32 \(2, 8\), expected float32 \(3, 8\)"),
    (LENGTHS, fewer, r"float32 \(2,\), expected float32 \(3,\)"),
    (ADAPTED, lambda path: write_flat(points(2, 10), path), "10 entries, expected 9"),
]


@pytest.mark.parametrize(("file", "change", "reason"), OTHER_SIZES)
def test_a_file_of_another_size_is_named(
    written: Path, file: str, change: Callable[[Path], object], reason: str
) -> None:
    change(written / file)
    refused(written, file, reason)


@pytest.mark.parametrize("file", [SCORES, MEANS, LENGTHS])
@pytest.mark.parametrize("kind", [np.float64, np.int32, ">f4", "U3", bool])
def test_numbers_of_another_kind_are_named(written: Path, file: str, kind: Any) -> None:
    np.save(written / file, np.load(written / file).astype(kind))
    refused(written, file, "expected float32")


@pytest.mark.parametrize("file", [SCORES, MEANS, LENGTHS])
def test_objects_are_not_unpickled(written: Path, file: str) -> None:
    np.save(written / file, np.array([{}] * 6, object), allow_pickle=True)
    refused(written, file)


@pytest.mark.parametrize("file", [SCORES, MEANS, LENGTHS])
def test_an_archive_is_no_array(written: Path, file: str) -> None:
    with (written / file).open("wb") as out:
        np.savez(out, a=np.zeros(6, np.float32))
    refused(written, file)


@pytest.mark.parametrize(
    ("file", "shape"),
    [(SCORES, (6, 1)), (SCORES, ()), (MEANS, (3,)), (MEANS, (3, 7)), (LENGTHS, (3, 1))],
)
def test_an_array_of_another_shape_is_named(
    written: Path, file: str, shape: tuple[int, ...]
) -> None:
    np.save(written / file, np.zeros(shape, np.float32))
    refused(written, file)


def test_adapted_vectors_of_another_dimension_are_named(written: Path) -> None:
    write_flat(np.eye(PASSAGES, dtype=np.float32), written / ADAPTED)
    refused(written, ADAPTED)


def test_labels_of_passages_that_are_not_there_are_named(written: Path) -> None:
    with pytest.raises(BundleCorrupt, match=r"labels\.npz: the bundle has no passage 'p4'"):
        Neighbours.open(written, SETTINGS, PASSAGES, lambda _: {"p1": 1, "p7": 7})


def test_means_and_labels_are_of_passages_wherever_these_stand(written: Path) -> None:
    """The same known queries beside the same passages in another order."""
    moved = {"p1": 5, "p4": 0, "p7": 2}
    opened = Neighbours.open(written, SETTINGS, PASSAGES, lambda ids: {i: moved[i] for i in ids})
    assert opened.rows.tolist() == [0, 2, 5]
    assert opened.labels.rows.tolist() == [0, 5, 0, 2, 5, 2]
    means, lengths = opened.means_of(np.array([5, 1, 0, 2]))
    np.testing.assert_array_equal(means[[0, 2, 3]], MEANS_OF)
    assert not means[1].any()
    assert lengths.tolist() == [0.5, 0, 1.5, 2.5]
    opened.close()


@example(place=8, change=16)  # the head's length: then numbers begin in its padding
@given(st.integers(0, 127), st.integers(1, 255))
@checked(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_changed_head_is_corrupt_or_says_the_same(written: Path, place: int, change: int) -> None:
    """Hashes find any change; but they need not be checked, and then no other error may come out."""
    file = written / SCORES
    content = bytearray(file.read_bytes())
    changed = bytearray(content)
    changed[place] ^= change
    file.write_bytes(changed)
    with suppress(BundleCorrupt):
        neighbours = Neighbours.open(written, SETTINGS, PASSAGES, rows_of)
        neighbours.close()
        np.testing.assert_array_equal(neighbours.scores, np.arange(6))
    file.write_bytes(content)
