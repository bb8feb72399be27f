"""Judgements with real weights become known queries, and what cannot be one is named."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import CorpusError
from lurcher.index_builder.judged import Known, read_judged

HEADER = "query-id\tcorpus-id\tscore\n"
QUERIES = '{"_id": "q1", "text": "cat"}\n{"_id": 2, "text": "dog"}\n{"_id": "q3", "text": " "}\n'


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    path = tmp_path / "queries.jsonl"
    path.write_text(QUERIES)
    return path


def written(folder: Path, content: str) -> Path:
    path = folder / "known.tsv"
    path.write_bytes(content.encode())
    return path


def test_queries_with_labels_come_in_the_order_of_their_file(queries: Path) -> None:
    qrels = written(queries.parent, f"{HEADER}2\td 2\t0.5\nq1\td1\t1\n2\td1\t3\n")
    assert read_judged(queries, qrels) == [
        Known("q1", "cat", {"d1": 1.0}, "known.tsv"),
        Known("2", "dog", {"d 2": 0.5, "d1": 3.0}, "known.tsv"),
    ]


@pytest.mark.parametrize("header", ["", HEADER, "\ufeff", f"\ufeff{HEADER}", "q\tp\tweight_0\r\n"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_header_a_mark_and_gzip_may_be_there(queries: Path, header: str, zipped: bool) -> None:
    content = f"{header}q1\td1\t1e-3\r\n\n".encode()
    qrels = queries.parent / "known.tsv.gz"
    qrels.write_bytes(gzip.compress(content) if zipped else content)
    assert [known.labels for known in read_judged(queries, qrels)] == [{"d1": 0.001}]


def test_a_weight_of_0_is_no_label_and_a_query_without_one_is_left_out(queries: Path) -> None:
    qrels = written(queries.parent, "q1\td1\t0\nq1\td2\t1\n2\td1\t0\nq3\td1\t0\n")
    assert [(known.id, known.labels) for known in read_judged(queries, qrels)] == [
        ("q1", {"d2": 1.0})
    ]


def test_of_a_pair_that_is_judged_twice_the_later_weight_counts(queries: Path) -> None:
    qrels = written(queries.parent, "q1\td1\t2\nq1\td2\t1\nq1\td1\t3\nq1\td2\t0\n")
    (known,) = read_judged(queries, qrels)
    assert known.labels == {"d1": 3.0}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("q1\td1", "line 2: 2 fields, expected query id, passage id, weight"),
        ("q1 0 d1 1 x", "line 2: 5 fields"),
        ("q1\td1\tmuch", "line 2: weight: 'much' is not a number"),
        ("q1\td1\t", "line 2: weight: '' is not a number"),
        ("q1\td1\t-0.5", "line 2: weight: -0.5 is not from 0 to"),
        ("q1\td1\tnan", "line 2: weight: nan is not from 0 to"),
        ("q1\td1\tinf", "line 2: weight: inf is not from 0 to"),
        ("q1\td1\t1e300", "line 2: weight: 1e[+]300 is not from 0 to"),
    ],
)
def test_a_bad_line_is_an_error_with_its_number(queries: Path, line: str, reason: str) -> None:
    qrels = written(queries.parent, f"{HEADER}{line}\n")
    with pytest.raises(CorpusError, match=rf"known\.tsv, {reason}"):
        read_judged(queries, qrels)


@pytest.mark.parametrize("line", ["q1\td1\tnan", "q1\td1\t1,5", "q1\td1\t", "query\tpassage"])
def test_a_bad_first_line_is_not_taken_for_a_header(queries: Path, line: str) -> None:
    qrels = written(queries.parent, f"{line}\nq1\td1\t1\n")
    with pytest.raises(CorpusError, match=r"known\.tsv, line 1: "):
        read_judged(queries, qrels)


def test_bytes_that_are_no_text_are_an_error_with_their_line(queries: Path) -> None:
    qrels = queries.parent / "known.tsv"
    qrels.write_bytes(b"q1\td1\t1\nq1\t\xff\t1\n")
    with pytest.raises(CorpusError, match=r"known\.tsv, line 2: not valid UTF-8"):
        read_judged(queries, qrels)


def test_queries_that_the_other_file_lacks_are_counted_and_named(queries: Path) -> None:
    lines = [f"x{number}\td1\t1\n" for number in range(1_200)]
    qrels = written(queries.parent, "".join(["q1\td1\t1\n", *lines]))
    with pytest.raises(CorpusError) as caught:
        read_judged(queries, qrels)
    assert caught.value.file == qrels
    assert caught.value.reason == (
        f"1,200 of 1,201 judged queries are not in {queries}"
        " (first: 'x0', 'x1', 'x2'); pass --skip-unknown to leave them out"
    )
    assert [known.id for known in read_judged(queries, qrels, skip_unknown=True)] == ["q1"]


@pytest.mark.parametrize("content", ["", "\n", HEADER, "q1\td1\t0\n", "x\td1\t1\n"])
def test_judgements_that_leave_no_label_are_an_error(queries: Path, content: str) -> None:
    with pytest.raises(CorpusError, match=r"known\.tsv: no weight above 0 for any query in"):
        read_judged(queries, written(queries.parent, content), skip_unknown=True)


def test_a_blank_query_can_be_there_but_not_be_judged(queries: Path) -> None:
    qrels = written(queries.parent, "q3\td1\t1\n")
    with pytest.raises(CorpusError, match=r"queries\.jsonl: query 'q3' is judged, but its text is"):
        read_judged(queries, qrels)


def test_a_missing_file_is_named(queries: Path) -> None:
    with pytest.raises(CorpusError, match=r"nowhere\.tsv: cannot be read"):
        read_judged(queries, queries.parent / "nowhere.tsv")


CLEAN = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), min_size=1, max_size=8
)


@given(st.dictionaries(CLEAN, st.floats(1e-300, 1e9), min_size=1, max_size=6))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, labels: dict[str, float]
) -> None:
    folder = tmp_path_factory.mktemp("judged")
    (folder / "queries.jsonl").write_text(QUERIES)
    qrels = written(folder, "".join(f"q1\t{id_}\t{weight!r}\n" for id_, weight in labels.items()))
    (known,) = read_judged(folder / "queries.jsonl", qrels)
    assert known.labels == labels


def test_real_judgements_are_read_whole(data: Path) -> None:
    folder = data / "scifact"
    known = read_judged(folder / "queries.jsonl", folder / "qrels" / "test.tsv")
    assert len(known) == 300
    assert all(one.labels and one.source == "test.tsv" for one in known)


def test_judgements_of_trec_are_read(queries: Path) -> None:
    (known,) = read_judged(queries, written(queries.parent, "q1 0 d1 2\nq1 0 d2 1\n"))
    assert known.labels == {"d1": 2.0, "d2": 1.0}
