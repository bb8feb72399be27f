"""Builds of generated corpora with odd bytes and odd structure: all of each is searched, or it is said."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lurcher.bundle.bundle import PASSAGES
from lurcher.bundle.manifest import Coverage, Manifest
from lurcher.bundle.passages import Passage, Passages
from lurcher.bundle.verifying import verify
from lurcher.errors import CorpusError
from lurcher.index_builder.build import BuildOptions, TokenOptions, skipped_file
from lurcher.index_builder.corpus import Record, read_corpus
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.split import Splitter
from lurcher.models.encoders.encoder import Encoder
from tests.index_builder.odd_corpora import RECORDS, TEXTS, Corpus, corpora
from tests.tiny import TINY, TinyOptions, build

AT_NIGHT = settings().max_examples >= settings.get_profile("nightly").max_examples

SPLITTER = Splitter(Encoder.load(TINY, "passage", 1))

# A repeated text is longer than the encoder reads.
REPEATS = (1, 1, 1, 40)
# Blank, of the first record, and of a passage of it.
BAD_IDS = (" ", "0", "0#1")
WINDOWS = (None, None, 1, 3, 20)
# Most builds leave the tokens out: loading a ranker for each takes longer than all the rest.
TOKENS = (*[None] * 7, TokenOptions())


class Folder(NamedTuple):
    """A corpus of several files: texts, and what is none."""

    files: list[Corpus]
    others: list[str]


folders = st.builds(
    Folder,
    st.lists(corpora(TEXTS, REPEATS), min_size=1, max_size=3),
    st.lists(st.sampled_from(["a.png", "b.png", "README", ".hidden", "c.tar.gz"]), unique=True),
)
build_options = st.builds(
    TinyOptions,
    skip_bad_lines=st.booleans(),
    window=st.sampled_from(WINDOWS),
    tokens=st.sampled_from(TOKENS),
)


class Place(NamedTuple):
    """Where a bad record stands, and what is said of it."""

    file: str
    line: int | None
    reason: str
    raw: str


def write(root: Path, content: Corpus | Folder) -> Path:
    """The path of the corpus, written below ``root``."""
    if isinstance(content, Corpus):
        file = root / f"corpus{content.suffix}"
        file.write_bytes(content.content)
        return file
    folder = root / "corpus"
    (folder / "below").mkdir(parents=True)
    for number, one in enumerate(content.files):
        (folder / ("below" if number % 2 else "") / f"{number}{one.suffix}").write_bytes(
            one.content
        )
    for name in content.others:
        (folder / name).write_bytes(b"\0")
    return folder


def built(corpus: Path, out: Path, options: BuildOptions) -> Manifest | CorpusError:
    """The manifest of the bundle, or the error that the build ended with."""
    try:
        return build(corpus, out, options)
    except CorpusError as error:
        return error


def check_error(error: CorpusError, corpus: Path, out: Path) -> None:
    """One line names the file, and the line if there is one; nothing is left that looks like a bundle."""
    said = str(error)
    assert len(said.splitlines()) == 1
    assert said.startswith(str(error.file))
    assert error.file.is_relative_to(corpus)
    assert error.line is None or f", line {error.line}: " in said
    assert not out.exists()
    assert not out.with_name(f"{out.name}.partial").exists()


def read(corpus: Path, options: BuildOptions) -> list[Record] | None:
    """The records of the corpus; None if it cannot be read to its end."""
    try:
        return list(read_corpus(corpus, options.reading))
    except CorpusError:
        return None


def set_aside(out: Path) -> list[Place]:
    """The bad records that the build of ``out`` reported."""
    file = skipped_file(out)
    if not file.exists():
        return []
    return [Place(**json.loads(line)) for line in file.read_text("utf-8").splitlines()]


def all_of(document: Document, passages: Sequence[Passage]) -> bool:
    """Whether each character of ``document`` that is read is in one of ``passages``, as it stands there."""
    hidden = {at for start, end in document.hidden for at in range(start, end)}
    seen: set[int] = set()
    for passage in passages:
        span = range(passage.start, passage.end)
        if passage.text != "".join(document.text[at] for at in span if at not in hidden):
            return False
        seen.update(span)
    text = enumerate(document.text)
    return seen >= {at for at, sign in text if not sign.isspace() and at not in hidden}


def check_stored(passages: Iterable[Passage], records: Sequence[Record]) -> int:
    """How many documents were stored, each of them whole."""
    stored: dict[str, list[Passage]] = defaultdict(list)
    for passage in passages:
        stored[passage.document].append(passage)
    given: dict[str, list[Document]] = defaultdict(list)
    for record in records:
        if record.document is not None:
            given[record.document.id].append(record.document)
    for id_, parts in stored.items():
        assert any(all_of(document, parts) for document in given[id_]), (given[id_], parts)
        assert all(SPLITTER.fits([part.content for part in parts]))
    return len(stored)


def check_counts(manifest: Manifest, corpus: Path, stored: int, aside: Sequence[Place]) -> None:
    """Files and records that are not stored are counted, and no passage is cut."""
    coverage, figures = manifest.coverage, manifest.figures
    assert isinstance(coverage, Coverage)
    assert coverage.documents == stored
    assert coverage.characters_read == coverage.characters
    assert sum(coverage.passages_by_kind.values()) == manifest.passages
    assert figures.skipped_records == len(aside)
    assert figures.truncated_passages == 0
    if corpus.is_dir():
        there = [file for file in corpus.rglob("*") if file.is_file() and file.name[0] != "."]
        assert stored + len(aside) + sum(coverage.files_left_out.values()) == len(there)


def check_build(root: Path, content: Corpus | Folder, options: BuildOptions) -> None:
    """Build a corpus: all of it is searched, or it is said what is not, in the bundle or in a line."""
    corpus, out = write(root, content), root / "b.lurcher"
    reading = (content if isinstance(content, Corpus) else content.files[0]).options
    options = replace(options, reading=reading)
    records = read(corpus, options)
    result = built(corpus, out, options)
    aside = set_aside(out)
    bad = [record for record in records or [] if record.reason is not None]
    if isinstance(result, CorpusError):
        check_error(result, corpus, out)
        nothing = result.reason == "no passage in it"
        one_is_bad = not options.skip_bad_lines and (result.file, result.line) in {
            (record.file, record.line) for record in records or []
        }
        assert records is None or nothing or one_is_bad
        return
    assert records is not None
    assert options.skip_bad_lines or not aside
    assert {Place(str(r.file), r.line, r.reason or "", r.raw) for r in bad} <= set(aside)
    with closing(Passages(out / PASSAGES)) as passages:
        stored = check_stored(passages.get(range(passages.count)), records)
    assert stored + len(aside) == len(records)
    check_counts(result, corpus, stored, aside)
    assert verify(out) == []


@settings(max_examples=5_000 if AT_NIGHT else 8)
@given(
    corpora(RECORDS, REPEATS, BAD_IDS) | corpora(RECORDS + TEXTS, REPEATS) | folders, build_options
)
def test_all_of_a_corpus_is_searched_or_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, content: Corpus | Folder, options: Any
) -> None:
    root = tmp_path_factory.mktemp("odd")
    try:
        check_build(root, content, options)
    finally:
        shutil.rmtree(root)
