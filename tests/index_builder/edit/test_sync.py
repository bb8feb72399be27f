"""A bundle made equal to a corpus, and copied: what differs is written, and nothing else is encoded."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import MANIFEST
from lurcher.bundle.verifying import verify
from lurcher.errors import BundleError, CorpusError, FieldError
from lurcher.index_builder.corpus import read_corpus
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.encode import Encoded, PassageEncoder
from lurcher.index_builder.edit.requests import Delete, Patch, Upsert
from lurcher.index_builder.edit.snapshots import restore, snapshot
from lurcher.index_builder.edit.sync import Done, take_in
from lurcher.index_builder.edit.writer import Writer
from lurcher.index_builder.progress import Silent
from tests.tiny import TinyOptions, build

LONG = " ".join(f"Sentence {i} tells of a fox." for i in range(20))
RECORDS: list[dict[str, Any]] = [
    {"id": "a", "text": LONG, "kind": "long"},
    *({"id": f"s{i}", "text": f"Note {i} about a hare.", "n": i} for i in range(6)),
]


def write(corpus: Path, records: Sequence[dict[str, Any]]) -> Path:
    corpus.write_text("".join(f"{json.dumps(one)}\n" for one in records))
    return corpus


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build(write(folder / "c.jsonl", RECORDS), folder / "c.lurcher", TinyOptions(window=30))
    return folder / "c.lurcher"


@pytest.fixture
def bundle(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "c.lurcher"))


class Counting(PassageEncoder):
    encoded: list[str]

    def encode(self, passages: Any, sources: Any, advance: Any = str) -> Encoded:
        self.encoded.extend(one.id for one in passages)
        return super().encode(passages, sources, advance)


def synced(bundle: Path, corpus: Path, delete_others: bool = True) -> tuple[Done, list[str]]:
    """What was done, and the passages that were encoded."""
    Counting.encoded = []
    with closing(Writer.open(bundle, load_encoder=lambda one: Counting.load(one, 1))) as writer:
        done = take_in(writer, read_corpus(corpus), Silent(), delete_others)
    return done, Counting.encoded


def content(bundle: Path) -> dict[str, tuple[str, Any]]:
    with closing(Bundle.open(bundle)) as opened:
        rows = opened.passages.rows(()).tolist()
        return {one.id: (one.text, one.metadata) for one in opened.passages.get(rows)}


def test_a_corpus_that_did_not_change_writes_nothing(bundle: Path, tmp_path: Path) -> None:
    before = (bundle / MANIFEST).read_bytes()
    done, encoded = synced(bundle, write(tmp_path / "c.jsonl", RECORDS))
    assert (done, encoded) == (Done(unchanged=7), [])
    assert (bundle / MANIFEST).read_bytes() == before


def test_what_changed_is_written_and_what_is_gone_deleted(bundle: Path, tmp_path: Path) -> None:
    changed = [
        {"id": "a", "text": f"{LONG} The end.", "kind": "long"},
        {"id": "s0", "text": "Note 0 about a hare.", "n": 7},  # metadata alone
        *RECORDS[3:],
        {"id": "new", "text": "A wolf."},
    ]
    corpus = write(tmp_path / "c.jsonl", changed)
    done, encoded = synced(bundle, corpus)
    assert done == Done(written=3, unchanged=4, deleted=1)
    assert "new" in encoded
    assert {one.partition("#")[0] for one in encoded} == {"a", "new"}
    with closing(Bundle.open(bundle)) as opened:
        assert 0 < len(encoded) - 1 < len(opened.passages.of_document("a"))
    fresh = tmp_path / "fresh.lurcher"
    build(corpus, fresh, TinyOptions(window=30))
    assert content(bundle) == content(fresh)
    assert synced(bundle, corpus) == (Done(unchanged=7), [])
    assert verify(bundle) == []


def test_what_was_patched_or_deleted_comes_back_without_encoding_the_rest(
    bundle: Path, tmp_path: Path
) -> None:
    before = content(bundle)
    with closing(Writer.open(bundle)) as writer:
        writer.commit(
            [Patch({"s1": {"n": "patched"}}), Delete(("s2", "a#2")), Upsert((Document("x", "y"),))]
        )
    corpus = write(tmp_path / "c.jsonl", RECORDS)
    assert synced(bundle, corpus, delete_others=False) == (
        Done(written=3, unchanged=4),
        ["a#2", "s2"],
    )
    assert content(bundle) == {**before, "x": ("y", {})}
    assert synced(bundle, corpus)[0].deleted == 1
    assert content(bundle) == before


def test_a_bad_record_ends_it_before_anything_is_deleted(bundle: Path, tmp_path: Path) -> None:
    corpus = write(tmp_path / "c.jsonl", [{"id": "s1", "text": "Another text."}, {"text": "x"}])
    with pytest.raises(CorpusError, match="line 2: id is missing"):
        synced(bundle, corpus)
    assert len(content(bundle)) > 6
    twice = write(tmp_path / "t.jsonl", [{"id": "s1", "text": "a"}, {"id": "s1", "text": "b"}])
    with pytest.raises(CorpusError, match="used before"):
        synced(bundle, twice)


def test_a_bundle_of_an_older_format_is_written_and_becomes_a_newer_one(
    bundle: Path, tmp_path: Path
) -> None:
    with closing(Bundle.open(bundle)) as opened:
        database = bundle / "segments/000000/passages.db"
        manifest = opened.manifest
    assert manifest.build.split is not None
    assert (manifest.build.split.window, manifest.generation) == (30, 1)
    done, _ = synced(bundle, write(tmp_path / "c.jsonl", RECORDS[:-1]))
    assert done.deleted == 1
    with closing(Bundle.open(bundle)) as opened:
        assert (opened.manifest.generation, opened.manifest.sequence) == (2, 1)
    assert database.exists()


@pytest.mark.parametrize("name", ["copy.lurcher", "copy.tar"])
def test_a_copy_has_the_log_too_and_is_restored(bundle: Path, tmp_path: Path, name: str) -> None:
    writer = Writer.open(bundle)
    writer.commit([Upsert((Document("flushed", "A lynx."),))])
    writer.flush()
    writer.commit([Upsert((Document("logged", "An owl."),)), Delete(("s1",))])
    snapshot(bundle, tmp_path / name)
    writer.commit([Upsert((Document("later", "A crow."),))])
    writer.compact(everything=True)
    writer.close()
    restored = tmp_path / "restored.lurcher"
    restore(tmp_path / name, restored)
    assert verify(restored) == []
    with closing(Writer.open(restored)) as again:
        assert again.bundle.passages.rows_of(["flushed", "logged"]).keys() == {"flushed", "logged"}
        assert again.bundle.passages.rows_of(["s1", "later"]) == {}
    if name == "copy.lurcher":
        shared = [f for f in (tmp_path / name).rglob("encoder.onnx") if f.stat().st_nlink > 1]
        assert shared


def test_what_is_no_copy_is_refused_and_leaves_nothing(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(FieldError, match="exists"):
        snapshot(bundle, bundle)
    for name, said in [("text.tar", "not a file that"), ("empty.tar", "no copy of a bundle")]:
        (tmp_path / name).write_text("text")
        if name == "empty.tar":
            tarfile.open(tmp_path / name, "w").close()
        with pytest.raises(BundleError, match=said):
            restore(tmp_path / name, tmp_path / "out.lurcher")
    snapshot(bundle, tmp_path / "c.tar")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(tmp_path / "text.tar", "c.lurcher/../../evil")
    with pytest.raises(BundleError, match="nothing that a snapshot has"):
        restore(tmp_path / "evil.tar", tmp_path / "out.lurcher")
    raw = bytearray((tmp_path / "c.tar").read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "c.tar").write_bytes(raw)
    with pytest.raises(BundleError):
        restore(tmp_path / "c.tar", tmp_path / "out.lurcher")
    assert not list(tmp_path.glob("*out.lurcher*"))
