"""Known queries of passages that change: they are of the text that was judged, unless asked to stay."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.verifying import verify
from lurcher.errors import LurcherError
from lurcher.feedback.log import FeedbackLog
from lurcher.feedback.records import Pair, Submission
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.requests import Delete, Patch, Request, Upsert
from lurcher.index_builder.edit.writer import Writer
from lurcher.index_builder.judged.from_log import known_from_log

NAMES = ("animals", "travel", "food", "earth", "music")
CHANGED, KEPT, PATCHED, GONE, BACK = (f"en-{name}-1" for name in NAMES)
NOW = 2e9


@pytest.fixture
def path(ticket_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ticket_bundle, tmp_path / "docs.lurcher"))


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    opened = Writer.open(path, now=lambda: NOW)
    yield opened
    opened.abandon()


def write(writer: Writer, *requests: Request) -> None:
    for outcome in writer.commit(requests):
        if isinstance(outcome, LurcherError):
            raise outcome


def change_all(writer: Writer) -> None:
    (back,) = writer.bundle.passages.of_document(BACK)
    write(
        writer,
        Upsert((Document(CHANGED, "another text"),)),
        Upsert((Document(KEPT, "a corrected text"),), keep_feedback=True),
        Patch({PATCHED: {"note": "new"}}),
        Delete((GONE,)),
        Delete((BACK,)),
    )
    write(writer, Upsert((Document(BACK, back.text, back.title, back.metadata),)))


def labelled(bundle: Bundle) -> set[str]:
    known = bundle.neighbours
    assert known is not None
    return {one.id for one in bundle.passages.get(known.rows.tolist())}


LOST = {CHANGED, GONE, BACK}


def test_labels_stay_with_the_text_they_were_given_for(writer: Writer) -> None:
    before = labelled(writer.bundle)
    assert {CHANGED, KEPT, PATCHED, GONE, BACK} <= before
    change_all(writer)
    assert labelled(writer.bundle) == before - LOST
    assert writer.take_forgotten() == LOST
    assert writer.take_forgotten() == set()
    path = writer.path
    writer.abandon()
    again = Writer.open(path)  # which reads the log
    assert labelled(again.bundle) == before - LOST
    again.flush()
    again.compact()
    assert labelled(again.bundle) == before - LOST
    again.compact(everything=True)
    assert labelled(again.bundle) == before - LOST
    again.recalibrate()
    assert labelled(again.bundle) == before - LOST
    again.abandon()
    opened = Bundle.open(path)
    assert labelled(opened) == before - LOST
    settings = opened.manifest.neighbours
    assert settings is not None
    assert settings.passages == len(before) - len(LOST)
    opened.close()
    assert verify(path) == []


def test_labels_that_are_lost_are_in_no_file_after_compaction(writer: Writer, path: Path) -> None:
    change_all(writer)
    writer.compact(everything=True)
    files = [one for one in (path / "neighbours").rglob("*") if one.is_file()]
    assert {one.relative_to(path).as_posix() for one in files} <= set(read_manifest(path).files)
    held = b"".join(one.read_bytes() for one in files)
    assert KEPT.encode() in held
    assert GONE.encode() not in held
    assert writer.compact(everything=True) is False


def test_a_bundle_that_loses_all_labels_has_no_known_queries(writer: Writer, path: Path) -> None:
    write(writer, Delete(tuple(labelled(writer.bundle))), Upsert((Document("new", "a fox"),)))
    writer.compact(everything=True)
    assert writer.bundle.neighbours is None
    writer.flush()
    assert read_manifest(path).neighbours is None
    assert not list((path / "neighbours").glob("*"))
    assert verify(path) == []


def test_a_log_is_adapted_without_what_was_judged_of_other_texts(
    writer: Writer, tmp_path: Path
) -> None:
    log, _ = FeedbackLog.open(tmp_path / "feedback.log")
    pairs = tuple(Pair("q", id_, 1.0) for id_ in (CHANGED, KEPT, PATCHED))
    log.append([Submission("c", NOW - 1, "before", pairs)])
    log.append([Submission("c", NOW + 1, "after", (Pair("later", CHANGED, 1.0),))])
    log.close()
    change_all(writer)
    known, _, last = known_from_log(tmp_path / "feedback.log", writer.bundle)
    assert {one.text: set(one.labels) for one in known} == {
        "q": {KEPT, PATCHED},
        "later": {CHANGED},
    }
    assert last == 2
