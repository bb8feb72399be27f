"""Queries and judgements as BEIR writes them, and what is said where they are not."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lurcher.errors import CorpusError
from lurcher.evaluation.judgements import read_qrels, read_queries

QUERIES = '{"_id": "q1", "text": "first"}\n\n{"id": 2, "text": "", "metadata": {}}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td 2\t0\n2\td1\t2\n"


def test_queries_come_in_file_order(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text(QUERIES)
    assert list(read_queries(path).items()) == [("q1", "first"), ("2", "")]


def test_grades_come_by_query_and_passage(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_text(QRELS)
    assert read_qrels(path) == {"q1": {"d1": 1, "d 2": 0}, "2": {"d1": 2}}


@pytest.mark.parametrize("header", ["", "\ufeff", "\ufeffquery-id\tcorpus-id\tscore\r\n"])
def test_the_header_may_be_left_out_and_lines_may_end_as_on_windows(
    tmp_path: Path, header: str
) -> None:
    path = tmp_path / "test.tsv"
    path.write_text(f"{header}q1\td1\t-1\r\n", encoding="utf-8", newline="")
    assert read_qrels(path) == {"q1": {"d1": -1}}


def test_either_may_be_gzipped(tmp_path: Path) -> None:
    queries, qrels = tmp_path / "queries.jsonl.gz", tmp_path / "test.tsv.gz"
    queries.write_bytes(gzip.compress(QUERIES.encode()))
    qrels.write_bytes(gzip.compress(QRELS.encode()))
    assert len(read_queries(queries)) == len(read_qrels(qrels)) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2: not JSON"),
        ("[" * 100_000, "line 2: not JSON"),
        ("[]", "line 2: not a JSON object"),
        ('{"text": "no id"}', "line 2: needs an _id"),
        ('{"_id": true, "text": "t"}', "line 2: needs an _id"),
        ('{"_id": "q", "text": 1}', "line 2: needs an _id"),
        ('{"_id": "q1", "text": "t"}', "line 2: query id 'q1' was used before"),
    ],
)
def test_a_bad_query_is_an_error_with_its_line(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"_id": "q1", "text": "first"}\n' + line)
    with pytest.raises(CorpusError, match=reason):
        read_queries(path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("q1\td1", "line 3: 2 fields, expected"),
        ("q1 0 d1 1 x", "line 3: 5 fields, expected"),
        ("q1\td1\t1\tnote", "line 3: 4 fields, expected 3 as in the lines before"),
        ("q1\td1\t1.5", "line 3: grade '1.5' is not a whole number"),
        ("q1\td1\t", "line 3: grade '' is not a whole number"),
    ],
)
def test_a_bad_judgement_is_an_error_with_its_line(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "test.tsv"
    path.write_text(f"query-id\tcorpus-id\tscore\nq1\td0\t1\n{line}\n")
    with pytest.raises(CorpusError, match=reason):
        read_qrels(path)


@pytest.mark.parametrize("read", [read_queries, read_qrels])
@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\xfa", b"\x1f\x8b cut", None])
def test_a_file_that_holds_nothing_is_an_error_that_names_it(
    tmp_path: Path, read: type[read_queries], content: bytes | None
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorpusError) as caught:
        read(path)
    assert caught.value.file == path


def test_a_gzip_cut_short_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv.gz"
    path.write_bytes(gzip.compress(QRELS.encode() * 500)[:-20])
    with pytest.raises(CorpusError):
        read_qrels(path)


def test_a_header_alone_holds_no_judgement(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_text("query-id\tcorpus-id\tscore\n")
    with pytest.raises(CorpusError, match="no judgement in it"):
        read_qrels(path)


def test_real_judgements_are_read_whole(data: Path) -> None:
    queries = read_queries(data / "scifact" / "queries.jsonl")
    qrels = read_qrels(data / "scifact" / "qrels" / "test.tsv")
    assert len(qrels) == 300
    assert qrels.keys() <= queries.keys()


def test_a_query_that_is_not_unicode_is_named(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"_id": "1", "text": "cat"}\n{"_id": "2", "text": "\\ud800"}\n')
    with pytest.raises(CorpusError, match=r"line 2: text holds a lone surrogate"):
        read_queries(file)


@pytest.mark.parametrize("header", ["", "query-id\titeration\tcorpus-id\tscore\n", "q it d rel\n"])
@pytest.mark.parametrize(
    "lines",
    ["q1 0 d1 1\nq1 0 d2 -1\n2 Q0 d1 2\n", "q1\t0\td1\t1\nq1\t0\td2\t-1\r\n2\tQ0\td1\t2\n"],
)
def test_judgements_of_trec_are_read(tmp_path: Path, lines: str, header: str) -> None:
    path = tmp_path / "qrels.txt"
    path.write_text(header + lines, newline="")
    assert read_qrels(path) == {"q1": {"d1": 1, "d2": -1}, "2": {"d1": 2}}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("q1\td1\tyes", "line 1: grade 'yes' is not a whole number"),
        ("q1 0 d1 1.0", "line 1: grade '1.0' is not a whole number"),
        ("q1\td1", "line 1: 2 fields, expected query id, passage id, grade, or TREC's"),
    ],
)
def test_a_first_judgement_is_never_taken_for_a_header(
    tmp_path: Path, line: str, reason: str
) -> None:
    path = tmp_path / "qrels.txt"
    path.write_text(f"{line}\nq2\td2\t1\n")
    with pytest.raises(CorpusError, match=reason):
        read_qrels(path)
