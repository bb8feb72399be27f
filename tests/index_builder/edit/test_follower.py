"""A bundle that another process writes: what a follower sees, what it need not encode, what it refuses."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.errors import BundleError
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.encode import PassageEncoder
from lurcher.index_builder.edit.encoded_texts import Encodes
from lurcher.index_builder.edit.follower import PATIENCE, Follower
from lurcher.index_builder.edit.merge_policy import WritePolicy
from lurcher.index_builder.edit.requests import Delete, Receipt, Upsert
from lurcher.index_builder.edit.snapshots import restore, snapshot
from lurcher.index_builder.edit.writer import Writer
from tests.killed import KilledError, kill_at

POLICY = WritePolicy(age=1e9)


def no_encoder(_: Bundle) -> Encodes:
    raise AssertionError("the writer has encoded it")


@pytest.fixture
def bundle(answering_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(answering_bundle, tmp_path / "docs.lurcher", copy_function=os.link))


@pytest.fixture
def open_writer(bundle: Path) -> Iterator[Callable[..., Writer]]:
    opened: list[Writer] = []

    def open_it(**how: object) -> Writer:
        opened.append(Writer.open(bundle, policy=POLICY, check_hashes=False, **how))  # type: ignore[arg-type]  # as given
        return opened[-1]

    yield open_it
    opened[-1].abandon()


def follower_of(bundle: Path, **how: object) -> Follower:
    given = {"policy": POLICY, "check_hashes": False, "load_encoder": no_encoder} | how
    return Follower.open(bundle, **given)  # type: ignore[arg-type]  # as given


def put(writer: Writer, **texts: str) -> None:
    (outcome,) = writer.commit([Upsert(tuple(Document(i, text) for i, text in texts.items()))])
    assert isinstance(outcome, Receipt)


def stored(bundle: Bundle) -> dict[str, tuple[object, ...]]:
    """All of each passage: text, vector, codes for the ranker and for the reader."""
    rows = bundle.passages.rows(())
    assert bundle.tokens is not None
    assert bundle.reading is not None
    found = {}
    for row, one in zip(rows, bundle.passages.get(rows.tolist()), strict=True):
        codes = [
            store.gather(rows[rows == row])[0].tobytes()
            for store in (bundle.tokens, bundle.reading)
        ]
        vector = bundle.vectors.vectors(rows[rows == row]).tobytes()
        found[one.id] = (one, vector, *codes)
    return found


def test_a_follower_has_all_that_the_writer_has_and_encodes_nothing(
    bundle: Path, open_writer: Callable[..., Writer]
) -> None:
    follower, writer = follower_of(bundle), open_writer()
    for step in (
        lambda: put(writer, a="a fox and a hare", b="bread"),
        lambda: put(writer, a="another fox"),
        lambda: writer.commit([Delete(("b", "en-food-0"))]),
        writer.flush,
        lambda: put(writer, c="a cat"),
        lambda: writer.compact(everything=True),
    ):
        step()
        assert follower.poll()
        assert (stored(follower.bundle), follower.sequence) == (
            stored(writer.bundle),
            writer.sequence,
        )
        assert not follower.poll()
    follower.abandon()


def test_a_follower_that_fell_behind_opens_the_newest_generation(
    bundle: Path, open_writer: Callable[..., Writer]
) -> None:
    writer = open_writer()
    put(writer, a="a fox")
    follower = follower_of(bundle)
    for text in ("one", "two", "three"):
        put(writer, a=text)
        writer.compact(everything=True)
    put(writer, b="after it")
    assert follower.poll()
    assert (stored(follower.bundle), follower.sequence) == (stored(writer.bundle), 5)
    follower.abandon()


def test_what_a_killed_writer_has_acknowledged_is_encoded_after_a_while(
    bundle: Path, open_writer: Callable[..., Writer]
) -> None:
    now = [0.0]
    follower = follower_of(
        bundle, load_encoder=lambda one: PassageEncoder.load(one, 1), clock=lambda: now[0]
    )
    writer = open_writer(fail_point=kill_at("follow: acknowledged"))
    with pytest.raises(KilledError):
        put(writer, a="a fox")
    assert not follower.poll()  # the writer may be encoding it
    now[0] = PATIENCE
    assert follower.poll()
    writer.abandon()
    again = open_writer()
    assert stored(follower.bundle) == stored(again.bundle)
    assert (follower.sequence, again.sequence) == (1, 1)
    follower.abandon()


def test_a_writer_that_opens_after_a_kill_does_not_encode_again(
    bundle: Path, open_writer: Callable[..., Writer]
) -> None:
    writer = open_writer()
    put(writer, a="a fox and a hare")
    before = stored(writer.bundle)
    writer.abandon()
    again = open_writer(load_encoder=no_encoder)
    assert stored(again.bundle) == before
    follower = follower_of(bundle)  # which has it from this writer
    assert stored(follower.bundle) == before
    follower.abandon()


def test_a_restored_copy_is_followed_by_its_log_alone(
    bundle: Path, open_writer: Callable[..., Writer], tmp_path: Path
) -> None:
    writer = open_writer()
    put(writer, a="a fox")
    snapshot(bundle, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "restored")
    follower = follower_of(
        tmp_path / "restored", load_encoder=lambda one: PassageEncoder.load(one, 1)
    )
    assert (stored(follower.bundle), follower.sequence) == (stored(writer.bundle), 1)
    follower.abandon()


def test_an_older_state_in_its_place_is_not_followed(
    bundle: Path, open_writer: Callable[..., Writer], tmp_path: Path
) -> None:
    writer = open_writer()
    old = (bundle / "manifest.json").read_bytes()
    put(writer, a="a fox")
    writer.flush()
    follower = follower_of(bundle)
    expected = stored(follower.bundle)
    (bundle / "manifest.json").write_bytes(old)
    with pytest.raises(BundleError, match=r"older state of it \(generation 1 after 2\)"):
        follower.poll()
    assert (stored(follower.bundle), follower.sequence) == (expected, 1)
    follower.abandon()


def test_it_says_whose_texts_have_changed(bundle: Path, open_writer: Callable[..., Writer]) -> None:
    writer = open_writer()
    put(writer, a="a fox", b="bread", c="clouds")
    follower = follower_of(bundle)
    follower.take_forgotten()
    put(writer, a="another fox", b="bread")
    writer.commit([Delete(("c",))])
    follower.poll()
    assert follower.take_forgotten() == {"a", "c"}
    assert follower.take_forgotten() == set()
    follower.abandon()


def test_reads_again_what_a_compaction_has_taken_away_meanwhile(
    bundle: Path, open_writer: Callable[..., Writer]
) -> None:
    writer, moments = open_writer(), list[str]()

    def compacts(moment: str) -> None:
        moments.append(moment)
        if len(moments) in (1, 3):
            put(writer, a=f"fox {len(moments)}")
            writer.compact(everything=True)

    follower = follower_of(bundle, fail_point=compacts)
    assert len(moments) == 2
    assert stored(follower.bundle) == stored(writer.bundle)
    put(writer, b="bread")
    writer.compact(everything=True)
    assert follower.poll()
    assert len(moments) == 4
    assert stored(follower.bundle) == stored(writer.bundle)
    assert not follower.poll()
    follower.abandon()
