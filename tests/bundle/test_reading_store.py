"""The reading store's own: what the manifest says, whose codes they are, and what a reader needs."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import READER, SEGMENT, Bundle
from lurcher.bundle.manifest import MANIFEST, Manifest, list_files, read_manifest, write_manifest
from lurcher.bundle.reading_store import (
    READING_CODER,
    ReadingSettings,
    ReadingStore,
    ReadingWriter,
    describe_reading,
    reading_files,
)
from lurcher.bundle.token_store import CODER, token_files
from lurcher.bundle.verifying import verify
from lurcher.errors import BundleCorrupt, BundleError
from lurcher.models.encoders.config import EncoderConfig, load_config
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.models.reader.coder import ReadingCoder
from lurcher.models.reader.reader import READER_FILE, READER_GRAPH
from lurcher.models.tokens.coder import Codes
from tests.bundle.opened_stores import reading_store

BITS, D = 24, 32
OTHERS = f"sha256:{'f' * 64}"
FILES = ["reading.bin", "reading.idx"]


def coder_of(dimension: int, bits: int) -> ReadingCoder:
    mean, centres = np.zeros(dimension, np.float32), np.zeros((5, dimension), np.float16)
    return ReadingCoder(mean, centres, np.eye(dimension, bits, dtype=np.float32), 0.5)


CODER_MADE = coder_of(D, BITS)


def encoder_of(max_tokens: int, dimension: int = D) -> EncoderConfig:
    """The shipped encoder's configuration, but for these."""
    changes = {"max_tokens": max_tokens, "dimension": dimension}
    return load_config(DEFAULT_ENCODER).model_copy(update=changes)


ENCODER = encoder_of(40)


def passage(seed: int, codes: int) -> Codes:
    """One with so many codes."""
    return np.random.default_rng(seed).integers(0, 256, (codes, BITS // 8), np.uint8)


def write(root: Path, corpus: list[Codes], max_tokens: int = 40) -> ReadingSettings:
    """Write a store for ``corpus``; what the manifest says of it."""
    (root / SEGMENT).mkdir(parents=True)
    (root / READING_CODER).parent.mkdir()
    CODER_MADE.save(root / READING_CODER)
    with ReadingWriter(root / SEGMENT, BITS, max_tokens) as writer:
        for codes in corpus:
            writer.append_codes([codes])
    return describe_reading(root, SEGMENT, CODER_MADE, encoder_of(max_tokens))


def opened(root: Path, stated: ReadingSettings, passages: int, **changes: Any) -> ReadingStore:
    encoder = changes.pop("encoder", ENCODER)
    return reading_store(root, SEGMENT, stated.model_copy(update=changes), encoder, passages)


@pytest.fixture
def corpus() -> list[Codes]:
    return [passage(i, codes) for i, codes in enumerate([3, 0, 5, 1, 0, 0, 7, 2, 0, 4])]


def test_what_is_written_is_read(tmp_path: Path, corpus: list[Codes]) -> None:
    stated = write(tmp_path, corpus)
    codes = sum(map(len, corpus))
    assert stated.model_dump() == {
        "bits": BITS, "encoder": ENCODER.fingerprint, "codes": codes,
        "bytes": codes * (BITS // 8) + len(corpus),
    }  # fmt: skip
    assert stated.bytes == sum(file.stat().st_size for file in reading_files(tmp_path, SEGMENT))
    store = opened(tmp_path, stated, len(corpus))
    assert store.settings == stated
    np.testing.assert_array_equal(store.coder.rotation, CODER_MADE.rotation)
    found, counts = store.gather(np.array([9, 1, 2, 2]))
    assert counts.tolist() == [4, 0, 5, 5]
    np.testing.assert_array_equal(found, np.concatenate([corpus[row] for row in (9, 2, 2)]))


@pytest.mark.parametrize(
    ("max_tokens", "count"), [(1, 1), (255, 1), (256, 2), (65_535, 2), (65_536, 4)]
)
def test_numbers_take_as_few_bytes_as_the_longest_passage_needs(
    tmp_path: Path, max_tokens: int, count: int
) -> None:
    stated = write(tmp_path, [passage(1, max_tokens), passage(2, 0)], max_tokens)
    assert stated.bytes == max_tokens * (BITS // 8) + 2 * count
    store = opened(tmp_path, stated, 2, encoder=encoder_of(max_tokens))
    assert store.gather(np.arange(2))[1].tolist() == [max_tokens, 0]


Spoil = Callable[[Path], object]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"codes": 21}, "counts 22 codes, expected 21"),
        (
            {"encoder": encoder_of(300)},
            "10 bytes, expected 20",
        ),  # whose numbers take two bytes each
    ],
)
def test_a_manifest_that_claims_something_else_is_found_out(
    tmp_path: Path, corpus: list[Codes], changes: dict[str, Any], reason: str
) -> None:
    stated = write(tmp_path, corpus)
    with pytest.raises(BundleCorrupt, match=reason) as caught:
        opened(tmp_path, stated, len(corpus), **changes)
    assert caught.value.file == f"{SEGMENT}/reading.idx"


def test_codes_of_another_encoder_are_refused(tmp_path: Path, corpus: list[Codes]) -> None:
    stated = write(tmp_path, corpus).model_copy(update={"encoder": OTHERS})
    with pytest.raises(BundleCorrupt, match="of another encoder than the bundle's") as caught:
        opened(tmp_path, stated, len(corpus))
    assert caught.value.file == f"{SEGMENT}/reading.bin"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda file: coder_of(D, 16).save(file), "32 dimensions to 16 bits, expected 32 to 24"),
        (lambda file: coder_of(40, BITS).save(file), "40 dimensions to 24 bits, expected 32 to 24"),
        (lambda file: file.write_bytes(b"no coder"), "cannot be read"),
        (Path.unlink, "cannot be read"),
    ],
)
def test_a_coder_that_does_not_fit_is_named(
    tmp_path: Path, corpus: list[Codes], spoil: Spoil, reason: str
) -> None:
    stated = write(tmp_path, corpus)
    spoil(tmp_path / READING_CODER)
    with pytest.raises(BundleCorrupt, match=reason) as caught:
        opened(tmp_path, stated, len(corpus))
    assert caught.value.file == READING_CODER


@pytest.mark.parametrize(
    ("field", "value"),
    [("bits", 0), ("bits", 12), ("codes", -1), ("bytes", -1), ("encoder", "mine"), ("more", 1)],
)
def test_settings_that_cannot_be_are_refused(field: str, value: Any) -> None:
    good = {"bits": 24, "encoder": ENCODER.fingerprint, "codes": 1, "bytes": 4}
    ReadingSettings.model_validate(good)
    with pytest.raises(ValueError, match=field):
        ReadingSettings.model_validate(good | {field: value})


# In a bundle.

OWN = [*(f"{SEGMENT}/{name}" for name in FILES), READING_CODER,
       *(f"{READER}/{name}" for name in (READER_FILE, READER_GRAPH))]  # fmt: skip


@pytest.fixture
def bundle(answering_bundle: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(answering_bundle, tmp_path / "spoiled.lurcher")


def rewrite(path: Path, **changes: Any) -> None:
    """Note the files as they are now, and what else is said of the bundle."""
    manifest = read_manifest(path)
    write_manifest(path, manifest.model_copy(update={"files": list_files(path), **changes}))


def opening(path: Path, check_hashes: bool = True) -> BundleCorrupt:
    """The error with which the bundle refuses to open."""
    with pytest.raises(BundleError) as caught:
        Bundle.open(path, check_hashes).close()
    assert isinstance(caught.value, BundleCorrupt)
    return caught.value


def test_a_bundle_that_answers_is_sound_and_has_these_files_more(
    answering_bundle: Path, small_bundle: Path
) -> None:
    assert verify(answering_bundle) == []
    files = read_manifest(answering_bundle).files
    assert set(files) - set(read_manifest(small_bundle).files) == set(OWN)


@pytest.mark.parametrize("file", OWN)
def test_one_flipped_byte_is_found_and_its_file_named(bundle: Path, file: str) -> None:
    raw = bytearray((bundle / file).read_bytes())
    raw[random.Random(file).randrange(len(raw))] ^= 1
    (bundle / file).write_bytes(raw)
    assert opening(bundle).file == file
    assert verify(bundle) == [f"{file}: its content has changed (sha256 differs)"]


@pytest.mark.parametrize("file", OWN[:-1])
def test_a_file_behind_a_right_hash_is_looked_at(bundle: Path, file: str) -> None:
    (bundle / file).write_bytes(b"of the right hash, and no use")
    rewrite(bundle)
    (line,) = verify(bundle)
    assert file in line
    assert opening(bundle).file == file


def test_verify_tries_the_reader(bundle: Path) -> None:
    (bundle / READER / READER_GRAPH).write_bytes(b"of the right hash, and no use")
    rewrite(bundle)
    Bundle.open(bundle).close()
    (line,) = verify(bundle)
    assert READER_GRAPH in line


def test_another_encoders_codes_are_found_in_a_bundle(bundle: Path) -> None:
    reading = read_manifest(bundle).reading
    assert reading is not None
    rewrite(bundle, reading=reading.model_copy(update={"encoder": OTHERS}))
    assert "another encoder" in opening(bundle).reason


def test_a_coder_of_another_vocabulary_is_refused(bundle: Path) -> None:
    """A passage's tokens would not be in its table."""
    coder = ReadingCoder.load(bundle / READING_CODER)
    few = ReadingCoder(coder.mean, coder.centres[:99], coder.rotation, coder.scale)
    few.save(bundle / READING_CODER)
    rewrite(bundle)
    error = opening(bundle)
    assert error.file == READING_CODER
    assert f"99 different tokens, expected {len(coder.centres)}" in error.reason


def test_a_reader_changed_in_the_bundle_is_found(bundle: Path) -> None:
    file = bundle / READER / READER_FILE
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"name": "another"}))
    assert opening(bundle, check_hashes=False).reason.endswith("not the manifest's reader")
    file.unlink()
    assert opening(bundle, check_hashes=False).file == f"{READER}/{READER_FILE}"


def test_another_encoders_reader_is_found(bundle: Path) -> None:
    reader = read_manifest(bundle).reader
    assert reader is not None
    other = reader.model_copy(update={"encoder": OTHERS})
    (bundle / READER / READER_FILE).write_text(other.model_dump_json())
    rewrite(bundle, reader=other)
    error = opening(bundle)
    assert error.file == f"{READER}/{READER_FILE}"
    assert "another encoder" in error.reason


def without_tokens(bundle: Path) -> None:
    for file in [*token_files(bundle, SEGMENT), bundle / CODER]:
        file.unlink()
    rewrite(bundle, tokens=None, ranker=None)


def without_codes(bundle: Path) -> None:
    for file in [*reading_files(bundle, SEGMENT), bundle / READING_CODER]:
        file.unlink()
    rewrite(bundle, reading=None)


@pytest.mark.parametrize(
    ("remove", "missing"), [(without_tokens, "tokens"), (without_codes, "a reading store")]
)
def test_a_reader_without_what_it_reads_is_corrupt(
    bundle: Path, remove: Callable[[Path], None], missing: str
) -> None:
    remove(bundle)
    error = opening(bundle)
    assert error.file == MANIFEST
    assert f"needs {missing}, which" in error.reason
    assert verify(bundle) == [str(error)]


def test_a_store_without_a_reader_is_one_to_train_on(bundle: Path) -> None:
    shutil.rmtree(bundle / READER)
    rewrite(bundle, reader=None)
    assert verify(bundle) == []
    with closing(Bundle.open(bundle)) as found:
        assert found.reader(1) is None
        assert found.reading is not None


def test_a_bundle_that_does_not_answer_has_neither(small_bundle: Path) -> None:
    with closing(Bundle.open(small_bundle)) as found:
        assert found.reading is None
        assert found.reader(1) is None


def test_a_manifest_from_before_there_were_answers_is_read(small_bundle: Path) -> None:
    document = json.loads((small_bundle / MANIFEST).read_text())
    assert document.pop("reading") is None
    assert document.pop("reader") is None
    assert Manifest.model_validate(document) == read_manifest(small_bundle)
