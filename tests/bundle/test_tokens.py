"""Tokens come back as they were written, whatever a kill cuts off; and no bad store passes for one."""

from __future__ import annotations

import json
import mmap
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lurcher.bundle.bundle import SEGMENT, Bundle, verify
from lurcher.bundle.manifest import MANIFEST, Manifest, list_files, read_manifest, write_manifest
from lurcher.bundle.ragged import count_type
from lurcher.bundle.tokens import (
    CODER,
    TokenSettings,
    TokenStore,
    TokenWriter,
    describe,
    position_type,
    token_files,
)
from lurcher.models.encoders.config import EncoderConfig, load_config
from lurcher.models.errors import BundleCorrupt
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.models.tokens.coder import Coded, TokenCoder
from lurcher.models.tokens.projection import Projection

BITS, D = 24, 32
OTHERS = f"sha256:{'f' * 64}"
FILES = ["tokens.bin", "tokens.pos", "tokens.idx"]


def coder_of(dimension: int, bits: int) -> TokenCoder:
    matrix = np.eye(dimension, bits, dtype=np.float32)
    frequency = np.full(5, 0.5, np.float32)
    return TokenCoder(np.zeros(dimension, np.float32), Projection(matrix, matrix), frequency)


CODER_MADE = coder_of(D, BITS)


def encoder_of(max_tokens: int, dimension: int = D) -> EncoderConfig:
    """The shipped encoder's configuration, but for these."""
    changes = {"max_tokens": max_tokens, "dimension": dimension}
    return load_config(DEFAULT_ENCODER).model_copy(update=changes)


ENCODER = encoder_of(40)


def passage(seed: int, codes: int, tokens: int) -> Coded:
    """One with so many codes, of so many tokens."""
    draw = np.random.default_rng(seed)
    places = np.sort(draw.permutation(tokens)[:codes])
    return Coded(draw.integers(0, 256, (codes, BITS // 8), np.uint8), places, tokens)


@st.composite
def corpora(draw: st.DrawFn) -> list[Coded]:
    """Passages of ragged lengths, many without a token."""
    lengths = draw(st.lists(st.just(0) | st.integers(0, 40), min_size=1, max_size=12))
    seeds = st.integers(0, 2**32 - 1)
    return [passage(draw(seeds), draw(st.integers(0, length)), length) for length in lengths]


def write(root: Path, corpus: list[Coded], max_tokens: int = 40, batch: int = 3) -> TokenSettings:
    """Write a store for ``corpus``; what the manifest says of it."""
    (root / SEGMENT).mkdir(parents=True)
    (root / CODER).parent.mkdir()
    CODER_MADE.save(root / CODER)
    with TokenWriter(root / SEGMENT, BITS, max_tokens) as writer:
        for first in range(0, len(corpus), batch):
            writer.append(corpus[first : first + batch])
    return describe(root, SEGMENT, CODER_MADE, 0.5, encoder_of(max_tokens))


def opened(root: Path, stated: TokenSettings, passages: int, **changes: Any) -> TokenStore:
    encoder = changes.pop("encoder", ENCODER)
    return TokenStore.open(root, SEGMENT, stated.model_copy(update=changes), encoder, passages)


@pytest.fixture
def corpus() -> list[Coded]:
    counts = [(3, 9), (0, 0), (5, 12), (1, 1), (0, 0), (0, 0), (7, 40), (2, 3), (0, 0), (4, 4)]
    return [passage(i, codes, tokens) for i, (codes, tokens) in enumerate(counts)]


@settings(deadline=None)
@given(corpora(), st.data())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, corpus: list[Coded], data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("store")
    stated = write(root, corpus)
    store = opened(root, stated, len(corpus))
    assert store.settings == stated
    rows = data.draw(st.lists(st.integers(0, len(corpus) - 1), max_size=8))
    codes, counts = store.of(np.array(rows, np.int64))
    assert (codes.dtype, counts.dtype) == (np.uint8, np.int64)
    assert counts.tolist() == [len(corpus[row].codes) for row in rows]
    wanted = [corpus[row].codes for row in rows]
    np.testing.assert_array_equal(
        codes, np.concatenate([*wanted, np.zeros((0, BITS // 8), np.uint8)])
    )
    for row, one in enumerate(corpus):
        places = store.positions_of(row)
        assert places.dtype == np.int64
        assert places.tolist() == one.positions.tolist()


@settings(deadline=None)
@given(corpora())
def test_the_manifest_counts_all(
    tmp_path_factory: pytest.TempPathFactory, corpus: list[Coded]
) -> None:
    root = tmp_path_factory.mktemp("store")
    stated = write(root, corpus)
    codes = sum(len(one.codes) for one in corpus)
    assert stated.model_dump() == {
        "bits": BITS, "share": 0.5, "encoder": ENCODER.fingerprint,
        "tokens": sum(one.tokens for one in corpus), "codes": codes,
        "bytes": codes * (BITS // 8 + 1) + 2 * len(corpus),
    }  # fmt: skip
    assert stated.bytes == sum(file.stat().st_size for file in token_files(root, SEGMENT))


@pytest.mark.parametrize(
    ("max_tokens", "place", "count"),
    [(1, 1, 1), (255, 1, 1), (256, 1, 2), (257, 2, 2), (65_535, 2, 2), (65_536, 2, 4), (65_537, 4, 4)],
)  # fmt: skip
def test_numbers_take_as_few_bytes_as_the_longest_passage_needs(
    tmp_path: Path, max_tokens: int, place: int, count: int
) -> None:
    assert position_type(max_tokens) == np.dtype(f"u{place}")
    assert count_type(max_tokens) == np.dtype(f"u{count}")
    places = np.array(sorted({0, max_tokens // 2, max_tokens - 1}))
    longest = Coded(np.zeros((len(places), BITS // 8), np.uint8), places, max_tokens)
    stated = write(tmp_path, [longest, passage(0, 0, 0), longest], max_tokens)
    assert (stated.tokens, stated.codes) == (2 * max_tokens, 2 * len(places))
    assert stated.bytes == 2 * len(places) * (BITS // 8 + place) + 3 * 2 * count
    store = opened(tmp_path, stated, 3, encoder=encoder_of(max_tokens))
    assert [store.positions_of(row).tolist() for row in range(3)] == [
        places.tolist(), [], places.tolist()
    ]  # fmt: skip


def test_passages_are_given_in_the_order_asked_and_again(
    tmp_path: Path, corpus: list[Coded]
) -> None:
    store = opened(tmp_path, write(tmp_path, corpus), len(corpus))
    codes, counts = store.of(np.array([9, 1, 2, 2]))
    assert counts.tolist() == [4, 0, 5, 5]
    np.testing.assert_array_equal(codes, np.concatenate([corpus[row].codes for row in (9, 2, 2)]))
    nothing, none = store.of(np.zeros(0, np.int64))
    assert (nothing.shape, none.shape) == ((0, BITS // 8), (0,))


def test_a_store_of_empty_passages_opens(tmp_path: Path) -> None:
    stated = write(tmp_path, [passage(0, 0, 0)] * 3)
    store = opened(tmp_path, stated, 3)
    codes, counts = store.of(np.arange(3))
    assert (codes.shape, counts.tolist()) == ((0, BITS // 8), [0, 0, 0])
    assert store.positions_of(2).tolist() == []


# Writing that is cut off, and goes on.


@settings(deadline=None, max_examples=200)
@given(corpora(), st.data())
def test_wherever_it_was_cut_writing_goes_on_to_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, corpus: list[Coded], data: st.DataObject
) -> None:
    """Each file by itself: after a loss of power the last one may be the longest."""
    whole, cut = (tmp_path_factory.mktemp(name) for name in ("whole", "cut"))
    write(whole, corpus)
    written = data.draw(st.integers(0, len(corpus)))
    write(cut, corpus[:written])
    for file in token_files(cut, SEGMENT):
        size = file.stat().st_size
        os.truncate(file, data.draw(st.just(size) | st.integers(0, size)))
    with TokenWriter(cut / SEGMENT, BITS, 40) as writer:
        there = writer.passages
        assert there <= written
        start = data.draw(st.integers(0, there))  # fewer, where other files are shorter still
        writer.keep(start)
        assert writer.passages == start
        writer.append(corpus[start:])
        assert writer.passages == len(corpus)
    for one, other in zip(token_files(cut, SEGMENT), token_files(whole, SEGMENT), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_nothing_is_lost_that_is_whole(tmp_path: Path, corpus: list[Coded]) -> None:
    write(tmp_path, corpus)
    with TokenWriter(tmp_path / SEGMENT, BITS, 40) as writer:
        assert writer.passages == len(corpus)
    codes, _, index = token_files(tmp_path, SEGMENT)
    os.truncate(index, index.stat().st_size - 1)  # half of the last passage's numbers
    with TokenWriter(tmp_path / SEGMENT, BITS, 40) as writer:
        assert writer.passages == len(corpus) - 1
    os.truncate(
        codes, codes.stat().st_size - 13
    )  # the last passage's four codes, and of one before
    with TokenWriter(tmp_path / SEGMENT, BITS, 40) as writer:
        assert writer.passages == 7  # 8 has no codes, but comes after one that is not whole


# Stores that are not as the manifest says.

Spoil = Callable[[Path], object]


def shorten(file: str) -> Spoil:
    return lambda root: os.truncate(
        root / SEGMENT / file, (root / SEGMENT / file).stat().st_size - 1
    )


def lengthen(file: str) -> Spoil:
    return lambda root: os.truncate(
        root / SEGMENT / file, (root / SEGMENT / file).stat().st_size + 1
    )


def renumber(root: Path, column: int) -> None:
    """A passage has one code, or token, more than it has."""
    file = root / SEGMENT / "tokens.idx"
    numbers = np.fromfile(file, np.uint8)
    numbers[2 * 3 + column] += 1
    numbers.tofile(file)


@pytest.mark.parametrize(
    ("spoil", "file", "reason"),
    [
        *[(shorten(file), file, "bytes, expected") for file in FILES],
        *[(lengthen(file), file, "bytes, expected") for file in FILES],
        *[(lambda r, f=file: (r / SEGMENT / f).unlink(), file, "0 bytes, expected") for file in FILES],
        (lambda r: renumber(r, 0), "tokens.idx", "counts 23 codes of 69 tokens, expected 22 of 69"),
        (lambda r: renumber(r, 1), "tokens.idx", "counts 22 codes of 70 tokens, expected 22 of 69"),
    ],
)  # fmt: skip
def test_a_store_that_is_not_what_the_manifest_says_is_named(
    tmp_path: Path, corpus: list[Coded], spoil: Spoil, file: str, reason: str
) -> None:
    stated = write(tmp_path, corpus)
    spoil(tmp_path)
    with pytest.raises(BundleCorrupt, match=reason) as caught:
        opened(tmp_path, stated, len(corpus))
    assert caught.value.file == f"{SEGMENT}/{file}"


@pytest.mark.parametrize(
    ("changes", "passages", "file"),
    [
        ({}, 9, "tokens.idx"),
        ({}, 11, "tokens.idx"),
        ({}, 2**63, "tokens.idx"),
        ({}, 2**80, "tokens.idx"),
        ({"codes": 21}, 10, "tokens.idx"),
        ({"codes": 2**62}, 10, "tokens.idx"),
        ({"tokens": 70}, 10, "tokens.idx"),
        ({"encoder": encoder_of(300)}, 10, "tokens.idx"),  # whose numbers take two bytes each
    ],
)
def test_a_manifest_that_claims_something_else_is_found_out(
    tmp_path: Path, corpus: list[Coded], changes: dict[str, Any], passages: int, file: str
) -> None:
    stated = write(tmp_path, corpus)
    with pytest.raises(BundleCorrupt, match="expected") as caught:
        opened(tmp_path, stated, passages, **changes)
    assert caught.value.file == f"{SEGMENT}/{file}"


def test_tokens_of_another_encoder_are_refused(tmp_path: Path, corpus: list[Coded]) -> None:
    stated = write(tmp_path, corpus)
    with pytest.raises(BundleCorrupt, match="of another encoder than the bundle's") as caught:
        TokenStore.open(
            tmp_path, SEGMENT, stated.model_copy(update={"encoder": OTHERS}), ENCODER, len(corpus)
        )
    assert caught.value.file == f"{SEGMENT}/tokens.bin"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda r: coder_of(D, 16).save(r / CODER), "32 dimensions to 16 bits, expected 32 to 24"),
        (
            lambda r: coder_of(40, BITS).save(r / CODER),
            "40 dimensions to 24 bits, expected 32 to 24",
        ),
        (lambda r: (r / CODER).write_bytes(b"no coder"), "cannot be read"),
        (lambda r: (r / CODER).unlink(), "cannot be read"),
    ],
)
def test_a_coder_that_does_not_fit_is_named(
    tmp_path: Path, corpus: list[Coded], spoil: Spoil, reason: str
) -> None:
    stated = write(tmp_path, corpus)
    spoil(tmp_path)
    with pytest.raises(BundleCorrupt, match=reason) as caught:
        opened(tmp_path, stated, len(corpus))
    assert caught.value.file == CODER


@pytest.mark.parametrize(
    ("field", "value"),
    [("share", 0), ("share", 1.01), ("bits", 0), ("bits", 12), ("codes", -1), ("encoder", "mine")],
)
def test_settings_that_cannot_be_are_refused(field: str, value: Any) -> None:
    fingerprint = ENCODER.fingerprint
    good = {"bits": 24, "share": 1, "encoder": fingerprint, "tokens": 1, "codes": 1, "bytes": 6}
    TokenSettings.model_validate(good)
    with pytest.raises(ValueError, match=field):
        TokenSettings.model_validate(good | {field: value})


# Size.


def mapped(array: Any) -> bool:
    """Whether ``array`` is a file's pages, and not memory of its own."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array is not None


def test_a_million_passages_open_without_their_tokens_being_read(tmp_path: Path) -> None:
    """Of a file with holes: what is asked for is read, and the rest stays where it is."""
    passages, codes = 1_000_000, 60
    write(tmp_path, [])
    bin_, pos, index = token_files(tmp_path, SEGMENT)
    np.full((passages, 2), (codes, 200), np.uint8).tofile(index)
    os.truncate(bin_, passages * codes * BITS // 8)
    os.truncate(pos, passages * codes)
    with bin_.open("r+b") as file:
        file.seek(777_777 * codes * BITS // 8)
        file.write(b"\xff" * BITS)
    stated = describe(tmp_path, SEGMENT, CODER_MADE, 0.5, encoder_of(255))
    assert (stated.codes, stated.tokens) == (passages * codes, passages * 200)
    before = _resident()
    store = opened(tmp_path, stated, passages, encoder=encoder_of(255))
    assert mapped(store.codes)
    assert mapped(store.positions)
    assert not store.codes.flags.writeable
    # Eight bytes a passage are where its codes start; the codes would be 180 MB.
    assert _resident() - before < 60 * 2**20
    found, counts = store.of(np.array([777_777, 0, passages - 1]))
    assert counts.tolist() == [codes] * 3
    assert found[:8].all()
    assert not found[8:].any()


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * mmap.PAGESIZE


# In a bundle.


@pytest.fixture
def bundle(small_bundle: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(small_bundle, tmp_path / "spoiled.lurcher")


def rewrite(path: Path, **changes: Any) -> None:
    """Note the files as they are now, and what else is said of them."""
    manifest = read_manifest(path)
    assert manifest.tokens is not None
    update = {"files": list_files(path), "tokens": manifest.tokens.model_copy(update=changes)}
    write_manifest(path, manifest.model_copy(update=update))


@pytest.mark.parametrize("file", [*(f"{SEGMENT}/{name}" for name in FILES), CODER])
def test_a_file_behind_a_right_hash_is_looked_at(bundle: Path, file: str) -> None:
    (bundle / file).write_bytes(b"of the right hash, and no use")
    rewrite(bundle)
    (line,) = verify(bundle)
    assert file in line
    with pytest.raises(BundleCorrupt) as caught:
        Bundle.open(bundle)
    assert caught.value.file == file


def test_another_models_tokens_are_found_in_a_bundle(bundle: Path) -> None:
    rewrite(bundle, encoder=OTHERS)
    (line,) = verify(bundle)
    assert "another encoder" in line


def without_tokens(bundle: Path) -> dict[str, Any]:
    """Take the store out of ``bundle``; its manifest, as the file says it."""
    for file in [*token_files(bundle, SEGMENT), bundle / CODER]:
        file.unlink()
    update = {"tokens": None, "files": list_files(bundle)}
    write_manifest(bundle, read_manifest(bundle).model_copy(update=update))
    document: dict[str, Any] = json.loads((bundle / MANIFEST).read_text())
    return document


def test_a_bundle_without_tokens_opens(bundle: Path) -> None:
    assert without_tokens(bundle)["tokens"] is None
    assert verify(bundle) == []
    with closing(Bundle.open(bundle)) as found:
        assert found.tokens is None


def test_a_manifest_from_before_there_were_tokens_is_read(bundle: Path) -> None:
    document = without_tokens(bundle)
    del document["tokens"]
    assert Manifest.model_validate(document) == read_manifest(bundle)
