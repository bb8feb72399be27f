"""A build that is to answer: its codes, its reader, what an interruption leaves, and what is refused."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import ENCODER, READER, SEGMENT, Bundle, verify
from lurcher.bundle.manifest import hash_file, read_manifest
from lurcher.bundle.reading_store import READING_CODER, reading_files
from lurcher.bundle.token_store import CODER, token_files
from lurcher.errors import FieldError, ModelError, ModelNotFound
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.index_builder.edit.swap_ranker import swap_ranker
from lurcher.index_builder.edit.swap_reader import swap_reader
from lurcher.index_builder.neighbours import NeighbourOptions
from lurcher.index_builder.options import TokenOptions
from lurcher.index_builder.passage_tokens import PassageTokens
from lurcher.index_builder.stages.encode_passages import FLAGS_FILE
from lurcher.index_builder.stages.fit_reading_coder import calibrate
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.reader.coder import ReadingCoder
from lurcher.models.reader.reader import READER_FILE, READER_GRAPH, load_reader_config
from lurcher.models.tokens.coder import MAX_DF
from tests.index_builder.killing import build_in_pieces, interrupt, run
from tests.index_builder.test_resume import Recorder, interrupted
from tests.tickets import tickets
from tests.tiny import PROFILES, TINY, TinyOptions, build

Write = Callable[[Path, Iterable[Any]], Path]

SHIPPED = TINY / READER
ANSWERS = TinyOptions(answers=True)
STORE = [*reading_files(Path(), SEGMENT), Path(READING_CODER)]
OWN = [*STORE, Path(READER) / READER_FILE, Path(READER) / READER_GRAPH]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.lurcher"


@pytest.fixture(scope="module")
def undisturbed(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a build in small pieces that nobody disturbed."""
    out = tmp_path_factory.mktemp("undisturbed") / "out.lurcher"
    build_in_pieces(small_corpus, out, ANSWERS)
    return out


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(TINY, "passage", 1)


def another_reader(folder: Path, **changes: Any) -> Path:
    """The tiny encoder's in ``folder``, but for what it says of itself."""
    shutil.copytree(SHIPPED, folder)
    said = json.loads((folder / READER_FILE).read_text())
    (folder / READER_FILE).write_text(json.dumps(said | changes))
    return folder


def content(root: Path) -> list[bytes]:
    """The bytes of both stores and their coders, and of the reader."""
    files = [*token_files(Path(), SEGMENT), Path(CODER), *OWN]
    return [(root / file).read_bytes() for file in files]


# What a build writes.


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
        counts = bundle.reading.gather(np.arange(4))[1]
        assert (counts > 0).tolist() == [False, True, False, True]
        assert counts[1] <= encoder.config.max_tokens - 2


def test_a_corpus_without_a_token_has_a_store_without_a_code(
    tmp_path: Path, out: Path, write_jsonl: Write
) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"id": i, "text": " " * i} for i in range(5)])
    stated = build(corpus, out, ANSWERS).reading
    assert stated is not None
    assert (stated.codes, stated.bytes) == (0, 5 * 2)
    assert verify(out) == []


# Interruptions.


@pytest.mark.parametrize(("stage", "at"), [("calibrating", 0), ("encoding", 16), ("encoding", 60)])
def test_an_interrupted_build_ends_in_the_same_bytes(
    small_corpus: Path, undisturbed: Path, out: Path, stage: str, at: int
) -> None:
    interrupted(small_corpus, out, stage, at, ANSWERS)
    recorder = Recorder()
    build_in_pieces(small_corpus, out, ANSWERS, recorder)
    assert content(out) == content(undisturbed)
    assert read_manifest(out).reading == read_manifest(undisturbed).reading
    assert recorder.resumed["encoding"] == (0 if stage == "calibrating" else at)


@pytest.mark.parametrize("seed", range(4))
def test_files_cut_anywhere_are_gone_on_with_to_the_same_bytes(
    small_corpus: Path, undisturbed: Path, out: Path, seed: int
) -> None:
    interrupted(small_corpus, out, "encoding", 48, ANSWERS)
    partial, draw = out.with_name(f"{out.name}.partial"), random.Random(seed)
    files = reading_files(partial / "bundle", SEGMENT)
    others = [*token_files(partial / "bundle", SEGMENT), partial / "scratch" / FLAGS_FILE]
    for file in [draw.choice(files), *draw.sample(others, draw.randint(0, len(others)))]:
        os.truncate(file, draw.randint(0, file.stat().st_size))
    recorder = Recorder()
    build_in_pieces(small_corpus, out, ANSWERS, recorder)
    assert recorder.resumed["encoding"] % 16 == 0  # the same batches
    assert content(out) == content(undisturbed)


# Moments that chance seldom meets: the fail point, how often it is passed, and the file half written then.
PLACES: dict[str, tuple[str, int, str]] = {
    "coder half written": ("reading coder: begun", 1, READING_CODER),
    "coder written, and not noted": ("reading coder: written", 1, ""),
    "codes written, how many they are not": ("reading.idx: entries written", 2, ""),
    "tokens written, their codes for the reader not": ("tokens.idx: passages appended", 2, ""),
    "codes written, the vectors not": ("reading.idx: passages appended", 2, ""),
    "reader half copied": ("reader: begun", 1, f"{READER}/{READER_GRAPH}"),
}


@pytest.mark.parametrize("name", PLACES)
def test_interrupted_between_two_steps_a_build_goes_on_to_the_same_bytes(
    small_corpus: Path, undisturbed: Path, out: Path, name: str
) -> None:
    interrupt(small_corpus, out, *PLACES[name], options=ANSWERS)
    assert not out.exists()
    build_in_pieces(small_corpus, out, ANSWERS)
    assert verify(out) == []
    assert content(out) == content(undisturbed)


@pytest.mark.nightly
@pytest.mark.parametrize("name", PLACES)
def test_killed_between_two_steps_a_build_goes_on_to_the_same_bytes(
    small_corpus: Path, undisturbed: Path, out: Path, name: str
) -> None:
    status, error = run(small_corpus, out, *PLACES[name], options="TinyOptions(answers=True)")
    assert status == -signal.SIGKILL, error
    assert not out.exists()
    build_in_pieces(small_corpus, out, ANSWERS)
    assert verify(out) == []
    assert content(out) == content(undisturbed)


# Reruns that ask for something else.


@pytest.mark.parametrize("at", [("encoding", 32), ("tuning", 0)])
def test_a_rerun_without_answers_leaves_nothing_of_them(
    small_corpus: Path, out: Path, at: tuple[str, int]
) -> None:
    interrupted(small_corpus, out, *at, ANSWERS)
    recorder = Recorder()
    manifest = build_in_pieces(small_corpus, out, None, recorder)
    assert recorder.stages["encoding"] == 60
    assert (manifest.reading, manifest.reader) == (None, None)
    assert not any((out / file).exists() for file in OWN)
    assert not (out / READING_CODER).parent.exists()
    assert verify(out) == []


@pytest.mark.parametrize("at", [("encoding", 32), ("tuning", 0)])
def test_a_rerun_with_answers_codes_what_was_encoded_without(
    small_corpus: Path, undisturbed: Path, out: Path, at: tuple[str, int]
) -> None:
    interrupted(small_corpus, out, *at)
    recorder = Recorder()
    build_in_pieces(small_corpus, out, ANSWERS, recorder)
    assert "reading" not in recorder.stages  # of the corpus
    assert content(out) == content(undisturbed)


def test_another_reader_of_as_many_bits_needs_no_encoding(
    small_corpus: Path, out: Path, tmp_path: Path
) -> None:
    interrupted(small_corpus, out, "tuning", 0, ANSWERS)
    recorder = Recorder()
    mine = another_reader(tmp_path / "mine", name="mine")
    manifest = build_in_pieces(small_corpus, out, replace(ANSWERS, reader=mine), recorder)
    assert set(recorder.stages) == {"tuning"}
    assert manifest.reader is not None
    assert manifest.reader.name == "mine"
    assert verify(out) == []


def test_other_bits_are_coded_anew(small_corpus: Path, out: Path) -> None:
    interrupted(small_corpus, out, "tuning", 0, ANSWERS)
    recorder = Recorder()
    manifest = build_in_pieces(small_corpus, out, replace(ANSWERS, answer_bits=64), recorder)
    assert set(recorder.stages) == {"calibrating", "encoding", "indexing", "tuning"}
    assert recorder.stages["encoding"] == 60
    assert manifest.reading is not None
    assert manifest.reading.bits == 64
    assert verify(out) == []


# What is refused, before anything is read.


@pytest.fixture
def bad_corpus(tmp_path: Path) -> Path:
    """One that would be an error of its own."""
    corpus = tmp_path / "c.jsonl"
    corpus.write_text('{"id": "a"}\n')
    return corpus


def test_answers_need_tokens() -> None:
    with pytest.raises(FieldError, match="answers: need the tokens"):
        TinyOptions(answers=True, tokens=None)


@pytest.mark.parametrize(("field", "value"), [("reader", SHIPPED), ("answer_bits", 64)])
def test_what_is_for_answers_goes_with_them(field: str, value: Any) -> None:
    with pytest.raises(FieldError, match=f"{field}: is for answers"):
        TinyOptions(**{field: value})


def test_an_encoder_without_lower_states_cannot_answer(
    bad_corpus: Path, out: Path, tmp_path: Path
) -> None:
    old = shutil.copytree(TINY, tmp_path / "old")
    config = json.loads((old / "config.json").read_text())
    del config["lower_states"]
    (old / "config.json").write_text(json.dumps(config))
    for options in (replace(ANSWERS, encoder=old), replace(ANSWERS, encoder=old, answer_bits=64)):
        with pytest.raises(
            FieldError, match=r"answers: .* gives no lower states .*`lurcher export`"
        ):
            build(bad_corpus, out, options)
    assert not out.exists()


@pytest.mark.parametrize("bits", [0, -8, 20, 104])
def test_bits_that_cannot_be_had_are_named(bad_corpus: Path, out: Path, bits: int) -> None:
    with pytest.raises(
        FieldError, match=f"answer_bits: .* from 8 to 96, the encoder's, not {bits}"
    ):
        build(bad_corpus, out, replace(ANSWERS, answer_bits=bits))
    assert [file.name for file in out.parent.iterdir()] == [bad_corpus.name]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"encoder": f"sha256:{'f' * 64}"}, "does not fit: it was trained for another encoder"),
        ({"dimension": 768}, "does not fit: it was trained for another dimension: 768, not 96"),
        ({"bits": 12}, "bits: "),
        ({"surprise": 1}, "surprise: "),
    ],
)
def test_a_reader_that_does_not_fit_is_refused(
    bad_corpus: Path, out: Path, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    mine = another_reader(tmp_path / "mine", **changes)
    with pytest.raises(ModelError, match=reason):
        build(bad_corpus, out, replace(ANSWERS, reader=mine))
    assert {file.name for file in tmp_path.iterdir()} == {bad_corpus.name, "mine"}


def test_a_reader_that_was_trained_on_more_bits_than_there_are_is_refused(
    bad_corpus: Path, out: Path, tmp_path: Path
) -> None:
    mine = another_reader(tmp_path / "mine", bits=104)
    with pytest.raises(FieldError, match=r"answer_bits: .* not 104"):
        build(bad_corpus, out, replace(ANSWERS, reader=mine))


@pytest.mark.parametrize(
    ("file", "raw", "error"),
    [
        (READER_GRAPH, b"no graph", ModelError),
        (READER_GRAPH, (TINY / "ranker" / "query.onnx").read_bytes(), ModelError),
        (READER_FILE, b"{", ModelError),
        (READER_FILE, None, ModelNotFound),
    ],
)
def test_a_reader_that_cannot_be_used_is_refused(
    bad_corpus: Path, out: Path, tmp_path: Path, file: str, raw: bytes | None, error: type
) -> None:
    mine = another_reader(tmp_path / "mine")
    (mine / file).unlink()
    if raw is not None:
        (mine / file).write_bytes(raw)
    with pytest.raises(error, match=str(mine)):
        build(bad_corpus, out, replace(ANSWERS, reader=mine))
    assert not out.exists()


# An encoder without a reader.


@pytest.fixture
def readerless(tmp_path: Path) -> Path:
    """The tiny encoder, but for its reader."""
    folder = tmp_path / "encoder"
    return Path(shutil.copytree(TINY, folder, ignore=lambda *_: [READER, "students"]))


def test_an_encoder_without_a_reader_says_how_to_get_one(
    bad_corpus: Path, out: Path, readerless: Path
) -> None:
    said = "answers: .* has no reader; `lurcher train reader` makes one"
    with pytest.raises(FieldError, match=said):
        build(bad_corpus, out, replace(ANSWERS, encoder=readerless))


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


# Bundles made from bundles.


def swapped(old: Path, out: Path, records: list[dict[str, Any]]) -> None:
    swap_encoder(old, PROFILES["fast"], out)


def reranked(old: Path, out: Path, records: list[dict[str, Any]]) -> None:
    swap_ranker(old, TINY / "ranker", out)


def adapted(old: Path, out: Path, records: list[dict[str, Any]]) -> None:
    adapt(old, tickets(records), NeighbourOptions(keep_unseen=0), out)


# A reader put into a bundle that is there.


def test_a_swapped_reader_answers_and_all_else_is_shared(
    answering_bundle: Path, out: Path, tmp_path: Path
) -> None:
    mine = another_reader(tmp_path / "mine", name="mine", min_score=0.25)
    made, manifest = swap_reader(answering_bundle, mine, out)
    assert made == out
    assert manifest.reader == load_reader_config(mine)
    assert verify(out) == verify(answering_bundle) == []
    for file in STORE:
        assert (out / file).samefile(answering_bundle / file)
    assert read_manifest(answering_bundle).reader == load_reader_config(SHIPPED)
    with closing(Bundle.open(out)) as bundle:
        reader = bundle.reader(1)
        assert reader is not None
        assert reader.config.min_score == 0.25
    with pytest.raises(FieldError, match=r"out: .* exists"):
        swap_reader(answering_bundle, mine, out)


def test_a_bundle_is_named_by_the_reader_that_is_put_in(
    answering_bundle: Path, tmp_path: Path
) -> None:
    bundle = shutil.copytree(answering_bundle, tmp_path / "wiki.lurcher")
    first, _ = swap_reader(bundle, another_reader(tmp_path / "mine", name="ours, of March"))
    assert first == tmp_path / "wiki-ours-of-March.lurcher"
    second, _ = swap_reader(first, SHIPPED)
    assert second == tmp_path / f"wiki-{load_reader_config(SHIPPED).name}.lurcher"


def test_a_store_built_to_train_on_gets_its_reader(
    small_corpus: Path, out: Path, readerless: Path, tmp_path: Path
) -> None:
    bits = load_reader_config(SHIPPED).bits
    build(small_corpus, out, replace(ANSWERS, encoder=readerless, answer_bits=bits))
    _, manifest = swap_reader(out, SHIPPED, tmp_path / "answers.lurcher")
    assert manifest.reader == load_reader_config(SHIPPED)
    assert verify(tmp_path / "answers.lurcher") == []


def test_a_reader_that_cannot_be_put_in_leaves_nothing(
    answering_bundle: Path, small_bundle: Path, out: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        FieldError, match=r"bundle: .* has no codes to read; `lurcher build --answers`"
    ):
        swap_reader(small_bundle, SHIPPED, out)
    other = another_reader(tmp_path / "other", encoder=f"sha256:{'0' * 64}")
    with pytest.raises(ModelError, match="another encoder"):
        swap_reader(answering_bundle, other, out)
    broken = another_reader(tmp_path / "broken")
    (broken / READER_GRAPH).write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="cannot load"):
        swap_reader(answering_bundle, broken, out)
    with pytest.raises(ModelNotFound, match="nowhere"):
        swap_reader(answering_bundle, tmp_path / "nowhere", out)
    assert not out.exists()


@pytest.mark.parametrize("derive", [swapped, reranked, adapted])
def test_a_bundle_made_of_another_answers_by_its_files(
    answering_bundle: Path,
    small_records: list[dict[str, Any]],
    out: Path,
    derive: Callable[..., None],
) -> None:
    derive(answering_bundle, out, small_records)
    assert verify(out) == []
    manifest, before = read_manifest(out), read_manifest(answering_bundle)
    assert (manifest.reading, manifest.reader) == (before.reading, before.reader)
    for file in OWN:
        assert (out / file).samefile(answering_bundle / file)
    with closing(Bundle.open(out)) as bundle:
        assert bundle.reader(1) is not None


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
