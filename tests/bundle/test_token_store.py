"""The token store's own: what the manifest says, small numbers, and whose tokens they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import SEGMENT, Bundle
from lurcher.bundle.jagged import count_type
from lurcher.bundle.manifest import MANIFEST, Manifest, list_files, read_manifest, write_manifest
from lurcher.bundle.token_store import (
    CODER,
    TokenSettings,
    TokenStore,
    TokenWriter,
    describe_tokens,
    position_type,
    token_files,
)
from lurcher.bundle.verifying import verify
from lurcher.errors import BundleCorrupt
from lurcher.models.encoders.config import EncoderConfig, load_config
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.models.tokens.coder import Coded, TokenCoder
from lurcher.models.tokens.projection import Projection
from tests.bundle.opened_stores import token_store

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


def write(root: Path, corpus: list[Coded], max_tokens: int = 40) -> TokenSettings:
    """Write a store for ``corpus``; what the manifest says of it."""
    (root / SEGMENT).mkdir(parents=True)
    (root / CODER).parent.mkdir()
    CODER_MADE.save(root / CODER)
    with TokenWriter(root / SEGMENT, BITS, max_tokens) as writer:
        for coded in corpus:
            writer.append_coded([coded])
    return describe_tokens(root, SEGMENT, CODER_MADE, 0.5, encoder_of(max_tokens))


def opened(root: Path, stated: TokenSettings, passages: int, **changes: Any) -> TokenStore:
    encoder = changes.pop("encoder", ENCODER)
    return token_store(root, SEGMENT, stated.model_copy(update=changes), encoder, passages)


@pytest.fixture
def corpus() -> list[Coded]:
    counts = [(3, 9), (0, 0), (5, 12), (1, 1), (0, 0), (0, 0), (7, 40), (2, 3), (0, 0), (4, 4)]
    return [passage(i, codes, tokens) for i, (codes, tokens) in enumerate(counts)]


def test_what_is_written_is_read(tmp_path: Path, corpus: list[Coded]) -> None:
    stated = write(tmp_path, corpus)
    codes = sum(len(one.codes) for one in corpus)
    assert stated.model_dump() == {
        "bits": BITS, "keep_ratio": 0.5, "encoder": ENCODER.fingerprint,
        "tokens": sum(one.tokens for one in corpus), "codes": codes,
        "bytes": codes * (BITS // 8 + 1) + 2 * len(corpus),
    }  # fmt: skip
    assert stated.bytes == sum(file.stat().st_size for file in token_files(tmp_path, SEGMENT))
    store = opened(tmp_path, stated, len(corpus))
    assert store.settings == stated
    found, counts = store.gather(np.array([9, 1, 2, 2]))
    assert counts.tolist() == [4, 0, 5, 5]
    np.testing.assert_array_equal(found, np.concatenate([corpus[row].codes for row in (9, 2, 2)]))
    for row, one in enumerate(corpus):
        places = store.gather_positions(np.array([row]))
        assert places.dtype == np.int64
        assert places.tolist() == one.positions.tolist()


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
    assert [store.gather_positions(np.array([row])).tolist() for row in range(3)] == [
        places.tolist(), [], places.tolist()
    ]  # fmt: skip


Spoil = Callable[[Path], object]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"codes": 21}, "counts 22 codes of 69 tokens, expected 21 of 69"),
        ({"tokens": 70}, "counts 22 codes of 69 tokens, expected 22 of 70"),
        (
            {"encoder": encoder_of(300)},
            "20 bytes, expected 40",
        ),  # whose numbers take two bytes each
    ],
)
def test_a_manifest_that_claims_something_else_is_found_out(
    tmp_path: Path, corpus: list[Coded], changes: dict[str, Any], reason: str
) -> None:
    stated = write(tmp_path, corpus)
    with pytest.raises(BundleCorrupt, match=reason) as caught:
        opened(tmp_path, stated, len(corpus), **changes)
    assert caught.value.file == f"{SEGMENT}/tokens.idx"


def test_tokens_of_another_encoder_are_refused(tmp_path: Path, corpus: list[Coded]) -> None:
    stated = write(tmp_path, corpus)
    with pytest.raises(BundleCorrupt, match="of another encoder than the bundle's") as caught:
        token_store(
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
    [
        ("keep_ratio", 0),
        ("keep_ratio", 1.01),
        ("bits", 0),
        ("bits", 12),
        ("codes", -1),
        ("encoder", "mine"),
    ],
)
def test_settings_that_cannot_be_are_refused(field: str, value: Any) -> None:
    fingerprint = ENCODER.fingerprint
    good = {
        "bits": 24,
        "keep_ratio": 1,
        "encoder": fingerprint,
        "tokens": 1,
        "codes": 1,
        "bytes": 6,
    }
    TokenSettings.model_validate(good)
    with pytest.raises(ValueError, match=field):
        TokenSettings.model_validate(good | {field: value})


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
