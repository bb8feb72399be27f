"""Options of ``lurcher build`` that say how a corpus is read."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from tests.cli.running import Run, complaint, output
from tests.tiny import BY_TINY


def test_options_and_names_with_dots(run: Run, tmp_path: Path) -> None:
    for language, word in (("en", "café"), ("de", "Bücher")):
        corpus = tmp_path / f"wiki.{language}.csv"
        corpus.write_bytes(f"url;body\n1;a cat in a {word}\n".encode("cp1252"))
        options = (
            "--encoding",
            "latin1",
            "--delimiter",
            ";",
            "--field",
            "id=url",
            "--field",
            "text=body",
        )
        assert output(run("build", corpus, *options, *BY_TINY)).startswith(
            f"wiki.{language}.lurcher: 1 passages"
        )
        found = json.loads(output(run("search", f"wiki.{language}.lurcher", "cat", "--json")))
        assert word in json.dumps(found, ensure_ascii=False)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--encoding", "klingon"], "'klingon' is no label that browsers know"),
        (["--delimiter", ";"], "is for CSV and TSV; this corpus is JSONL"),
        (["--field", "body"], "'body' is not OURS=THEIRS"),
    ],
)
def test_options_that_cannot_be(run: Run, tmp_path: Path, options: list[str], told: str) -> None:
    (tmp_path / "c.jsonl").write_text('{"id": "a", "text": "a cat"}\n')
    assert told in complaint(run("build", "c.jsonl", *options, *BY_TINY))


def test_a_file_that_cannot_be_read_does_not_end_a_build_that_skips(
    run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_bytes(gzip.compress(b"a cat")[:-4])
    (folder / "b.txt").write_text("a dog")
    assert "a.txt: broken gzip" in complaint(run("build", "docs", *BY_TINY))
    shown = output(run("build", "docs", "--skip-bad-lines", *BY_TINY))
    assert "1 passages" in shown
    assert "1 bad records set aside in docs.lurcher.skipped.jsonl" in shown


def test_decimals_and_short_floats_of_parquet_are_found_by_their_values(
    run: Run, tmp_path: Path
) -> None:
    table = pyarrow.table(
        {
            "id": ["1", "2"],
            "text": ["a cat", "a dog"],
            "price": pyarrow.array([Decimal("1.50"), Decimal("20.00")]),
            "weight": pyarrow.array([0.1, 2.5], pyarrow.float32()),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "prices.parquet")
    output(run("build", "prices.parquet", *BY_TINY))
    for wanted in ({"price": {"lt": 10}}, {"weight": 0.1}, {"price": 1.5}):
        shown = output(
            run("search", "prices.lurcher", "cat", "--json", "--filter", json.dumps(wanted))
        )
        assert '"1"' in shown
        assert '"2"' not in shown
