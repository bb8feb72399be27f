"""A build's token store: what is in it, what odd corpora make of it, and what each option changes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import SEGMENT, Bundle
from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.token_store import CODER, TokenStore, token_files
from lurcher.bundle.verifying import verify
from lurcher.errors import FieldError
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.index_builder.neighbours import NeighbourOptions
from lurcher.index_builder.options import TokenOptions
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.ranker.maxsim import NOTHING, maxsim
from tests.index_builder.tokens.stores import Write, content, ranked
from tests.tickets import tickets
from tests.tiny import PROFILES, TinyOptions, build

# What a build writes.


def test_the_manifest_says_what_the_store_holds(
    small_bundle: Path, encoder: Encoder, small_records: list[dict[str, Any]]
) -> None:
    stated, options = read_manifest(small_bundle).tokens, TokenOptions()
    assert stated is not None
    texts = [f"{record['title']} {record['text']}" for record in small_records]
    lengths = [len(tokens.ids) - 2 for tokens in encoder.tokenise(texts)]  # but [CLS] and [SEP]
    assert stated.tokens == sum(lengths)
    assert stated.bits == options.bits_for(96)
    assert stated.keep_ratio == options.keep_ratio
    assert stated.encoder == encoder.config.fingerprint
    with closing(Bundle.open(small_bundle)) as bundle:
        store = bundle.tokens
        assert store is not None
        codes, counts = store.gather(np.arange(60))
    assert stated.codes == counts.sum() == len(codes)
    assert (counts > 0).all()
    assert (counts <= np.ceil(np.array(lengths) * stated.keep_ratio)).all()
    assert stated.bytes == stated.codes * (stated.bits // 8 + 1) + 60 * 4
    assert stated.bytes == sum(file.stat().st_size for file in token_files(small_bundle, SEGMENT))


def test_without_merging_each_token_is_there_but_the_common_ones(
    small_corpus: Path, out: Path, encoder: Encoder
) -> None:
    stated = build(small_corpus, out, TinyOptions(tokens=TokenOptions(64, 1.0))).tokens
    assert stated is not None
    assert (stated.bits, stated.keep_ratio) == (64, 1.0)
    with closing(Bundle.open(out)) as bundle:
        store = bundle.tokens
        assert store is not None
        for row in (0, 31, 59):
            (tokens,) = encoder.tokenise([bundle.passages.get([row])[0].content])
            (states,) = encoder.encode_states([tokens])[1]
            ids = np.array(tokens.ids[1:-1])
            kept = np.flatnonzero(store.coder.frequency[ids] <= 0.5)
            assert store.gather_positions(np.array([row])).tolist() == kept.tolist()
            alone = store.coder.code(states[1:-1], ids.tolist(), 1.0)
            wanted, found = (
                np.unpackbits(alone.codes),
                np.unpackbits(store.gather(np.array([row]))[0]),
            )
            assert (
                wanted == found
            ).mean() > 0.98  # in other company states round a little otherwise
        dots = encoder.tokenise(["."])[0].ids[1]
        assert store.coder.frequency[dots] == pytest.approx(1)  # every passage ends in one


def test_vectors_are_the_same_with_tokens_and_without(
    small_corpus: Path, small_bundle: Path, out: Path
) -> None:
    manifest = build(small_corpus, out, TinyOptions(seed=1, tokens=None))
    assert manifest.tokens is None
    assert verify(out) == []
    before = read_manifest(small_bundle)
    without = {file for file in before.files if "tokens" in file or file.startswith("ranker/")}
    assert {Path(file).name for file in without} == {
        "tokens.bin", "tokens.pos", "tokens.idx", "coder.npz", "decoder.json", "query.onnx", "pair.onnx"
    }  # fmt: skip
    assert set(manifest.files) == set(before.files) - without
    with closing(Bundle.open(out)) as bundle, closing(Bundle.open(small_bundle)) as other:
        assert bundle.tokens is None
        rows = np.arange(60)
        np.testing.assert_allclose(
            bundle.vectors.vectors(rows), other.vectors.vectors(rows), atol=1e-6
        )


def test_late_interaction_finds_what_was_asked_for(small_bundle: Path) -> None:
    assert all(
        id_.startswith("en-music")
        for id_ in ranked(small_bundle, "the orchestra tunes to the oboe")[:4]
    )


def test_the_same_corpus_makes_the_same_bytes(
    small_corpus: Path, small_bundle: Path, out: Path
) -> None:
    build(small_corpus, out, TinyOptions(seed=1))
    assert content(out) == content(small_bundle)


# Odd corpora.


def test_a_corpus_of_nothing_but_empty_passages(
    tmp_path: Path, out: Path, write_jsonl: Write
) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"id": i, "text": " " * i} for i in range(5)])
    stated = build(corpus, out).tokens
    assert stated is not None
    assert (stated.tokens, stated.codes, stated.bytes) == (0, 0, 5 * 2 * 2)
    assert verify(out) == []
    with closing(Bundle.open(out)) as bundle:
        assert bundle.tokens is not None
        codes, counts = bundle.tokens.gather(np.arange(5))
        assert (len(codes), counts.tolist()) == (0, [0] * 5)
    assert len(ranked(out, "anything")) == 5


def test_an_empty_passage_among_others_has_no_codes_and_comes_last(
    tmp_path: Path, out: Path, write_jsonl: Write
) -> None:
    records = [
        {"id": "none", "text": ""},
        {"id": "cat", "text": "A cat sleeps on the windowsill"},
        {"id": "blank", "title": " ", "text": "\n"},
        {"id": "bread", "text": "Bread rises"},
    ]
    build(write_jsonl(tmp_path / "c.jsonl", records), out)
    with closing(Bundle.open(out)) as bundle:
        assert bundle.tokens is not None
        assert (bundle.tokens.gather(np.arange(4))[1] > 0).tolist() == [False, True, False, True]
    assert ranked(out, "a sleeping cat")[0] == "cat"
    assert set(ranked(out, "a sleeping cat")[2:]) == {"none", "blank"}


@pytest.mark.parametrize("text", ["cat", "A cat sleeps on the warm windowsill all afternoon"])
def test_a_corpus_of_one_passage(tmp_path: Path, out: Path, write_jsonl: Write, text: str) -> None:
    """All its tokens are in every passage there is, and so as common as can be."""
    stated = build(write_jsonl(tmp_path / "c.jsonl", [{"id": "a", "text": text}]), out).tokens
    assert stated is not None
    assert stated.codes >= 1
    assert verify(out) == []
    assert ranked(out, "cat") == ["a"]


def test_passages_of_one_token(tmp_path: Path, out: Path, write_jsonl: Write) -> None:
    words = ["cat", "bread", "dog", "glass", "music"]
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"id": word, "text": word} for word in words])
    stated = build(corpus, out).tokens
    assert stated is not None
    assert (stated.tokens, stated.codes) == (5, 5)
    with closing(Bundle.open(out)) as bundle:
        assert bundle.tokens is not None
        assert [bundle.tokens.gather_positions(np.array([row])).tolist() for row in range(5)] == [
            [0]
        ] * 5
    assert [ranked(out, word)[0] for word in words] == words


def test_the_parts_of_a_long_document_are_coded_up_to_the_limit(
    tmp_path: Path, out: Path, write_jsonl: Write, encoder: Encoder
) -> None:
    text = "Glaciers carve valleys " + "and so on " * 500
    manifest = build(write_jsonl(tmp_path / "c.jsonl", [{"id": "a", "text": text}]), out)
    assert manifest.tokens is not None
    assert manifest.tokens.tokens > encoder.room
    assert manifest.figures.truncated_passages == 0
    with closing(Bundle.open(out)) as bundle:
        assert bundle.tokens is not None
        rows = np.arange(manifest.passages)
        assert bundle.tokens.gather_positions(rows).max() < encoder.room


# Options.


@pytest.mark.parametrize("keep_ratio", [0, -0.5, 1.01])
def test_a_keep_ratio_is_a_share(keep_ratio: float) -> None:
    with pytest.raises(FieldError, match="keep_ratio: must be above 0 and at most 1"):
        TokenOptions(keep_ratio=keep_ratio)


@pytest.mark.parametrize("bits", [0, 20, 104])
def test_bits_are_refused_before_anything_is_read(out: Path, tmp_path: Path, bits: int) -> None:
    corpus = tmp_path / "c.jsonl"
    corpus.write_text('{"id": "a"}\n')  # would be an error of its own
    with pytest.raises(FieldError, match=f"token_bits: .* from 8 to 96, the encoder's, not {bits}"):
        build(corpus, out, TinyOptions(tokens=TokenOptions(bits)))
    assert [file.name for file in tmp_path.iterdir()] == [corpus.name]


@pytest.mark.parametrize(("dimension", "most"), [(8, 8), (12, 8), (30, 24), (100, 96)])
def test_as_many_bits_are_taken_as_the_encoder_has(dimension: int, most: int) -> None:
    assert TokenOptions().bits_for(dimension) == most
    assert TokenOptions(8).bits_for(dimension) == 8


# Bundles made from bundles.


@pytest.fixture(scope="module")
def derived(
    small_bundle: Path,
    small_records: list[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("derived")
    swapped, adapted = folder / "swapped.lurcher", folder / "adapted.lurcher"
    swap_encoder(small_bundle, PROFILES["fast"], swapped)
    adapt(small_bundle, tickets(small_records), NeighbourOptions(keep_unseen=0), adapted)
    return {"swapped": swapped, "adapted": adapted}


@pytest.mark.parametrize("how", ["swapped", "adapted"])
def test_a_bundle_made_of_another_shares_its_store(
    derived: dict[str, Path], small_bundle: Path, how: str
) -> None:
    out = derived[how]
    assert verify(out) == []
    assert read_manifest(out).tokens == read_manifest(small_bundle).tokens
    for file in [*token_files(Path(), SEGMENT), Path(CODER)]:
        assert (out / file).samefile(small_bundle / file)
    with closing(Bundle.open(out)) as bundle:
        assert isinstance(bundle.tokens, TokenStore)


def test_a_students_queries_meet_its_teachers_tokens(derived: dict[str, Path]) -> None:
    for query, topic in (
        ("the orchestra tunes to the oboe", "music"),
        ("yeast turns sugar into gas", "food"),
    ):
        found = ranked(derived["swapped"], query)[:4]
        assert all(id_.startswith(f"en-{topic}") for id_ in found), found


def test_no_passage_is_worse_than_one_without_tokens(small_bundle: Path) -> None:
    with closing(Bundle.open(small_bundle)) as bundle:
        assert bundle.tokens is not None
        points = np.ones((1, bundle.tokens.coder.bits), np.float32) / bundle.tokens.coder.bits**0.5
        scores = maxsim(points, np.ones(1, np.float32), *bundle.tokens.gather(np.arange(60)))
    assert (scores > NOTHING).all()
