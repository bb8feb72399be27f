"""A build's token store: what is in it, what an interruption leaves, and what each option changes."""

from __future__ import annotations

import os
import random
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import PASSAGES, SEGMENT, Bundle, verify
from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.passages import Passages
from lurcher.bundle.token_store import CODER, TokenStore, token_files
from lurcher.errors import FieldError
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.index_builder.neighbours import NeighbourOptions
from lurcher.index_builder.options import TokenOptions
from lurcher.index_builder.passage_tokens import PassageTokens
from lurcher.index_builder.stages import fit_token_coder
from lurcher.index_builder.stages.encode_passages import FLAGS_FILE, VECTORS_FILE, Coding
from lurcher.index_builder.stages.fit_token_coder import calibrate
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.ranker.maxsim import NOTHING, maxsim
from lurcher.models.tokens.coder import Coded, TokenCoder
from lurcher.models.tokens.products import Vectors
from tests.index_builder.killing import build_in_pieces
from tests.index_builder.test_resume import Recorder, interrupted
from tests.tickets import tickets
from tests.tiny import PROFILES, TINY, TinyOptions, build

Write = Callable[[Path, Iterable[Any]], Path]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.lurcher"


@pytest.fixture(scope="module")
def undisturbed(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a build in small pieces that nobody disturbed."""
    out = tmp_path_factory.mktemp("undisturbed") / "out.lurcher"
    build_in_pieces(small_corpus, out)
    return out


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(TINY, "passage", 1)


def content(root: Path) -> list[bytes]:
    """The bytes of a store and its coder."""
    return [file.read_bytes() for file in [*token_files(root, SEGMENT), root / CODER]]


def ranked(bundle: Path, query: str) -> list[str]:
    """Ids of the passages, best first by late interaction alone."""
    with closing(Bundle.open(bundle)) as opened:
        assert opened.tokens is not None
        reader = opened.query_encoder(1)
        (tokens,) = reader.tokenise([query])
        (states,) = reader.encode_states([tokens])[1]
        own = reader.own_tokens(tokens)
        points, weights = opened.tokens.coder.queries(states[own], tokens.ids[own])
        rows = np.arange(opened.passages.count)
        scores = maxsim(points, weights, *opened.tokens.gather(rows))
        return [p.id for p in opened.passages.get(np.argsort(-scores, kind="stable").tolist())]


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
        _, counts = store.gather(np.arange(60))
    assert stated.codes == counts.sum() == len(store.codes)
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


def test_passages_beyond_the_limit_are_coded_up_to_it(
    tmp_path: Path, out: Path, write_jsonl: Write, encoder: Encoder
) -> None:
    text = "Glaciers carve valleys " + "and so on " * 500
    manifest = build(write_jsonl(tmp_path / "c.jsonl", [{"id": "a", "text": text}]), out)
    assert manifest.tokens is not None
    assert manifest.tokens.tokens == encoder.config.max_tokens - 2
    assert manifest.figures.truncated_passages == 1
    with closing(Bundle.open(out)) as bundle:
        assert bundle.tokens is not None
        assert bundle.tokens.gather_positions(np.array([0])).max() < manifest.tokens.tokens


# Interruptions.


def test_more_passages_than_a_chunk_are_coded_in_row_order(
    small_corpus: Path, small_bundle: Path, out: Path
) -> None:
    build_in_pieces(small_corpus, out, TinyOptions(seed=1))
    with closing(Bundle.open(out)) as one, closing(Bundle.open(small_bundle)) as other:
        assert one.tokens is not None
        assert other.tokens is not None
        for row in range(60):  # in other batches states round a little otherwise
            found, wanted = (
                len(store.gather_positions(np.array([row]))) for store in (one.tokens, other.tokens)
            )
            assert found == wanted
        (some, _), (same, _) = one.tokens.gather(np.arange(60)), other.tokens.gather(np.arange(60))
        assert (np.unpackbits(some) == np.unpackbits(same)).mean() > 0.98


@pytest.mark.parametrize(
    ("stage", "at"), [("calibrating", 0), ("encoding", 0), ("encoding", 16), ("encoding", 60)]
)
def test_an_interrupted_build_ends_in_the_same_bytes(
    small_corpus: Path, undisturbed: Path, out: Path, stage: str, at: int
) -> None:
    interrupted(small_corpus, out, stage, at)
    recorder = Recorder()
    build_in_pieces(small_corpus, out, report=recorder)
    assert content(out) == content(undisturbed)
    assert read_manifest(out).tokens == read_manifest(undisturbed).tokens
    assert ("calibrating" in recorder.stages) == (stage == "calibrating")
    assert recorder.resumed["encoding"] == (0 if stage == "calibrating" else at)


@pytest.mark.parametrize("seed", range(5))
def test_files_cut_anywhere_are_gone_on_with_to_the_same_bytes(
    small_corpus: Path, undisturbed: Path, out: Path, seed: int
) -> None:
    interrupted(small_corpus, out, "encoding", 48)
    partial, draw = out.with_name(f"{out.name}.partial"), random.Random(seed)
    files = token_files(partial / "bundle", SEGMENT)
    files += [partial / "scratch" / name for name in (VECTORS_FILE, FLAGS_FILE)]
    for file in draw.sample(files, draw.randint(1, len(files))):
        os.truncate(file, draw.randint(0, file.stat().st_size))
    recorder = Recorder()
    build_in_pieces(small_corpus, out, report=recorder)
    assert recorder.resumed["encoding"] % 16 == 0  # the same batches
    assert content(out) == content(undisturbed)


@pytest.mark.parametrize("at", [("encoding", 32), ("tuning", 0)])
def test_other_tokens_are_encoded_again_but_not_read_again(
    small_corpus: Path, out: Path, at: tuple[str, int]
) -> None:
    interrupted(small_corpus, out, *at)
    recorder = Recorder()
    options = TinyOptions(tokens=TokenOptions(bits=32, keep_ratio=0.5))
    stated = build_in_pieces(small_corpus, out, options, recorder).tokens
    assert set(recorder.stages) == {"calibrating", "encoding", "indexing", "tuning"}
    assert recorder.stages["encoding"] == 60
    assert stated is not None
    assert (stated.bits, stated.keep_ratio) == (32, 0.5)
    assert verify(out) == []


@pytest.mark.parametrize("at", [("encoding", 32), ("tuning", 0)])
def test_a_rerun_without_tokens_leaves_none(
    small_corpus: Path, out: Path, at: tuple[str, int]
) -> None:
    interrupted(small_corpus, out, *at)
    recorder = Recorder()
    manifest = build_in_pieces(small_corpus, out, TinyOptions(tokens=None), recorder)
    assert set(recorder.stages) == {"encoding", "indexing", "tuning"}
    assert manifest.tokens is None
    assert not [file for file in manifest.files if "token" in file and "encoder/" not in file]
    assert not (out / CODER).parent.exists()
    assert verify(out) == []


def test_a_rerun_with_tokens_codes_what_was_encoded_without(
    small_corpus: Path, undisturbed: Path, out: Path
) -> None:
    interrupted(small_corpus, out, "tuning", 0, TinyOptions(tokens=None))
    build_in_pieces(small_corpus, out)
    assert content(out) == content(undisturbed)


def test_another_seed_matters_to_the_encoding_only_where_there_are_tokens(
    small_corpus: Path, tmp_path: Path
) -> None:
    for tokens, stages in (
        (None, {"indexing", "tuning"}),
        (TokenOptions(), {"calibrating", "encoding", "indexing", "tuning"}),
    ):
        out, options = tmp_path / f"{len(stages)}.lurcher", TinyOptions(tokens=tokens)
        interrupted(small_corpus, out, "tuning", 0, options)
        recorder = Recorder()
        build_in_pieces(small_corpus, out, replace(options, seed=2), recorder)
        assert set(recorder.stages) == stages


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


# A coder of a sample.


def test_how_many_are_read_at_once_changes_no_coder(
    small_bundle: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Passages(small_bundle / PASSAGES)) as passages:
        wanted = calibrate(PassageTokens(passages, encoder), 32, None, 1)
        for name in ("_READ_AT_ONCE", "_ENCODED_AT_ONCE"):
            monkeypatch.setattr(fit_token_coder, name, 7)
        found = calibrate(PassageTokens(passages, encoder), 32, None, 1)
    np.testing.assert_array_equal(found.frequency, wanted.frequency)
    np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-3)


def test_a_coder_is_made_of_a_sample_that_the_seed_draws(
    small_bundle: Path, encoder: Encoder
) -> None:
    with closing(Passages(small_bundle / PASSAGES)) as passages:
        one, two, other = (
            calibrate(PassageTokens(passages, encoder), 32, None, seed, sample=10, counted=20)
            for seed in (1, 1, 2)
        )
    np.testing.assert_array_equal(one.projection.passages, two.projection.passages)
    assert one.frequency.min() == pytest.approx(1 / 21)
    assert not np.array_equal(one.frequency, other.frequency)
    assert len(one.frequency) == encoder.vocabulary


def test_passages_are_read_and_tokenised_once_while_there_is_room(
    small_bundle: Path, encoder: Encoder
) -> None:
    class Counting(Passages):
        read = 0

        def contents(self, rows: Sequence[int]) -> list[str]:
            self.read += len(rows)
            return super().contents(rows)

    with closing(Counting(small_bundle / PASSAGES)) as passages:
        tokens = PassageTokens(passages, encoder, remembered=10)
        first, empty = tokens.read(range(8))
        assert not empty.any()
        assert tokens.read([7, 3]) == ([first[7], first[3]], pytest.approx([False, False]))
        assert passages.read == 8
        assert tokens.read(range(4, 14))[0][:4] == first[4:]
        assert passages.read == 8 + 6
        tokens.read([8, 9, 13])  # the last came when there was no room
        assert passages.read == 8 + 6 + 1
        assert first == encoder.tokenise(passages.contents(range(8)))


# Memory.


def test_states_are_gone_when_a_passage_is_coded(
    small_records: list[dict[str, Any]], small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a batch are in memory at once, not those of a chunk."""
    monkeypatch.setattr("lurcher.models.encoders.encoder.TOKEN_BUDGET", 64)
    batches: dict[int, weakref.ref[Any]] = {}
    alive: list[int] = []
    code = TokenCoder.code

    def watched(self: TokenCoder, states: Vectors, ids: Sequence[int], keep_ratio: float) -> Coded:
        batch: Any = states
        while isinstance(batch.base, np.ndarray):
            batch = batch.base
        if not any(reference() is batch for reference in batches.values()):
            batches[len(batches)] = weakref.ref(batch)
        alive.append(sum(reference() is not None for reference in batches.values()))
        return code(self, states, ids, keep_ratio)

    monkeypatch.setattr(TokenCoder, "code", watched)
    encoder = Encoder.load(TINY, "passage", 1)
    coding = Coding(TokenCoder.load(small_bundle / CODER), 0.5)
    vectors, coded = coding.encode(encoder, encoder.tokenise([r["text"] for r in small_records]))
    assert len(vectors) == len(coded) == 60
    assert len(batches) > 5
    assert max(alive) <= 2


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
