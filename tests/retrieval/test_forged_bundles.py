"""Bundles from strangers: each is refused by an error that names the file, when opened and by ``verify``."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import MANIFEST, read_manifest
from lurcher.bundle.plain_tables import in_time
from lurcher.bundle.vectors import VectorIndex
from lurcher.errors import LurcherError, ModelError
from lurcher.models.encoders.tokenizer_parts import check_tokenizer
from lurcher.models.engines.native.onnx_file import check_plain
from lurcher.retrieval.snapshot import Snapshot
from lurcher.retrieval.trial import problems_of
from tests.bundle.forged import Change, forged, with_manifest
from tests.tiny import TINY

FIRST = "segments/000000"


def replaced(name: str, put: Callable[[Path], object]) -> Change:
    """Takes the file away and puts something else into its place."""

    def change(bundle: Path) -> None:
        (bundle / name).unlink()
        put(bundle / name)

    return change


def in_database(*statements: str, values: tuple[object, ...] = ()) -> Change:
    def change(bundle: Path) -> None:
        with closing(sqlite3.connect(bundle / FIRST / "passages.db")) as db:
            for statement in statements:
                db.execute(statement, values)
            db.commit()

    return change


def head_of_array(name: str, shape: tuple[int, ...]) -> Change:
    """Lets the file's head say ``shape`` of the array in it."""

    def change(bundle: Path) -> None:
        array = np.load(bundle / name)
        with (bundle / name).open("wb") as file:
            head = {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, head)  # type: ignore[arg-type]  # a tuple
            file.write(array.tobytes())

    return change


def in_tokenizer(alter: Callable[[dict[str, Any]], object]) -> Change:
    def change(bundle: Path) -> None:
        file = bundle / "encoder" / "tokenizer.json"
        found = json.loads(file.read_text("utf-8"))
        alter(found)
        file.write_text(json.dumps(found), "utf-8")

    return change


ENDLESS = """CREATE VIEW passages AS WITH RECURSIVE n(row) AS (SELECT 0 UNION ALL SELECT row + 1 FROM n)
    SELECT row, 'a' AS id, '' AS title, '' AS text, '{}' AS metadata FROM n"""
HUGE = 80 << 20
CHANGES: dict[str, tuple[Change, str]] = {
    "a link": (
        replaced(f"{FIRST}/copies.npy", lambda file: file.symlink_to("/etc/hostname")),
        f"{FIRST}/copies.npy: is a link",
    ),
    "a link to a folder": (
        lambda bundle: (bundle / "more").symlink_to("/etc"), "more: is a link"
    ),
    "a pipe": (replaced(f"{FIRST}/copies.npy", os.mkfifo), "copies.npy: is no plain file"),
    "an endless view": (
        in_database("ALTER TABLE passages RENAME TO hidden", ENDLESS),
        "passages.db: has the table 'hidden', which no build writes",
    ),
    "only a view": (in_database("DROP TABLE kinds", "CREATE VIEW kinds AS SELECT 1"), "view 'kinds'"),
    "a trigger": (
        in_database("CREATE TRIGGER t AFTER INSERT ON kinds BEGIN SELECT 1; END"), "the trigger 't'"
    ),
    "a computed column": (
        in_database("ALTER TABLE passages ADD COLUMN more AS (length(text))"),
        "the computed column 'more'",
    ),
    "a virtual table": (
        in_database("DROP TABLE progress", "CREATE VIRTUAL TABLE progress USING fts5(a)"),
        "which no build writes",
    ),
    "a long head": (head_of_array(f"{FIRST}/copies.npy", (10**13,)), "copies.npy: has int64 (1000"),
    "a tokeniser's word": (
        in_tokenizer(lambda found: found["model"].update(max_input_chars_per_word=10**9)),
        "tokenizer.json: not a tokenizer that is read here: model: max_input_chars_per_word",
    ),
    "no tokeniser": (in_tokenizer(lambda found: found.pop("model")), "tokenizer.json: not a tokenizer"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_forged_bundle_is_refused_by_name(small_bundle: Path, tmp_path: Path, name: str) -> None:
    change, told = CHANGES[name]
    bundle = forged(small_bundle, tmp_path / "forged.lurcher", change)
    with pytest.raises(LurcherError) as raised:
        Snapshot(Bundle.open(bundle), 1)
    assert told in str(raised.value)
    assert told in "\n".join(problems_of(bundle))


@pytest.mark.parametrize(
    "path", ["../stolen", "/etc/passwd", "a/../../b", "a//b", "..\\b", "./a", "C:/b"]
)
def test_a_path_that_leads_out_of_the_bundle_is_refused(
    small_bundle: Path, tmp_path: Path, path: str
) -> None:
    files = json.loads((small_bundle / MANIFEST).read_text("utf-8"))["files"]
    files[path] = {"bytes": 1, "sha256": "0" * 64}
    bundle = with_manifest(small_bundle, tmp_path / "forged.lurcher", files=files)
    with pytest.raises(LurcherError, match="which is no path in the bundle"):
        Bundle.open(bundle)


@pytest.mark.parametrize("field", ["name", "deleted"])
def test_a_segment_elsewhere_is_refused(small_bundle: Path, tmp_path: Path, field: str) -> None:
    (segment,) = json.loads((small_bundle / MANIFEST).read_text("utf-8"))["segments"]
    segment[field] = "../../elsewhere"
    bundle = with_manifest(small_bundle, tmp_path / "forged.lurcher", segments=[segment])
    with pytest.raises(LurcherError, match="which is no path in the bundle"):
        Bundle.open(bundle)


def test_a_search_effort_is_no_more_than_there_are_vectors(
    build_once: Callable[..., Path], tmp_path: Path
) -> None:
    plain = build_once("graph-of-vectors", index="HNSW16,Flat")
    figures = json.loads((plain / MANIFEST).read_text("utf-8"))["figures"]
    bundle = with_manifest(
        plain, tmp_path / "forged.lurcher", figures=figures | {"search_effort": 2**31 - 1}
    )
    assert problems_of(bundle) == []
    with closing(Bundle.open(bundle)) as opened:
        assert opened.vectors.search(np.ones((1, opened.encoder.dimension), np.float32), 5)


def test_a_passage_of_a_gigabyte_is_not_read(small_bundle: Path, tmp_path: Path) -> None:
    """It takes a few bytes to write one, and a search that finds it would take all memory."""
    change = in_database("UPDATE passages SET text = zeroblob(?) WHERE row = 1", values=(HUGE,))
    bundle = forged(small_bundle, tmp_path / "forged.lurcher", change)
    assert "passages.db: string or blob too big" in "\n".join(problems_of(bundle))


@pytest.mark.parametrize("metadata", ["{", "[" * 100_000])
def test_verify_reads_every_passage(small_bundle: Path, tmp_path: Path, metadata: str) -> None:
    change = in_database("UPDATE passages SET metadata = ? WHERE row = 7", values=(metadata,))
    bundle = forged(small_bundle, tmp_path / "forged.lurcher", change)
    assert problems_of(bundle)


def test_verify_finds_postings_of_passages_that_are_not_there(
    small_bundle: Path, tmp_path: Path
) -> None:
    def change(bundle: Path) -> None:
        file = bundle / FIRST / "lexical.rows"
        rows = np.fromfile(file, np.uint8)
        rows[-1] = 255
        rows.tofile(file)

    bundle = forged(small_bundle, tmp_path / "forged.lurcher", change)
    assert problems_of(bundle) == [f"{bundle}: {FIRST}/lexical.rows: names passage 255 of 60"]


@pytest.mark.parametrize(
    ("dimension", "count"), [(2**31 - 1, 1), (96, 2**62), (96, 10**9), (0, 1), (-1, 5), (96, -1)]
)
def test_an_index_whose_head_counts_more_than_it_holds_is_refused(
    small_bundle: Path, tmp_path: Path, dimension: int, count: int
) -> None:
    content = (small_bundle / FIRST / "vectors.faiss").read_bytes()
    file = tmp_path / "vectors.faiss"
    file.write_bytes(content[:4] + struct.pack("<iq", dimension, count) + content[16:])
    with pytest.raises(LurcherError, match=r"vectors\.faiss: says that it has"):
        VectorIndex.open(file, None)


TOKENIZERS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a letter that becomes a megabyte": (
        lambda found: found.update(
            normalizer={"type": "Replace", "pattern": {"String": "a"}, "content": "b" * 10**6}
        ),
        "content has more than",
    ),
    "a regular expression": (
        lambda found: found.update(
            normalizer={"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}
        ),
        "the regular expression",
    ),
    "an unknown part": (
        lambda found: found.update(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a|a)*"}}),
        "pre_tokenizer: 'Split'",
    ),
    "an unknown part within": (
        lambda found: found.update(
            normalizer={"type": "Sequence", "normalizers": [{"type": "Custom"}]}
        ),
        "normalizer: 'Custom'",
    ),
    "many parts": (
        lambda found: found.update(
            normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}] * 1_000}
        ),
        "more than 64 parts",
    ),
    "a long template": (
        lambda found: found["post_processor"].update(single=[{}] * 1_000), "more than 32 pieces"
    ),
    "many tokens beside": (
        lambda found: found.update(added_tokens=[{"content": "a"}] * 20_000), "added_tokens"
    ),
    "another model": (lambda found: found["model"].update(type="Mine"), "model: 'Mine'"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_tokeniser_of_parts_that_could_do_harm_is_refused(tmp_path: Path, name: str) -> None:
    alter, told = TOKENIZERS[name]
    found = json.loads((TINY / "tokenizer.json").read_text("utf-8"))
    alter(found)
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(found), "utf-8")
    with pytest.raises(ModelError) as raised:
        check_tokenizer(file)
    assert told in str(raised.value)


def part(number: int, value: bytes) -> bytes:
    """A field of a protocol buffer that holds bytes."""
    length, size = len(value), b""
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([(number << 3 | 2) & 127 | (128 if number > 15 else 0)]) + (
        bytes([number >> 4]) if number > 15 else b""
    ) + size + bytes([length]) + value  # fmt: skip


NODE = part(4, b"Loop")
GRAPHS = {
    "a graph within": (part(7, part(1, NODE + part(5, part(1, b"body") + part(6, b"")))), "Loop has a graph"),
    "graphs within": (part(7, part(1, NODE + part(5, part(1, b"all") + part(11, b"")))), "Loop has a graph"),
    "a strange operator": (part(7, part(1, part(4, b"Op") + part(7, b"evil"))), "the operator Op of 'evil'"),
    "functions": (part(7, b"") + part(25, b""), "functions of its own"),
    "constants elsewhere": (
        part(7, part(5, part(13, part(1, b"location") + part(2, b"../secret")))), "which is not beside it"
    ),
    "nothing": (b"", "no ONNX graph"),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_could_run_for_ever_or_read_elsewhere_is_refused(
    tmp_path: Path, name: str
) -> None:
    content, told = GRAPHS[name]
    file = tmp_path / "graph.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=told):
        check_plain(file)


def test_a_query_without_end_is_stopped() -> None:
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    )
    with (
        closing(sqlite3.connect(":memory:", check_same_thread=False)) as db,
        pytest.raises(sqlite3.OperationalError, match="interrupted"),
        in_time(db, 0.05),
    ):
        db.execute(endless)


def test_sound_bundles_are_sound(answering_bundle: Path, words_bundle: Path) -> None:
    assert problems_of(answering_bundle) == []
    assert problems_of(words_bundle) == []
    assert read_manifest(words_bundle).encoder is None
