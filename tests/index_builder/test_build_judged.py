"""``lurcher build --qrels``: a bundle that knows queries from the start."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.verifying import verify
from lurcher.errors import BundleError, FieldError
from lurcher.index_builder.adapt import adapt, read_sources
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from tests.index_builder.test_resume import Recorder
from tests.tiny import TinyOptions, build

Write = Callable[[Path, Iterable[Any]], Path]


@pytest.fixture
def judged(small_records: list[dict[str, Any]], write_jsonl: Write, tmp_path: Path) -> Judged:
    """For each record of the corpus one question, which has nothing to do with its text."""
    queries = [
        {"_id": f"q{i}", "text": f"ticket number {i * 7919}"} for i in range(len(small_records))
    ]
    lines = [f"q{i}\t{record['id']}\t1\n" for i, record in enumerate(small_records)]
    qrels = tmp_path / "known.tsv"
    qrels.write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return read_sources((write_jsonl(tmp_path / "queries.jsonl", queries), qrels))


def test_a_build_with_judgements_is_a_build_and_an_adaptation(
    small_corpus: Path, small_bundle: Path, judged: Judged, tmp_path: Path
) -> None:
    out = tmp_path / "out.lurcher"
    manifest = build(small_corpus, out, TinyOptions(seed=1, judged=judged))
    assert verify(out) == []
    assert read_manifest(out).neighbours == manifest.neighbours
    _, adapted = adapt(small_bundle, judged, NeighbourOptions(), tmp_path / "adapted.lurcher")
    assert manifest.neighbours is not None
    assert adapted.neighbours is not None
    when = {"judged"}
    found, wanted = (
        one.model_dump(exclude=when) for one in (manifest.neighbours, adapted.neighbours)
    )
    assert found == wanted
    own = {path: f.sha256 for path, f in manifest.files.items() if path.startswith("neighbours/")}
    assert own == {p: f.sha256 for p, f in adapted.files.items() if p.startswith("neighbours/")}
    with closing(Bundle.open(out)) as bundle:
        assert bundle.neighbours is not None
        assert bundle.neighbours.texts.get([0])[0].text == "ticket number 0"


def test_judgements_of_another_corpus_fail_before_anything_is_encoded(
    small_corpus: Path, judged: Judged, tmp_path: Path
) -> None:
    recorder = Recorder()
    judged.known[0].labels["nowhere"] = 1.0
    with pytest.raises(FieldError, match="qrels: 1 of 61 judged passages are not in the bundle"):
        build(small_corpus, tmp_path / "out.lurcher", TinyOptions(judged=judged), recorder)
    assert set(recorder.stages) == {"reading"}
    assert not (tmp_path / "out.lurcher").exists()


def test_a_rerun_goes_on_with_judgements_that_fit(
    small_corpus: Path, judged: Judged, tmp_path: Path
) -> None:
    """What was encoded when the judgements, or the disk, gave up is kept."""
    out = tmp_path / "out.lurcher"

    def full_disk(place: str) -> None:
        if place == "known queries: begun":
            raise OSError(28, "No space left on device")

    with pytest.raises(BundleError, match="No space left on device"):
        build(small_corpus, out, TinyOptions(judged=judged), fail_point=full_disk)
    left = json.loads((tmp_path / "out.lurcher.partial" / "build.json").read_text())
    assert left["vectors"].startswith("done")
    manifest = build(small_corpus, out, TinyOptions())
    assert manifest.neighbours is None
    assert verify(out) == []
    assert not [file for file in manifest.files if file.startswith("neighbours/")]
