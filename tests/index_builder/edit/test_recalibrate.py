"""A bundle that learnt anew answers as a new build of the same passages, whenever it was killed before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import Manifest, read_manifest
from lurcher.bundle.verifying import verify
from lurcher.errors import FieldError
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.requests import Delete, Upsert
from lurcher.index_builder.edit.writer import Writer
from lurcher.index_builder.progress import Silent
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.killed import KilledError, kill_at
from tests.tiny import TinyOptions, build

ADDED = {
    f"new-{i}": f"{words} in the {place}, note {i}"
    for i, (words, place) in enumerate(
        (words, place)
        for words in ("the fox and the hare", "yeast and salt", "an oboe plays", "rain falls")
        for place in ("valley", "city", "morning")
    )
}
QUERIES = ["a fox in the valley", "why does bread rise", "Züge in der Stadt", "an oboe", "note 3"]


class Stages(Silent):
    """A reporter that notes the stages."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def stage(self, name: str, *_: object, **__: object) -> None:
        self.names.append(name)


def changed(source: Path, folder: Path, **how: Any) -> Writer:
    """A writer of a copy of ``source``, in whose files much has changed."""
    writer = Writer.open(shutil.copytree(source, folder / "docs.lurcher"), **how)
    gone = [f"fr-{name}-{i}" for name in ("food", "earth", "music") for i in range(4)]
    documents = [Document(id_, text, metadata={"kind": "new"}) for id_, text in ADDED.items()]
    for half in (documents[:5], documents[5:]):
        writer.commit([Upsert(tuple(half))])
        writer.flush()
    writer.commit([Delete((*gone, "new-3")), Upsert((Document("en-food-0", "bread and butter"),))])
    return writer


def rebuilt(bundle: Bundle, folder: Path, **options: Any) -> Path:
    """A new build of the passages of ``bundle``."""
    passages = bundle.passages.get(bundle.passages.rows(()).tolist())
    lines = [
        {"id": one.id, "title": one.title, "text": one.text, **one.metadata} for one in passages
    ]
    (folder / "state.jsonl").write_text("\n".join(map(json.dumps, lines)))
    build(folder / "state.jsonl", folder / "new.lurcher", TinyOptions(**options))
    return folder / "new.lurcher"


def answers(path: Path, **how: Any) -> list[list[tuple[str, Any]]]:
    """Ids and all scores of each query's hits."""
    with closing(Snapshot(Bundle.open(path), 1)) as snapshot:
        found = snapshot.run([Query(text, 30, **how) for text in QUERIES])
    assert all(isinstance(one, SearchResult) for one in found)
    return [[(hit.id, hit.scores) for hit in one.hits] for one in found]  # type: ignore[union-attr]  # as was seen


def stated(manifest: Manifest) -> dict[str, Any]:
    """What a build learns, as the manifest has it."""
    names = {"lexical", "tokens", "reading", "figures", "ranker", "swap"}
    return manifest.model_dump(include=names) | {"index": manifest.build.index}


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("answering_bundle", {"answers": True}),
        ("tokenless_bundle", {"tokens": None}),
        ("words_bundle", {"tokens": None, "vectors": False}),
    ],
)
def test_it_answers_as_a_new_build(
    source: str, options: dict[str, Any], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    built: Path = request.getfixturevalue(source)
    if source == "words_bundle":  # which takes no documents of another encoder's tokens
        writer = Writer.open(shutil.copytree(built, tmp_path / "docs.lurcher"))
        writer.commit([Delete(tuple(f"fr-food-{i}" for i in range(4)))])
    else:
        writer = changed(built, tmp_path)
    stages = Stages()
    writer.recalibrate(stages)
    new = rebuilt(writer.bundle, tmp_path, seed=1, **options)
    assert stated(read_manifest(writer.path)) == stated(read_manifest(new))
    assert answers(writer.path) == answers(new)
    assert verify(writer.path) == []
    assert ("encoding" in stages.names) == ("answers" in options)
    assert len(writer.bundle.segments) == 1
    assert not list(writer.path.glob("recalibration-*"))
    files = {f.relative_to(writer.path).as_posix() for f in writer.path.rglob("*") if f.is_file()}
    assert files - set(read_manifest(writer.path).files) == {
        "manifest.json", "wal/lock", *(f for f in files if f.startswith("wal/0"))
    }  # fmt: skip
    writer.close()


def test_what_is_written_afterwards_is_scored_by_what_was_learnt(
    small_bundle: Path, tmp_path: Path
) -> None:
    writer = changed(small_bundle, tmp_path)
    writer.recalibrate()
    before = answers(writer.path)
    writer.commit([Upsert((Document("twin", ADDED["new-0"], metadata={"kind": "new"}),))])
    writer.compact(everything=True)
    found = dict(answers(writer.path)[0])
    assert found["twin"] == found["new-0"]
    # What words count beside vectors depends on how many passages have them now.
    for score in ("dense", "lexical", "maxsim"):
        assert found["twin"][score] == dict(before[0])["new-0"][score]
    writer.recalibrate()
    generation = writer.bundle.manifest.generation
    assert [f.parent.name for f in (writer.path / "tokens").rglob("*.npz")] == [f"{generation:06}"]
    writer.close()


def test_a_graph_of_codes_is_encoded_anew_and_keeps_its_recall(
    build_once: Callable[..., Path], tmp_path: Path
) -> None:
    source = build_once("graph", seed=1, index="HNSW8_SQ8", tokens=None)
    writer, stages = changed(source, tmp_path), Stages()
    writer.recalibrate(stages)
    new = rebuilt(writer.bundle, tmp_path, seed=1, index="HNSW8_SQ8", tokens=None)
    assert "encoding" in stages.names
    assert stated(read_manifest(writer.path)) == stated(read_manifest(new))
    assert answers(writer.path) == answers(new)
    writer.close()


PLACES = (
    "token coder: written", "tokens.idx: entries written", "recalibration: placed", "generation: written",
    "generation: renamed",
)  # fmt: skip


def test_a_kill_leaves_what_was_and_the_next_try_goes_on(
    small_bundle: Path, tmp_path: Path
) -> None:
    reached: list[str] = []
    writer = changed(small_bundle, tmp_path, fail_point=reached.append)
    writer.flush()
    path = writer.path
    writer.abandon()
    shutil.copytree(path, tmp_path / "before.lurcher")
    before = answers(path)
    writer = Writer.open(path, fail_point=reached.append)
    reached.clear()
    writer.recalibrate()
    expected = answers(path)
    writer.close()
    shutil.rmtree(path)
    shutil.copytree(tmp_path / "before.lurcher", path)
    assert set(PLACES) <= set(reached)
    for place in PLACES:
        writer, stages = Writer.open(path, fail_point=kill_at(place)), Stages()
        with pytest.raises(KilledError):
            writer.recalibrate(stages)
        writer.abandon()
        if place != PLACES[-1]:
            assert answers(path) == before
            assert ("reading" in stages.names) == (place == PLACES[0])  # the others go on
            assert ("encoding" in stages.names) == (place in PLACES[1:3])
    assert answers(path) == expected
    Writer.open(path).close()
    assert verify(path) == []
    assert not list(path.glob("recalibration-*"))


def test_nothing_teaches_nothing(small_bundle: Path, tmp_path: Path) -> None:
    writer = Writer.open(shutil.copytree(small_bundle, tmp_path / "docs.lurcher"))
    rows = writer.bundle.passages.rows(()).tolist()
    writer.commit([Delete(tuple(one.id for one in writer.bundle.passages.get(rows)))])
    with pytest.raises(FieldError, match="no passage to learn from"):
        writer.recalibrate()
    writer.close()
