"""A bundle that is written: what is there afterwards, in memory, on the disk and after a restart."""

from __future__ import annotations

import errno
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.verifying import verify
from lurcher.errors import BundleError, FieldError, VersionConflict
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.encode import PassageEncoder
from lurcher.index_builder.edit.requests import Delete, Patch, Receipt, Sender, Upsert, version_of
from lurcher.index_builder.edit.writer import Outcome, Writer
from tests.killed import KilledError, kill_at
from tests.tiny import TinyOptions, build


@pytest.fixture
def bundle(small_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_bundle, tmp_path / "docs.lurcher"))


@pytest.fixture
def writer(bundle: Path) -> Iterator[Writer]:
    opened = Writer.open(bundle)
    yield opened
    opened.close()


def done(outcome: Outcome) -> Receipt:
    if not isinstance(outcome, Receipt):
        raise outcome
    return outcome


def put(writer: Writer, **texts: str) -> Receipt:
    return done(writer.commit([Upsert(tuple(Document(i, text) for i, text in texts.items()))])[0])


def delete(writer: Writer, *ids: str) -> Receipt:
    return done(writer.commit([Delete(ids)])[0])


def texts(bundle: Bundle) -> dict[str, str]:
    rows = bundle.passages.rows(())
    return {one.id: one.text for one in bundle.passages.get(rows.tolist())}


def test_a_write_is_there_at_once_and_after_a_restart(bundle: Path) -> None:
    writer = Writer.open(bundle)
    before = texts(writer.bundle)
    assert put(writer, a="a fox", b="a hare") == Receipt(1, upserted=2, added=2)
    put(writer, a="another fox")
    delete(writer, "b", "en-food-0")
    expected = {**before, "a": "another fox"}
    del expected["en-food-0"]
    assert texts(writer.bundle) == expected
    writer.abandon()  # as a kill would
    again = Writer.open(bundle)
    assert (texts(again.bundle), again.sequence) == (expected, 3)
    again.close()
    opened = Bundle.open(bundle)
    assert texts(opened) == expected
    assert len(opened.segments) == 2
    opened.close()
    assert verify(bundle) == []
    assert [one.name for one in (bundle / "wal").glob("*.log")] == ["000000000003.log"]


def test_a_replaced_document_keeps_what_did_not_change_and_encodes_the_rest(
    tmp_path: Path, split_bundle: Path
) -> None:
    bundle = Path(shutil.copytree(split_bundle, tmp_path / "docs.lurcher"))
    encoded: list[str] = []

    class Counting(PassageEncoder):
        def encode(self, passages, sources, advance=str):  # type: ignore[no-untyped-def]  # as it is
            encoded.extend(one.id for one in passages)
            return super().encode(passages, sources, advance)

    writer = Writer.open(bundle, load_encoder=lambda one: Counting.load(one, 1))
    before = writer.bundle.passages.of_document("long")
    text = SENTENCES + " One more sentence stands at the end of it."
    receipt = done(writer.commit([Upsert((Document("long", text),))])[0])
    after = writer.bundle.passages.of_document("long")
    assert [one.start for one in after] == sorted(one.start for one in after)
    changed = {p.id for p in after if p.content not in {b.content for b in before}}
    assert set(encoded) == changed < {one.id for one in after}
    assert (receipt.removed, receipt.added) == (len(before), len(after))
    encoded.clear()
    writer.commit([Patch({"long": {"colour": "red"}})])
    assert {one.metadata["colour"] for one in writer.bundle.passages.of_document("long")} == {"red"}
    assert encoded == []
    writer.close()


SENTENCES = " ".join(f"Sentence number {i} is about foxes and hares." for i in range(30))


@pytest.fixture(scope="module")
def split_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split")
    lines = [{"id": "long", "text": SENTENCES}, {"id": "short", "text": "A cat."}]
    (folder / "c.jsonl").write_text("\n".join(map(json.dumps, lines)))
    build(folder / "c.jsonl", folder / "c.lurcher", TinyOptions(window=40))
    return folder / "c.lurcher"


def test_ids_of_another_document_are_refused(tmp_path: Path, split_bundle: Path) -> None:
    writer = Writer.open(Path(shutil.copytree(split_bundle, tmp_path / "docs.lurcher")))
    for documents, field, said in [
        ([Document("long#2", "x")], "records.0.id", "a passage of 'long'"),
        ([Document("x", "y"), Document("x", "z")], "records.1.id", "records.0"),
        ([Document("new", SENTENCES), Document("new#1", "x")], "records.1.id", "'new#1'"),
    ]:
        (outcome,) = writer.commit([Upsert(tuple(documents))])
        assert isinstance(outcome, FieldError)
        assert outcome.field == field
        assert said in outcome.reason
    assert writer.sequence == 0
    writer.close()


def test_requests_of_one_commit_see_those_before_them(writer: Writer) -> None:
    a, b = Document("a", "one"), Document("a", "two", metadata={"n": 1})
    outcomes = writer.commit(
        [
            Upsert((a,)),
            Upsert((b,)),
            Patch({"a": {"n": 2}}),
            Delete(("b",)),
            Delete(("a",)),
            Delete(("a",)),
        ]
    )
    receipts = [done(one) for one in outcomes]
    assert [(r.added, r.removed, r.patched, r.unknown) for r in receipts] == [
        (1, 0, 0, ()), (1, 1, 0, ()), (0, 0, 1, ()), (0, 0, 0, ("b",)), (0, 1, 0, ()), (0, 0, 0, ("a",)),
    ]  # fmt: skip
    assert [r.sequence for r in receipts] == [1, 2, 3, 3, 4, 4]


def test_a_version_must_be_the_one_there_is(writer: Writer) -> None:
    put(writer, a="one")
    (passage,) = writer.bundle.passages.of_document("a")
    version = {"a": version_of([passage])}
    assert done(writer.commit([Upsert((Document("a", "two"),), version)])[0]).upserted == 1
    stale = [
        Upsert((Document("a", "x"),), version),
        Delete(("a",), versions=version),
        Patch({"a": {}}, version),
    ]
    for outcome in writer.commit(stale):
        assert isinstance(outcome, VersionConflict)
    assert [p.text for p in writer.bundle.passages.of_document("a")] == ["two"]


def test_a_key_stands_for_one_request_also_after_a_flush_and_a_restart(bundle: Path) -> None:
    sender = Sender("me", "key", "digest")
    writer = Writer.open(bundle)
    first = done(writer.commit([Upsert((Document("a", "one"),), sender=sender)])[0])
    delete(writer, "a")
    writer.close()
    writer = Writer.open(bundle)
    assert done(writer.commit([Upsert((Document("a", "one"),), sender=sender)])[0]) == first
    other = Upsert((Document("a", "two"),), sender=Sender("me", "key", "other"))
    (refused,) = writer.commit([other])
    assert isinstance(refused, FieldError)
    assert writer.bundle.passages.rows_of(["a"]) == {}
    writer.abandon()


def test_what_was_deleted_is_in_no_file_after_compaction(bundle: Path) -> None:
    secret = "Zyzzyxquark"  # noqa: S105 (a word that no other text has)
    writer = Writer.open(bundle)
    put(writer, hidden=f"the word is {secret} and nobody else says it", kept="a fox")
    writer.flush()
    put(writer, more=f"again {secret}")
    delete(writer, "hidden", "more")
    before = writer.bundle.lexical
    assert before is not None
    terms = before.analyser.query_terms(f"fox {secret}")
    scores = before.scores(before.look_up(terms), writer.bundle.passages.rows(()))
    writer.compact(everything=True)
    after = writer.bundle.lexical
    assert after is not None
    assert sorted(after.scores(after.look_up(terms), writer.bundle.passages.rows(()))) == sorted(
        scores
    )
    writer.close()
    files = [one for one in bundle.rglob("*") if one.is_file()]
    assert not [one for one in files if secret.lower().encode() in one.read_bytes().lower()]
    assert verify(bundle) == []


def test_a_document_is_in_order_though_a_part_of_it_was_written_again(
    tmp_path: Path, split_bundle: Path
) -> None:
    bundle = Path(shutil.copytree(split_bundle, tmp_path / "docs.lurcher"))
    with closing(Writer.open(bundle)) as writer:
        put(writer, a=" ".join(f"word{i}" for i in range(60)))
        writer.flush()
        before = [one.id for one in writer.bundle.passages.of_document("a")]
        assert len(before) > 2
        done(writer.commit([Patch({before[0]: {"size": 1}})])[0])
        writer.compact(everything=True)
        assert [one.id for one in writer.bundle.passages.of_document("a")] == before


@pytest.mark.parametrize("everything", [True, False])
def test_a_bundle_may_lose_everything_and_gain_again(bundle: Path, everything: bool) -> None:
    writer = Writer.open(bundle)
    delete(writer, *texts(writer.bundle))
    writer.flush()
    assert writer.compact(everything)
    assert not writer.compact(everything)
    writer.close()
    with closing(Writer.open(bundle)) as writer:
        assert texts(writer.bundle) == {}
        put(writer, a="a fox")
    opened = Bundle.open(bundle)
    assert texts(opened) == {"a": "a fox"}
    opened.close()


def test_a_full_disk_leaves_all_as_it_was(bundle: Path) -> None:
    reached: list[str] = []
    left = [10**6]

    def fail_point(name: str) -> None:
        reached.append(name)
        left[0] -= 1
        if left[0] < 0 and not name.startswith("wal: append"):
            left[0] = 10**6
            raise OSError(errno.ENOSPC, "No space left on device")

    writer = Writer.open(bundle, fail_point=fail_point)
    put(writer, a="a fox")
    delete(writer, "en-food-0")
    writer.flush()
    steps = len(reached)
    for step in range(steps):
        put(writer, **{f"n{step}": f"number {step}"})
        delete(writer, f"n{step - 1}")
        expected = texts(writer.bundle)
        left[0] = step
        with suppress(BundleError):
            writer.flush()
            writer.compact(everything=True)
        left[0] = 10**6
        assert texts(writer.bundle) == expected
    writer.close()
    opened = Bundle.open(bundle)
    assert texts(opened) == expected
    opened.close()
    assert verify(bundle) == []


def test_a_compaction_keeps_the_log_of_a_flush_that_was_killed(bundle: Path) -> None:
    writer = Writer.open(bundle)
    delete(writer, *[id_ for id_ in texts(writer.bundle) if id_.startswith("fr")])
    writer.flush()
    writer.abandon()
    place = ["not yet"]
    killed = Writer.open(bundle, fail_point=lambda reached: kill_at(place[0])(reached))
    put(killed, a="a fox")
    place[0] = "wal: file begun"
    with pytest.raises(KilledError):
        killed.flush()
    killed.abandon()
    writer = Writer.open(bundle)
    assert writer.compact()  # a third of the build's segment is deleted
    writer.abandon()
    writer = Writer.open(bundle)
    assert texts(writer.bundle)["a"] == "a fox"
    writer.close()


def test_a_compaction_lets_writes_go_on_and_keeps_their_deletions(bundle: Path) -> None:
    writer = Writer.open(bundle)
    put(writer, a="a fox", b="a hare", c="a wolf")
    writer.flush()
    work = writer.begin_compaction(everything=True)
    assert work is not None
    work.write()
    delete(writer, "a", "fr-food-1")
    put(writer, b="another hare", d="a dog")
    writer.flush()
    expected = texts(writer.bundle)
    writer.finish_compaction(work)
    assert texts(writer.bundle) == expected
    assert len(writer.bundle.segments) == 2
    writer.abandon()
    opened = Bundle.open(bundle)
    assert texts(opened) == expected
    opened.close()


def test_a_second_writer_is_refused_with_who_holds_the_bundle(bundle: Path, writer: Writer) -> None:
    with pytest.raises(
        FieldError, match=r"is being written by process \d+ \(.*\); a bundle has one writer"
    ):
        Writer.open(bundle)


def test_a_bundle_without_vectors_is_written_too(words_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(words_bundle, tmp_path / "words.lurcher"))
    writer = Writer.open(bundle)
    (outcome,) = writer.commit([Upsert((Document("a", "b"),))])
    assert "the tokens of an encoder that is not in it" in str(outcome)
    delete(writer, "en-food-0")
    assert "en-food-0" not in texts(writer.bundle)
    writer.close()
    assert verify(bundle) == []


def test_a_bundle_opens_while_another_generation_takes_its_place(bundle: Path) -> None:
    writer = Writer.open(bundle)
    done_opening = threading.Event()

    def write() -> None:
        number = 0
        while not done_opening.is_set():
            put(writer, a=f"number {number}", **{f"n{number}": "one more"})
            writer.flush()
            writer.compact(everything=number % 2 == 0)
            number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(15):
            opened = Bundle.open(bundle)
            assert len(texts(opened)) == opened.passages.count
            opened.close()
    finally:
        done_opening.set()
        thread.join()
        writer.close()
