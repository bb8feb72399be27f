"""Generated corpora of every kind, with odd bytes and odd structure: each reads, or says why not."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import assume, given, settings

from lurcher.errors import CorpusError, FieldError
from lurcher.index_builder.corpus import FieldNames, ReadOptions, Record, read_corpus
from tests.index_builder.odd_corpora import HIDING, TEXTS, TOKEN, Corpus, corpora

# So many kinds, encodings and ways to spoil them take more examples than most properties.
AT_NIGHT = settings().max_examples >= settings.get_profile("nightly").max_examples


def said(file: Path, corpus: Corpus) -> list[Record] | None:
    """The records, each checked by itself; None if the corpus was refused, which is checked as well."""
    try:
        records = list(read_corpus(file, corpus.options))
    except CorpusError as error:
        refusal = str(error)
    else:
        return [checked(record, file) for record in records]
    assert refusal.startswith(str(file))
    assert len(refusal.splitlines()) == 1
    return None


def checked(record: Record, file: Path) -> Record:
    """The record, if it is as records have to be."""
    assert record.file == file
    assert (record.document is None) == (record.reason is not None)
    assert len(record.raw) <= 1000
    if record.document is not None:
        assert record.document.id.encode()
        json.dumps(record.document.metadata, allow_nan=False).encode()
    if record.reason is not None:
        assert len(record.reason.splitlines()) == 1
    return record


def told(records: list[Record]) -> str:
    """All that documents and bad records show of a corpus."""
    return "\n".join(f"{record.document}\n{record.raw!r}" for record in records)


def lines_of(records: list[Record]) -> set[int]:
    """The lines of bad records, to their last if they say that they have several."""
    found: set[int] = set()
    for record in records:
        if record.reason is not None and record.line is not None:
            last = re.search(r"ends on line (\d+)", record.reason)
            found |= set(range(record.line, 1 + (int(last[1]) if last else record.line)))
    return found


@settings(max_examples=5_000 if AT_NIGHT else 100)
@given(corpora())
def test_each_corpus_is_read_or_refused_in_a_line(
    tmp_path_factory: pytest.TempPathFactory, corpus: Corpus
) -> None:
    file = tmp_path_factory.getbasetemp() / f"corpus{corpus.suffix}"
    file.write_bytes(corpus.content)
    records = said(file, corpus)
    if not corpus.intact:
        return
    # What a writer wrote is there, whatever its encoding; or there is a reason.
    assert records is not None
    shown = told(records)
    bad = any(record.reason for record in records)
    content = corpus.content
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    numbers = {int(token[2:-1]) for token in TOKEN.findall(content.replace(b"\0", b""))}
    if corpus.suffix in HIDING and not records:
        return
    if corpus.suffix in TEXTS:
        assert bad or all(f"zq{number}x" in shown for number in numbers)
    else:
        assert all(f"zq{number}x" in shown for number in numbers)


@settings(max_examples=2_000 if AT_NIGHT else 50)
@given(corpora((".jsonl", ".json", ".csv", ".tsv", ".txt", ".md")))
def test_nothing_of_a_spoilt_file_vanishes_unsaid(
    tmp_path_factory: pytest.TempPathFactory, corpus: Corpus
) -> None:
    content = corpus.content
    # Read as UTF-16, all of these are something else.
    assume(not (corpus.options.encoding or "").startswith("utf-16"))
    file = tmp_path_factory.getbasetemp() / f"spoilt{corpus.suffix}"
    file.write_bytes(content)
    records = said(file, corpus)
    if records is None or (corpus.suffix in HIDING and not records):
        return
    shown = told(records)
    covered = lines_of(records)
    whole_file = any(record.reason and record.line is None for record in records)
    for token in TOKEN.finditer(content):
        line = 1 + content.count(b"\n", 0, token.start())
        assert whole_file or token[0].decode() in shown or line in covered


def test_options_that_a_corpus_has_no_use_for(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    for name in ("a.parquet", "a.jsonl"):
        (tmp_path / name).write_text("")
    for name, options, field in (
        ("a.txt", ReadOptions(fields=FieldNames(text="body")), "field"),
        ("a.jsonl", ReadOptions(delimiter=";"), "delimiter"),
        ("a.parquet", ReadOptions(encoding="latin1"), "encoding"),
    ):
        with pytest.raises(FieldError) as caught:
            read_corpus(tmp_path / name, reading=options)
        assert caught.value.field == field
