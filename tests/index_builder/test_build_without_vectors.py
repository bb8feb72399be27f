"""Bundles built without vectors: what is in them, what they refuse, and what an interrupted build leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import ALIKE, COPIES, PASSAGES, SEGMENT, Bundle
from lurcher.bundle.lexical_files import lexical_files
from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.verifying import verify
from lurcher.errors import BundleError, FieldError, ModelNotFound
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.index_builder.edit.swap_ranker import swap_ranker
from lurcher.index_builder.edit.swap_reader import swap_reader
from lurcher.index_builder.judged.known import Known
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from lurcher.models.encoders.config import CONFIG_FILE, TOKENIZER_FILE
from tests.index_builder.killing import build_in_pieces as build
from tests.index_builder.killing import interrupt
from tests.tiny import TINY, TinyOptions

Write = Callable[[Path, Iterable[Any]], Path]

WORDS = TinyOptions(seed=1, vectors=False, tokens=None)
JUDGED = Judged([Known("q", "a sleepy pet", {"en-animals-0": 1.0}, "q.tsv")])


def files(bundle: Path) -> set[str]:
    return {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()}


def contents(bundle: Path) -> dict[str, bytes]:
    """The bytes of all files that are the same in every build."""
    varies = ("manifest.json", PASSAGES)
    return {name: (bundle / name).read_bytes() for name in files(bundle) if name not in varies}


def test_words_and_texts_are_all_that_it_holds(words_bundle: Path, small_bundle: Path) -> None:
    terms = {file.as_posix() for file in lexical_files(Path(), SEGMENT)}
    assert files(words_bundle) == {"manifest.json", PASSAGES, COPIES, ALIKE, *terms}
    assert verify(words_bundle) == []
    for name in (COPIES, *terms):
        assert (words_bundle / name).read_bytes() == (small_bundle / name).read_bytes()
    with closing(Bundle.open(words_bundle)) as words, closing(Bundle.open(small_bundle)) as full:
        assert words.passages.get(range(60)) == full.passages.get(range(60))


def test_the_manifest_says_that_nothing_is_encoded(words_bundle: Path, small_bundle: Path) -> None:
    manifest, full = read_manifest(words_bundle), read_manifest(small_bundle)
    assert manifest.encoder is None
    assert manifest.student is None
    assert manifest.encoder_name == ""
    assert manifest.build.index == "none"
    assert manifest.tokens is manifest.ranker is manifest.neighbours is None
    assert manifest.lexical == full.lexical
    assert manifest.coverage == full.coverage
    figures = manifest.figures
    assert figures.search_effort is figures.recall_at_100 is figures.lexical_gain is None
    assert figures.recall_queries == figures.truncated_passages == 0
    # Whole, as JSON: a key that this version does not know is refused.
    assert json.loads((words_bundle / "manifest.json").read_text())["encoder"] is None


def test_a_tokeniser_is_all_that_is_read_of_the_encoder(
    tmp_path: Path, small_corpus: Path, words_bundle: Path
) -> None:
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    with pytest.raises(ModelNotFound, match="encoder"):
        build(
            small_corpus,
            tmp_path / "out.lurcher",
            TinyOptions(encoder=encoder, vectors=False, tokens=None),
        )
    for name in (CONFIG_FILE, TOKENIZER_FILE):
        shutil.copyfile(TINY / name, encoder / name)
    options = TinyOptions(encoder=encoder, seed=1, vectors=False, tokens=None)
    build(small_corpus, tmp_path / "out.lurcher", options)
    assert contents(tmp_path / "out.lurcher") == contents(words_bundle)


def test_long_documents_are_split_as_with_vectors(tmp_path: Path, write_jsonl: Write) -> None:
    text = " ".join(f"The orchestra tunes to the oboe before concert {n}." for n in range(60))
    records = [{"id": "long", "text": text}, {"id": "empty", "text": ""}]
    corpus = write_jsonl(tmp_path / "long.jsonl", records)
    words = build(corpus, tmp_path / "words.lurcher", WORDS)
    full = build(corpus, tmp_path / "full.lurcher")
    assert words.passages == full.passages > 2
    assert words.coverage == full.coverage
    assert words.figures.empty_passages == full.figures.empty_passages == 1


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"lexical": None}, "no index to search by, as --no-lexical"),
        ({"index": "Flat"}, "--index"),
        ({"recall": 0.9}, "--recall"),
        ({"student": TINY / "students" / "fast"}, "--profile"),
        ({"ranker": TINY / "ranker"}, "--ranker"),
        ({"states": "1-bit"}, "--states"),
        ({"answers": True}, "--answers"),
        ({"judged": JUDGED}, "--queries"),
    ],
)
def test_what_needs_vectors_contradicts_it(options: dict[str, Any], flag: str) -> None:
    with pytest.raises(FieldError, match=f"^no_vectors: .*{flag}"):
        TinyOptions(**{"vectors": False, "tokens": None, **options})


def test_tokens_have_to_be_left_out_too() -> None:
    with pytest.raises(FieldError, match=r"^no_vectors: .*--token-bits"):
        TinyOptions(vectors=False)


PLACES = [
    "passages: written",
    "copies: written",
    "lexical: runs written",
    "vectors: begun",
    "manifest: begun",
]


@pytest.mark.parametrize("place", PLACES)
def test_interrupted_anywhere_the_bundle_is_the_same(
    small_corpus: Path, words_bundle: Path, out: Path, place: str
) -> None:
    interrupt(small_corpus, out, place, options=WORDS)
    assert not out.exists()
    build(small_corpus, out, WORDS)
    assert contents(out) == contents(words_bundle)


def test_after_a_build_with_vectors_was_killed_nothing_of_them_is_left(
    small_corpus: Path, words_bundle: Path, out: Path
) -> None:
    interrupt(small_corpus, out, "manifest: begun", options=TinyOptions(seed=1, answers=True))
    build(small_corpus, out, WORDS)
    assert contents(out) == contents(words_bundle)
    assert verify(out) == []


def test_after_a_build_without_was_killed_vectors_are_made(
    small_corpus: Path, small_bundle: Path, out: Path
) -> None:
    interrupt(small_corpus, out, "manifest: begun", options=WORDS)
    build(small_corpus, out, TinyOptions(seed=1))
    assert files(out) == files(small_bundle)
    assert verify(out) == []


@pytest.mark.parametrize("teacher", [False, True])
def test_another_query_encoder_is_refused(
    words_bundle: Path, tmp_path: Path, write_student: Callable[..., Path], teacher: bool
) -> None:
    student = None if teacher else write_student()
    with pytest.raises(
        BundleError, match=r"words\.lurcher: this bundle has no vectors; .*--no-vectors"
    ):
        swap_encoder(words_bundle, student, tmp_path / "out.lurcher")
    assert not (tmp_path / "out.lurcher").exists()


def test_other_parts_that_read_vectors_are_refused(words_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.lurcher"
    with pytest.raises(BundleError, match="this bundle has no vectors"):
        adapt(words_bundle, JUDGED, NeighbourOptions(), out)
    with pytest.raises(FieldError, match="has no tokens to rank by"):
        swap_ranker(words_bundle, TINY / "ranker", out)
    with pytest.raises(FieldError, match="has no codes to read"):
        swap_reader(words_bundle, TINY / "reader", out)
    assert list(tmp_path.iterdir()) == []
