"""A corpus goes in and a bundle comes out; or an error, and nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.verifying import verify
from lurcher.errors import CorpusError, FieldError, ModelNotFound
from lurcher.index_builder.build import skipped_file
from lurcher.index_builder.workspace import Workspace
from lurcher.models.encoders.encoder import Encoder
from tests.tiny import TINY, TinyOptions, build

Write = Callable[[Path, Iterable[Any]], Path]
GOOD = [{"id": "a", "text": "A cat sleeps."}, {"id": "b", "text": "Bread rises."}]


def nothing_left(out: Path) -> bool:
    """Whether neither the bundle nor anything of its making is there."""
    return not [p.name for p in out.parent.iterdir() if p.name.startswith(out.name)]


def test_a_bundle_holds_its_corpus(small_bundle: Path, small_records: list[dict[str, Any]]) -> None:
    with closing(Bundle.open(small_bundle)) as bundle:
        rows = range(bundle.passages.count)
        for passage, record in zip(bundle.passages.get(rows), small_records, strict=True):
            own = {"id": passage.id, "title": passage.title, "text": passage.text}
            assert own | passage.metadata == record


def test_the_vectors_are_those_of_title_and_text(
    small_bundle: Path, small_records: list[dict[str, Any]]
) -> None:
    encoder = Encoder.load(TINY, "passage", 1)
    with closing(Bundle.open(small_bundle)) as bundle:
        for row in (0, 31, 59):
            record = small_records[row]
            vector = encoder.encode([f"{record['title']} {record['text']}"])
            scores, rows = bundle.vectors.search(vector, 1)
            assert rows.tolist() == [[row]]
            assert scores[0, 0] > 0.9999


def test_the_manifest_says_what_was_built(small_bundle: Path) -> None:
    manifest = read_manifest(small_bundle)
    assert manifest.name == "small"
    build = manifest.build.model_dump()
    assert build.pop("engine") in ("native", "onnxruntime")
    assert build.pop("engine_reason")
    assert build.pop("split")["overlap"] == 25
    assert build == {
        "corpus": "small.jsonl", "index": "Flat", "recall_target": 0.98, "seed": 1,
        "preset": "prose", "chosen": ["index", "language", "preset"],
    }  # fmt: skip
    figures = manifest.figures.model_dump()
    assert -1 <= figures.pop("lexical_gain") <= 1  # see test_lexical_gain
    assert figures == {
        "empty_passages": 0, "truncated_passages": 0, "skipped_records": 0,
        "search_effort": None, "recall_at_100": 1.0, "recall_queries": 60,
        "code_share": 0.0,
    }  # fmt: skip
    assert [s.model_dump(exclude_defaults=True) for s in manifest.segments] == [
        {"name": "000000", "passages": 60}
    ]


def test_a_build_leaves_nothing_beside_the_bundle(
    small_corpus: Path, out: Path, tmp_path: Path
) -> None:
    manifest = build(small_corpus, out)
    assert [p.name for p in tmp_path.iterdir()] == ["out.lurcher"]
    assert read_manifest(out).model_copy(update={"checksum": manifest.checksum}) == manifest


def test_any_factory_string_may_be_asked_for(small_corpus: Path, out: Path) -> None:
    manifest = build(small_corpus, out, TinyOptions(index="HNSW8_SQ8"))
    assert manifest.build.index == "HNSW8_SQ8"
    assert manifest.figures.search_effort is not None
    assert manifest.figures.recall_at_100 >= 0.98
    assert verify(out) == []


# Bad corpora. Each is one line after two good ones.


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": "a", "text": "again"}', "id 'a' was used before; ids must be unique"),
        ("{not json", "not valid JSON"),
        ('"only a string"', "a line must hold a JSON object"),
        ('{"text": "no id"}', "id is missing"),
        ('{"id": "c"}', "text is missing"),
        ('{"id": 1.5, "text": "t"}', "id is a float"),
        ('{"id": true, "text": "t"}', "id is a boolean"),
        ('{"id": ["c"], "text": "t"}', "id is a list"),
        ('{"id": "", "text": "t"}', "id is empty"),
        ('{"id": "c", "text": 7}', "text is an integer"),
        (r'{"id": "c", "text": "\ud800"}', "text holds a lone surrogate"),
        (r'{"id": "c", "text": "t", "f": "\udfff"}', "lone surrogate"),
    ],
)
def test_a_bad_record_is_an_error_with_file_line_and_reason(
    tmp_path: Path, out: Path, write_jsonl: Write, line: str, reason: str
) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", GOOD)
    with corpus.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(CorpusError, match=reason) as caught:
        build(corpus, out)
    assert (caught.value.file, caught.value.line) == (corpus, 3)
    assert nothing_left(out)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_corpus_without_a_passage_is_an_error(tmp_path: Path, out: Path, content: str) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(content)
    with pytest.raises(CorpusError, match="no passage in it"):
        build(corpus, out)
    assert nothing_left(out)


def test_a_corpus_that_does_not_exist_is_an_error(tmp_path: Path, out: Path) -> None:
    with pytest.raises(CorpusError, match="No such file") as caught:
        build(tmp_path / "nothing.jsonl", out)
    assert caught.value.file == tmp_path / "nothing.jsonl"
    assert nothing_left(out)


def test_a_bad_record_far_behind_good_ones_leaves_nothing_either(
    tmp_path: Path, out: Path, write_jsonl: Write
) -> None:
    many = [{"id": i, "text": "t"} for i in range(3_000)]
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [*many, {"id": 7, "text": "again"}])
    with pytest.raises(CorpusError, match="line 3001: id '7' was used before"):
        build(corpus, out)
    assert nothing_left(out)


# What else may be wrong.


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda p: p.symlink_to("nowhere")])
def test_an_output_that_exists_is_left_alone(
    small_corpus: Path, out: Path, make: Callable[[Path], None]
) -> None:
    make(out)
    with pytest.raises(FieldError, match="exists; remove it first"):
        build(small_corpus, out)
    assert [p.name for p in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize("name", [".", "/"])
def test_a_folder_without_a_name_exists_too(small_corpus: Path, name: str) -> None:
    with pytest.raises(FieldError, match="exists; remove it first"):
        build(small_corpus, Path(name))


def test_an_output_that_cannot_be_made_is_an_error(small_corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "out.lurcher", tmp_path / ("long" * 100)):
        with pytest.raises(FieldError, match="out: cannot write"):
            build(small_corpus, out)


def test_folders_above_the_output_are_made(tmp_path: Path, write_jsonl: Write) -> None:
    out = tmp_path / "a" / "b" / "out.lurcher"
    build(write_jsonl(tmp_path / "corpus.jsonl", GOOD), out)
    assert read_manifest(out).passages == 2


def test_a_factory_string_is_refused_before_anything_is_read(small_corpus: Path, out: Path) -> None:
    with pytest.raises(FieldError, match="FAISS does not know 'nonsense'"):
        build(small_corpus, out, TinyOptions(index="nonsense"))
    assert nothing_left(out)


def test_a_missing_encoder_is_an_error(small_corpus: Path, out: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        build(small_corpus, out, TinyOptions(encoder=tmp_path / "none"))
    assert nothing_left(out)


@pytest.mark.parametrize("recall", [0, -0.5, 1.01])
def test_the_wanted_recall_is_a_share(recall: float) -> None:
    with pytest.raises(FieldError, match="recall: must be above 0 and at most 1"):
        TinyOptions(recall=recall)


def test_a_second_build_of_the_same_output_is_refused(small_corpus: Path, out: Path) -> None:
    first = Workspace(out)
    try:
        with pytest.raises(FieldError, match="another process is building"):
            build(small_corpus, out)
    finally:
        first.close()
    assert build(small_corpus, out).passages == 60


# Bad records set aside.


def test_bad_records_are_set_aside_and_counted(
    tmp_path: Path, out: Path, write_jsonl: Write
) -> None:
    bad = [{"id": "a", "text": "again"}, {"text": "no id"}]
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [GOOD[0], *bad, GOOD[1]])
    manifest = build(corpus, out, TinyOptions(skip_bad_lines=True))
    assert manifest.figures.skipped_records == 2
    assert manifest.passages == 2
    lines = [json.loads(line) for line in skipped_file(out).read_text().splitlines()]
    assert [(line["file"], line["line"]) for line in lines] == [(str(corpus), 2), (str(corpus), 3)]
    assert ["used before" in lines[0]["reason"], "missing" in lines[1]["reason"]] == [True, True]
    assert json.loads(lines[1]["raw"]) == bad[1]


def test_without_bad_records_nothing_is_set_aside(
    tmp_path: Path, out: Path, write_jsonl: Write
) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", GOOD)
    skipped_file(out).write_text("left by an earlier build\n")
    assert build(corpus, out, TinyOptions(skip_bad_lines=True)).figures.skipped_records == 0
    assert not skipped_file(out).exists()


def test_a_corpus_of_bad_records_only_is_an_error_that_keeps_the_reasons(
    tmp_path: Path, out: Path, write_jsonl: Write
) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [{"id": "a"}])
    with pytest.raises(CorpusError, match="no passage in it"):
        build(corpus, out, TinyOptions(skip_bad_lines=True))
    assert [p.name for p in tmp_path.glob("out*")] == [skipped_file(out).name]


# Odd passages.


def test_an_empty_passage_is_kept_counted_and_found_by_nothing(
    tmp_path: Path, out: Path, write_jsonl: Write
) -> None:
    empty = [{"id": "none", "text": ""}, {"id": "blank", "title": " ", "text": "\n\t"}]
    manifest = build(write_jsonl(tmp_path / "corpus.jsonl", [*empty, *GOOD]), out)
    assert manifest.figures.empty_passages == 2
    with closing(Bundle.open(out)) as bundle:
        assert [p.id for p in bundle.passages.get(range(4))] == ["none", "blank", "a", "b"]
        queries = bundle.query_encoder(1).encode(["a sleeping cat", "rising bread", ""])
        scores, rows = bundle.vectors.search(queries, 4)
        np.testing.assert_array_equal(scores[np.isin(rows, [0, 1])], 0.0)
        assert rows[:2, 0].tolist() == [2, 3]
        matches = bundle.vectors.search_among(queries[0], 4, np.array([2, 3]))[0]
        assert (matches[:1] > 0).all()


def test_a_long_text_is_split_and_found_by_its_end(
    tmp_path: Path, out: Path, write_jsonl: Write
) -> None:
    text = "and so on " * 2_000 + "Glaciers carve valleys."
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [*GOOD, {"id": "long", "text": text}])
    manifest = build(corpus, out)
    assert manifest.figures.truncated_passages == 0
    with closing(Bundle.open(out)) as bundle:
        last = bundle.passages.get([manifest.passages - 1])[0]
        assert (last.id, last.document) == (f"long#{manifest.passages - len(GOOD)}", "long")
        assert last.end == len(text)
        query = bundle.query_encoder(1).encode(["glaciers carving valleys, and so on"])
        assert bundle.vectors.search(query, 1)[1].tolist() == [[manifest.passages - 1]]


@pytest.mark.parametrize("text", ["\x00\x01\x1b[31m", "שלום \u202eעולם", "👩‍👩‍👧‍👦", "日本語"])
def test_odd_characters_survive_the_build(
    tmp_path: Path, out: Path, write_jsonl: Write, text: str
) -> None:
    record = {"id": f"id {text}", "title": text, "text": text, "field": text}
    assert build(write_jsonl(tmp_path / "corpus.jsonl", [record]), out).passages == 1
    with closing(Bundle.open(out)) as bundle:
        (passage,) = bundle.passages.get([0])
    assert (passage.id, passage.title, passage.text) == (record["id"], text, text)
    assert passage.metadata == {"field": text}
