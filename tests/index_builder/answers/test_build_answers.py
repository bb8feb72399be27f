"""A build that is to answer: its codes, its coder, and its reader."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lurcher.bundle.bundle import ENCODER, READER, SEGMENT, Bundle
from lurcher.bundle.manifest import hash_file, read_manifest
from lurcher.bundle.reading_store import reading_files
from lurcher.bundle.token_store import CODER, token_files
from lurcher.bundle.verifying import verify
from lurcher.index_builder.options import TokenOptions
from lurcher.index_builder.passage_tokens import PassageTokens
from lurcher.index_builder.stages.fit_reading_coder import calibrate
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.reader.coder import ReadingCoder
from lurcher.models.reader.reader import READER_FILE, READER_GRAPH, load_reader_config
from lurcher.models.tokens.coder import MAX_DF
from tests.index_builder.answers.answering import ANSWERS, OWN, SHIPPED, STORE, Write, content
from tests.index_builder.killing import build_in_pieces
from tests.tickets import tickets
from tests.tiny import PROFILES, TinyOptions, build


def test_each_token_that_tells_something_has_a_code_of_its_state(
    answering_bundle: Path, encoder: Encoder
) -> None:
    with closing(Bundle.open(answering_bundle)) as bundle:
        assert bundle.reading is not None
        assert bundle.tokens is not None
        frequency, coder = bundle.tokens.coder.frequency, bundle.reading.coder
        for row in (0, 31, 59):
            (tokens,) = encoder.tokenise([bundle.passages.get([row])[0].content])
            (states,) = encoder.lower_states([tokens])
            ids = np.array(tokens.ids[1:-1])
            rare = frequency[ids] <= MAX_DF
            codes, counts = bundle.reading.gather(np.array([row]))
            assert counts.tolist() == [rare.sum()]
            wanted = coder.code(states[1:-1][rare], ids[rare])
            # In other company states round a little otherwise.
            assert (np.unpackbits(codes) == np.unpackbits(wanted)).mean() > 0.98
            decoded, exact = coder.decode(codes, ids[rare]), coder.centred(states[1:-1][rare])
            assert np.linalg.norm(decoded - exact) < 0.5 * np.linalg.norm(exact)


def test_the_manifest_says_what_the_store_and_the_reader_are(
    answering_bundle: Path, encoder: Encoder
) -> None:
    manifest = read_manifest(answering_bundle)
    assert manifest.reading is not None
    with closing(Bundle.open(answering_bundle)) as bundle:
        assert bundle.reading is not None
        assert manifest.reading.codes == bundle.reading.gather(np.arange(60))[1].sum()
        assert bundle.reader(1) is not None
    assert manifest.reading.bits == load_reader_config(SHIPPED).bits
    assert manifest.reading.encoder == encoder.config.fingerprint
    files = reading_files(answering_bundle, SEGMENT)
    assert manifest.reading.bytes == sum(file.stat().st_size for file in files)
    assert manifest.reader == load_reader_config(SHIPPED)
    for name in (READER_FILE, READER_GRAPH):
        assert hash_file(answering_bundle / READER / name) == hash_file(SHIPPED / name)


def test_nothing_else_is_other_than_without_answers(
    answering_bundle: Path, small_bundle: Path
) -> None:
    before, manifest = read_manifest(small_bundle), read_manifest(answering_bundle)
    assert set(manifest.files) - set(before.files) == {file.as_posix() for file in OWN}
    for file in [*token_files(Path(), SEGMENT), Path(CODER)]:
        assert (answering_bundle / file).read_bytes() == (small_bundle / file).read_bytes()
    assert (manifest.tokens, manifest.figures) == (before.tokens, before.figures)
    assert before.reading is None
    assert before.reader is None


def test_the_same_corpus_makes_the_same_bytes(
    small_corpus: Path, answering_bundle: Path, out: Path
) -> None:
    build(small_corpus, out, TinyOptions(seed=1, answers=True))
    assert content(out) == content(answering_bundle)


def test_empty_passages_and_long_ones_have_the_codes_they_can(
    tmp_path: Path, out: Path, write_jsonl: Write, encoder: Encoder
) -> None:
    records = [
        {"id": "none", "text": ""},
        {"id": "long", "text": "Glaciers carve valleys " + "and so on " * 500},
        {"id": "blank", "title": " ", "text": "\n"},
        {"id": "short", "text": "🐈 <b>bread</b>"},
    ]
    build(write_jsonl(tmp_path / "c.jsonl", records), out, ANSWERS)
    assert verify(out) == []
    with closing(Bundle.open(out)) as bundle:
        assert bundle.reading is not None
        rows = range(bundle.passages.count)
        counts = bundle.reading.gather(np.array(rows))[1]
        assert (counts > 0).tolist() == [bool(one.content) for one in bundle.passages.get(rows)]
        assert counts.max() <= encoder.config.max_tokens - 2


def test_a_corpus_without_a_token_has_a_store_without_a_code(
    tmp_path: Path, out: Path, write_jsonl: Write
) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"id": i, "text": " " * i} for i in range(5)])
    stated = build(corpus, out, ANSWERS).reading
    assert stated is not None
    assert (stated.codes, stated.bytes) == (0, 5 * 2)
    assert verify(out) == []


def test_with_bits_asked_for_there_is_a_store_to_train_one_on(
    small_corpus: Path, out: Path, readerless: Path, undisturbed: Path
) -> None:
    bits = load_reader_config(SHIPPED).bits
    options = replace(ANSWERS, encoder=readerless, answer_bits=bits)
    manifest = build_in_pieces(small_corpus, out, options)
    assert manifest.reader is None
    assert manifest.reading == read_manifest(undisturbed).reading
    assert not (out / READER).exists()
    assert verify(out) == []
    for file in STORE:
        assert (out / file).read_bytes() == (undisturbed / file).read_bytes()


# A coder of a sample.


def test_a_coder_is_made_of_the_lower_states_of_a_sample_that_the_seed_draws(
    answering_bundle: Path, encoder: Encoder
) -> None:
    def made(seed: int, sample: int) -> ReadingCoder:
        tokens = PassageTokens(bundle.passages, encoder)
        return calibrate(tokens, bundle.tokens.coder, 32, seed, sample)

    with closing(Bundle.open(answering_bundle)) as bundle:
        assert bundle.tokens is not None
        one, two, other = made(1, 10), made(1, 10), made(2, 10)
        states = [
            found[encoder.own_tokens(tokens)]
            for passage in bundle.passages.get(range(60))
            for tokens in encoder.tokenise([passage.content])
            for found in encoder.lower_states([tokens])
        ]
        informative = [
            bundle.tokens.coder.informative(tokens.ids[encoder.own_tokens(tokens)])
            for tokens in encoder.tokenise([one.content for one in bundle.passages.get(range(60))])
        ]
        whole = made(1, 60)
    np.testing.assert_array_equal(one.centres, two.centres)
    assert one.bits == 32
    assert (one.centres.any(axis=1) != other.centres.any(axis=1)).any()
    units = np.concatenate([found[kept] for found, kept in zip(states, informative, strict=True)])
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    np.testing.assert_allclose(
        whole.mean, units.mean(axis=0), atol=2e-3
    )  # INT8 is not of one batch's
    assert one.centres.shape == (encoder.vocabulary, 96)


def test_known_queries_go_into_a_bundle_that_answers(
    small_corpus: Path, small_records: list[dict[str, Any]], out: Path
) -> None:
    """A build with both puts the queries into the bundle when all else is there."""
    known = TinyOptions(seed=1, answers=True, judged=tickets(small_records))
    manifest = build(small_corpus, out, known)
    assert manifest.neighbours is not None
    assert manifest.reader is not None
    assert verify(out) == []


def test_answers_go_with_another_query_encoder_and_few_tokens(
    small_corpus: Path, out: Path
) -> None:
    options = replace(ANSWERS, student=PROFILES["fast"], tokens=TokenOptions(64, 0.2))
    manifest = build(small_corpus, out, options)
    assert manifest.reading is not None
    assert manifest.tokens is not None
    assert manifest.reading.codes > 2 * manifest.tokens.codes
    assert (out / ENCODER / "query.onnx").exists()
    assert verify(out) == []
