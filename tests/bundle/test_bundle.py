"""A bundle opens whole or not at all, and says which file is at fault."""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from lurcher.bundle.bundle import ALIKE, COPIES, PASSAGES, RANKER, SEGMENT, VECTORS, Bundle
from lurcher.bundle.lexical_files import lexical_files
from lurcher.bundle.manifest import MANIFEST, list_files, read_manifest, write_manifest
from lurcher.bundle.passages import Condition
from lurcher.bundle.token_store import CODER
from lurcher.bundle.verifying import verify
from lurcher.errors import BundleCorrupt, BundleError, BundleNotFound, BundleVersionError
from lurcher.models.tokens.coder import TokenCoder
from lurcher.retrieval.snapshot import Snapshot

FILES = [
    MANIFEST,
    "encoder/config.json",
    "encoder/encoder.onnx",
    "encoder/tokenizer.json",
    "encoder/vocabulary.bin",
    PASSAGES,
    *(f"{SEGMENT}/tokens.{part}" for part in ("bin", "idx", "pos")),
    VECTORS,
    COPIES,
    ALIKE,
    *(str(file) for file in lexical_files(Path(), SEGMENT)),
    CODER,
    *(f"{RANKER}/{name}" for name in ("decoder.json", "pair.onnx", "query.onnx")),
]


@pytest.fixture
def bundle(small_bundle: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(small_bundle, tmp_path / "spoiled.lurcher")


def opening(path: Path) -> BundleError:
    """The error with which the bundle refuses to open."""
    with pytest.raises(BundleError) as caught:
        Bundle.open(path).close()
    return caught.value


def verifying(path: Path) -> str:
    """All that ``verify`` has to say, or the error with which it gives up."""
    try:
        return "\n".join(verify(path))
    except BundleError as error:
        return str(error)


def rewrite(path: Path) -> None:
    """Note the files as they are now: what a careless or a malicious hand would do."""
    manifest = read_manifest(path)
    write_manifest(path, manifest.model_copy(update={"files": list_files(path)}))


def test_a_sound_bundle_has_nothing_to_complain_of(small_bundle: Path) -> None:
    assert verify(small_bundle) == []


def test_a_bundle_searches_as_it_was_built(small_bundle: Path) -> None:
    with closing(Bundle.open(small_bundle)) as bundle:
        assert bundle.manifest.passages == bundle.passages.count == bundle.vectors.count == 60
        query = bundle.query_encoder(threads=1).encode(["yeast turns sugar into bread"])
        _, rows = bundle.vectors.search(query, 3)
        assert all(p.id.startswith("en-food") for p in bundle.passages.get(rows[0]))
        french = bundle.passages.rows([Condition("lang", "in", ("fr",))])
        _, among = bundle.vectors.search_among(query[0], 1, french)
        assert bundle.passages.get(among)[0].id.startswith("fr-")


def test_the_files_of_a_bundle_are_these(small_bundle: Path) -> None:
    there = {p.relative_to(small_bundle).as_posix() for p in small_bundle.rglob("*") if p.is_file()}
    assert there == set(FILES)
    assert set(read_manifest(small_bundle).files) == there - {MANIFEST}


@pytest.mark.parametrize("place", ["first", "last", "somewhere", "somewhere else"])
@pytest.mark.parametrize("file", FILES)
def test_one_flipped_byte_is_found_and_its_file_named(bundle: Path, file: str, place: str) -> None:
    path = bundle / file
    at = {"first": 0, "last": path.stat().st_size - 1}.get(place)
    if at is None:
        at = random.Random(file + place).randrange(path.stat().st_size)
    with path.open("r+b") as handle:
        handle.seek(at)
        byte = handle.read(1)[0]
        handle.seek(at)
        handle.write(bytes([byte ^ (1 << at % 8)]))
    assert file in verifying(bundle)
    assert file in str(opening(bundle))


def test_any_one_bit_of_the_manifest_matters(small_bundle: Path, tmp_path: Path) -> None:
    raw = (small_bundle / MANIFEST).read_bytes()
    for at in range(len(raw)):
        spoiled = bytearray(raw)
        spoiled[at] ^= 1 << at % 8
        (tmp_path / MANIFEST).write_bytes(spoiled)
        with pytest.raises(BundleError, match=MANIFEST):
            read_manifest(tmp_path)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (lambda p: p.write_bytes(p.read_bytes()[:-1]), "bytes, expected"),
    "empty": (lambda p: p.write_bytes(b""), "0 bytes, expected"),
    "one byte longer": (lambda p: p.write_bytes(p.read_bytes() + b"\n"), "bytes, expected"),
    "gone": (Path.unlink, "missing"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", FILES[1:])
def test_a_damaged_file_is_named_with_what_is_wrong(bundle: Path, file: str, damage: str) -> None:
    spoil, reason = DAMAGE[damage]
    spoil(bundle / file)
    error = opening(bundle)
    assert isinstance(error, BundleCorrupt)
    assert error.file == file
    assert reason in error.reason
    assert verifying(bundle).startswith(f"{file}: ")


@pytest.mark.parametrize("damage", ["cut short", "empty", "one byte longer"])
def test_a_damaged_manifest_is_named(bundle: Path, damage: str) -> None:
    DAMAGE[damage][0](bundle / MANIFEST)
    assert MANIFEST in str(opening(bundle))


def test_verify_lists_every_damaged_file(bundle: Path) -> None:
    for file in (PASSAGES, VECTORS):
        (bundle / file).write_bytes(b"")
    assert [line.partition(":")[0] for line in sorted(verify(bundle))] == [PASSAGES, VECTORS]


def test_a_folder_that_is_no_bundle_is_told_from_none_at_all(tmp_path: Path) -> None:
    file, none = tmp_path / "long.jsonl", tmp_path / "none"
    file.write_text("{}")
    for path, reason, advice in (
        (tmp_path, "not a bundle", f"if it is a corpus, build it with `lurcher build {tmp_path}`"),
        (
            file,
            "is a file, not a bundle",
            f"if it is a corpus, build it with `lurcher build {file}`",
        ),
        (none, "no such folder", f"make one with `lurcher build CORPUS {none}`"),
    ):
        with pytest.raises(BundleNotFound, match=re.escape(f"{reason}; {advice}")):
            Bundle.open(path)
        with pytest.raises(BundleNotFound, match=reason):
            verify(path)


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        (1, "reads formats 2, 3, 4 and 5: build the bundle again"),
        (6, "reads formats 2, 3, 4 and 5: upgrade lurcher, or build the bundle again"),
    ],
)
def test_a_bundle_of_another_format_says_what_to_do(
    bundle: Path, version: int, advice: str
) -> None:
    update = {"format_version": version, "lurcher_version": "9.9.9"}
    write_manifest(bundle, read_manifest(bundle).model_copy(update=update))
    said = rf"format {version}, written by lurcher 9\.9\.9; this version {advice}"
    for refuse in (Bundle.open, verify):
        with pytest.raises(BundleVersionError, match=said):
            refuse(bundle)


# Files that are whole, and contradict each other.


def other_vectors(path: Path, count: int, dimension: int) -> None:
    index = faiss.index_factory(dimension, "Flat", faiss.METRIC_INNER_PRODUCT)
    index.add(np.ones((count, dimension), np.float32))
    faiss.write_index(index, str(path / VECTORS))


def fewer_passages(path: Path) -> None:
    with closing(sqlite3.connect(path / PASSAGES)) as db, db:
        db.execute("DELETE FROM passages WHERE row = 59")


def other_encoder(path: Path) -> None:
    file = path / "encoder/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"max_tokens": 128}))


def no_encoder(path: Path) -> None:
    (path / "encoder/config.json").write_text("{}")


@pytest.mark.parametrize(
    ("contradict", "file", "reason"),
    [
        (lambda p: other_vectors(p, 59, 96), VECTORS, "59 vectors, the manifest says 60"),
        (lambda p: other_vectors(p, 60, 64), VECTORS, "64 dimensions, the manifest says 96"),
        (fewer_passages, PASSAGES, "59 passages, the manifest says 60"),
        (other_encoder, "encoder/config.json", "not the manifest's encoder"),
        (no_encoder, "encoder/config.json", "not an encoder's configuration"),
    ],
)
def test_files_that_contradict_each_other_are_found_behind_right_hashes(
    bundle: Path, contradict: Callable[[Path], None], file: str, reason: str
) -> None:
    contradict(bundle)
    rewrite(bundle)
    (line,) = verify(bundle)
    assert file in line
    assert reason in line
    error = opening(bundle)
    assert isinstance(error, BundleCorrupt)
    assert error.file == file


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (VECTORS, "vectors.faiss"),
        (PASSAGES, "passages.db"),
        ("encoder/encoder.onnx", "encoder.onnx"),
        ("encoder/tokenizer.json", "tokenizer.json"),
        ("encoder/vocabulary.bin", "encoder.onnx"),
    ],
)
def test_verify_tries_what_the_hashes_vouch_for(bundle: Path, file: str, reason: str) -> None:
    (bundle / file).write_bytes(b"of the right hash, and no use")
    rewrite(bundle)
    (line,) = verify(bundle)
    assert reason in line


def swapped_graphs(path: Path) -> None:
    query, pair = path / RANKER / "query.onnx", path / RANKER / "pair.onnx"
    kept = query.read_bytes()
    query.write_bytes(pair.read_bytes())
    pair.write_bytes(kept)


def fewer_frequencies(path: Path) -> None:
    coder = TokenCoder.load(path / CODER)
    replace(coder, frequency=coder.frequency[:-1]).save(path / CODER)


@pytest.mark.parametrize(
    ("spoil", "file", "reason"),
    [
        (swapped_graphs, RANKER, "its graphs are not those that it describes"),
        (fewer_frequencies, CODER, "counts 1579 tokens, and the encoder knows 1580"),
    ],
)
def test_what_would_fail_in_the_first_query_fails_before_it(
    bundle: Path, spoil: Callable[[Path], None], file: str, reason: str
) -> None:
    spoil(bundle)
    rewrite(bundle)
    (line,) = verify(bundle)
    assert f"{file}: " in line
    assert reason in line
    with closing(Bundle.open(bundle)) as opened, pytest.raises(BundleCorrupt, match=reason):
        Snapshot(opened, 1)


def test_without_the_hashes_a_changed_file_is_not_read(bundle: Path) -> None:
    with (bundle / "encoder/tokenizer.json").open("ab") as file:
        file.write(b"\n")
    Bundle.open(bundle, check_hashes=False).close()


def test_a_missing_file_is_an_error_of_ours_even_unchecked(bundle: Path) -> None:
    for file in (PASSAGES, VECTORS):
        kept = (bundle / file).rename(bundle / "kept")
        with pytest.raises(BundleCorrupt):
            Bundle.open(bundle, check_hashes=False)
        kept.rename(bundle / file)


def test_a_read_only_bundle_opens_and_stays_as_it_is(bundle: Path) -> None:
    folders = [bundle, *(p for p in bundle.rglob("*") if p.is_dir())]
    before = {p: p.stat().st_mtime_ns for p in bundle.rglob("*")}
    for path in before:
        path.chmod(0o555 if path.is_dir() else 0o444)
    bundle.chmod(0o555)
    try:
        assert verify(bundle) == []
        assert {p: p.stat().st_mtime_ns for p in bundle.rglob("*")} == before
    finally:
        for folder in folders:
            folder.chmod(0o755)
