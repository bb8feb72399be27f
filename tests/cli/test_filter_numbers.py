"""Numbers of tables are found by numbers on the command line."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow.parquet import write_table

from tests.cli.running import Run, complaint
from tests.tiny import BY_TINY


def found(run: Run, bundle: Path, condition: dict[str, Any]) -> list[str]:
    """The ids of the hits."""
    done = run("search", bundle, "hat", "--filter", json.dumps(condition), "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["id"] for line in done.stdout.splitlines()]


def test_columns_of_csv_are_typed_and_types_overrule(run: Run, tmp_path: Path) -> None:
    corpus, bundle = tmp_path / "hats.csv", tmp_path / "hats.lurcher"
    corpus.write_text("id,text,year,price\na,old hat,1987,4.50\nb,new hat,2019,11\nc,hat,,\n")
    assert run("build", corpus, bundle, *BY_TINY).returncode == 0
    assert found(run, bundle, {"year": 2019}) == ["b"]
    assert found(run, bundle, {"year": {"gte": 2000}}) == ["b"]
    assert found(run, bundle, {"price": {"lt": 10}}) == ["a"]
    refused = complaint(run("search", bundle, "hat", "--filter", '{"price": {"lt": "10"}}'))
    assert 'filter.price: "10" is a text, but this field holds numbers in 2 passages' in refused

    other = tmp_path / "texts.lurcher"
    assert run("build", corpus, other, *BY_TINY, "--types", "year=text,price=text").returncode == 0
    assert found(run, other, {"year": "2019"}) == ["b"]
    bad = complaint(
        run("build", corpus, tmp_path / "no.lurcher", *BY_TINY, "--types", "price=integer")
    )
    assert "hats.csv, line 2: column 'price' has '4.50', not an integer of 64 bits" in bad


@pytest.mark.parametrize("condition", [{"price": {"lt": 10}}, {"weight": 0.1}])
def test_decimals_and_small_floats_of_parquet_are_numbers(
    run: Run, tmp_path: Path, condition: dict[str, Any]
) -> None:
    columns = {
        "id": ["a", "b"], "text": ["old hat", "new hat"],
        "price": pa.array([Decimal("4.50"), Decimal("11.00")], pa.decimal128(8, 2)),
        "weight": pa.array([0.1, 0.3], pa.float32()),
    }  # fmt: skip
    write_table(pa.table(columns), tmp_path / "hats.parquet")
    assert run("build", tmp_path / "hats.parquet", tmp_path / "h.lurcher", *BY_TINY).returncode == 0
    assert found(run, tmp_path / "h.lurcher", condition) == ["a"]
