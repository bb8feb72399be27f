"""The lexical index that a build writes: flags, language, the same bytes after a kill, old bundles."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import SEGMENT, Bundle
from lurcher.bundle.lexical_files import lexical_files
from lurcher.bundle.lexical_index import LexicalIndex
from lurcher.bundle.manifest import FORMAT_VERSION, read_manifest, write_manifest
from lurcher.bundle.verifying import verify
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.index_builder.options import LexicalOptions
from tests.index_builder.killing import build_in_pieces as build
from tests.index_builder.killing import interrupt
from tests.tiny import TinyOptions

Write = Callable[[Path, Iterable[Any]], Path]


def lexical(bundle: Bundle) -> LexicalIndex:
    assert bundle.lexical is not None
    return bundle.lexical


def found(bundle: Bundle, query: str, k: int = 10) -> list[str]:
    """The ids of the passages that the lexical index finds, best first."""
    index = lexical(bundle)
    rows = index.top(index.look_up(index.analyser.query_terms(query)), k)[1]
    return [passage.id for passage in bundle.passages.get(rows.tolist())]


def test_a_bundle_finds_its_passages_by_their_words(small_bundle: Path) -> None:
    with closing(Bundle.open(small_bundle)) as bundle:
        index = lexical(bundle)
        assert index.count == index.settings.passages == 60
        assert set(found(bundle, "glacier valley")) >= {f"en-earth-{n}" for n in range(4)}
        assert found(bundle, "Gletscher", 1) == ["de-earth-0"]
        assert found(bundle, "xylophone") == []
        # A title counts more than a text: "animals" is in titles alone.
        assert {id_.split("-")[1] for id_ in found(bundle, "animals", 12)} == {"animals"}


def test_without_an_index_nothing_else_is_missing(build_once: Callable[..., Path]) -> None:
    out = build_once("wordless", seed=1, lexical=None)
    assert verify(out) == []
    assert not [file for file in lexical_files(out, SEGMENT) if file.exists()]
    manifest = read_manifest(out)
    assert manifest.lexical is None
    with closing(Bundle.open(out)) as bundle:
        assert bundle.lexical is None
        assert bundle.passages.count == 60


def test_the_language_is_the_corpus_s_or_what_is_asked_for(
    tmp_path: Path, out: Path, write_jsonl: Write
) -> None:
    texts = [
        f"The trains that leave from platform {n} are for those who have been waiting in the hall"
        for n in range(30)
    ]
    corpus = write_jsonl(
        tmp_path / "trains.jsonl", ({"id": i, "text": t} for i, t in enumerate(texts))
    )
    assert build(corpus, out).lexical is not None
    with closing(Bundle.open(out)) as bundle:
        assert lexical(bundle).settings.language == "english"
        assert len(found(bundle, "train wait", 50)) == 30
    other = out.with_name("other.lurcher")
    build(corpus, other, TinyOptions(lexical=LexicalOptions("none")))
    with closing(Bundle.open(other)) as bundle:
        assert lexical(bundle).settings.language == "none"
        assert found(bundle, "train wait") == []


PLACES = {
    "runs written, not merged": ("lexical: runs written", ""),
    "postings written, how many they are not": ("lexical.idx: entries written", ""),
    "written, and not noted": ("lexical: written", ""),
    "half written": ("lexical: begun", f"{SEGMENT}/lexical.rows"),
}
_DAILY = ("postings written, how many they are not", "half written")


@pytest.mark.parametrize(
    "name",
    [
        place if place in _DAILY else pytest.param(place, marks=pytest.mark.nightly)
        for place in PLACES
    ],
)
def test_interrupted_anywhere_the_index_is_the_same(
    small_corpus: Path, small_bundle: Path, out: Path, name: str
) -> None:
    place, half = PLACES[name]
    interrupt(small_corpus, out, place, half=half, options=TinyOptions(seed=1))
    assert not out.exists()
    build(small_corpus, out, TinyOptions(seed=1))
    assert verify(out) == []
    for file in lexical_files(Path(), SEGMENT):
        assert (out / file).read_bytes() == (small_bundle / file).read_bytes(), file
    assert read_manifest(out).lexical == read_manifest(small_bundle).lexical


def test_other_options_after_a_kill_write_another_index(small_corpus: Path, out: Path) -> None:
    interrupt(
        small_corpus, out, "index: begun", options=TinyOptions(lexical=LexicalOptions("german"))
    )
    manifest = build(small_corpus, out)
    assert manifest.lexical is not None
    assert manifest.lexical.language != "german"
    other = out.with_name("other.lurcher")
    interrupt(small_corpus, other, "index: begun")
    assert build(small_corpus, other, TinyOptions(lexical=None)).lexical is None
    assert not [file for file in lexical_files(other, SEGMENT) if file.exists()]


def test_a_changed_bundle_keeps_its_index(old: Path, write_student: Callable[..., Path]) -> None:
    out, manifest = swap_encoder(old, write_student())
    assert manifest.lexical == read_manifest(old).lexical
    with closing(Bundle.open(out)) as new, closing(Bundle.open(old)) as before:
        assert found(new, "oboe concert") == found(before, "oboe concert")


def test_a_bundle_of_format_3_opens_without_an_index(
    old: Path, write_student: Callable[..., Path]
) -> None:
    manifest = read_manifest(old)
    for file in lexical_files(old, SEGMENT):
        file.unlink()
    kept = {name: entry for name, entry in manifest.files.items() if "lexical" not in name}
    update = {"format_version": 3, "files": kept, "lexical": None}
    write_manifest(old, manifest.model_copy(update=update))
    assert verify(old) == []
    with closing(Bundle.open(old)) as bundle:
        assert bundle.lexical is None
    # What is made of it is written by this version, with all fields of its manifest.
    out, changed = swap_encoder(old, write_student())
    assert changed.format_version == FORMAT_VERSION
    assert verify(out) == []


def test_of_another_number_of_passages_it_is_refused(old: Path) -> None:
    manifest = read_manifest(old)
    assert manifest.lexical is not None
    update = {"lexical": manifest.lexical.model_copy(update={"passages": 59})}
    write_manifest(old, manifest.model_copy(update=update))
    [problem] = verify(old)
    assert "is of 59 passages, the bundle has 60" in problem


def test_the_manifest_says_what_the_files_hold(small_bundle: Path) -> None:
    told = json.loads((small_bundle / "manifest.json").read_text())["lexical"]
    files = lexical_files(small_bundle, SEGMENT)
    assert told["bytes"] == sum(file.stat().st_size for file in files)
    assert told["term_bytes"] == files[0].stat().st_size
    assert told["passages"] == 60
