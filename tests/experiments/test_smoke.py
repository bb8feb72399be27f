"""Each experiment at a size that takes seconds: ``make test-experiments``; not part of the other suites."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import absorbed, decoder, generality, tokens
from experiments.t5_states import compare
from experiments.token_candidates import DevelopmentSet
from experiments.token_variants import Variant


def test_a_table_and_a_plot_of_tiny_decoders(
    bundle: Path, write_jsonl: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run trains nothing again."""
    data = tmp_path / "data" / bundle.stem
    (data / "qrels").mkdir(parents=True)
    texts = [f"wind turbine {'lithium' if i % 2 else 'water'} {i}" for i in range(12)]
    write_jsonl(data / "queries.jsonl", [{"_id": f"q{i}", "text": t} for i, t in enumerate(texts)])
    for split, some in (("train", range(8)), ("dev", range(8, 12))):
        lines = [f"q{i}\tp{i}\t1\n" for i in some]
        (data / "qrels" / f"{split}.tsv").write_text(
            "query-id\tcorpus-id\tscore\n" + "".join(lines)
        )
    small = decoder.Setting(width=16, heads=2, negatives=3, steps=3, states=bundle.stem)
    monkeypatch.setattr(decoder, "_SET", bundle.stem)
    monkeypatch.setattr(decoder, "SHIPS", small)
    monkeypatch.setattr(decoder, "_SEEDS", (0, 1))
    changes = {
        "loss": {"pairs": replace(small, loss="pairs")},
        "training": {"random": replace(small, random=True), "unsaid": replace(small, prior=False)},
        "states": {"float16": replace(small, states=decoder.FLOAT16)},
    }
    monkeypatch.setattr(decoder, "_CHANGES", changes)
    out = tmp_path / "out"
    folders = (bundle.parent, tmp_path / "data", tmp_path / "work", out)
    decoder.main(*folders)
    written = {file.name: file.read_bytes() for file in out.iterdir()}
    decoder.main(*folders)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == written
    assert set(written) == {"cells.jsonl", "table.md", "plot.svg"}
    cells = [json.loads(line) for line in written["cells.jsonl"].decode().splitlines()]
    assert [(cell["label"], cell["seed"]) for cell in cells] == [
        ("as it ships", 0), ("as it ships", 1), ("pairs", 0), ("random", 0), ("unsaid", 0), ("float16", 0),
    ]  # fmt: skip
    assert all(0 <= cell["after"] <= 1 for cell in cells)
    assert "| as it ships, seed 1 |" in written["table.md"].decode()


def test_tables_and_plot_of_a_tiny_set(
    bundle: Path, write_jsonl: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run finds the states that the first has kept."""
    data = tmp_path / "data" / "tiny"
    (data / "qrels").mkdir(parents=True)
    queries = [{"_id": f"q{i}", "text": "wind turbine"} for i in range(3)]
    write_jsonl(data / "queries.jsonl", queries)
    judged = [f"q{i}\tp{j}\t1\n" for i in range(3) for j in range(i, 80, 3)]
    (data / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(judged))
    monkeypatch.setattr(tokens, "SETS", (DevelopmentSet("tiny", "dev", 2, 40),))
    whole = Variant(32, 1, common="kept")
    monkeypatch.setattr(tokens, "_WHOLE", whole)
    monkeypatch.setattr(tokens, "_DEFAULT", Variant(16, 0.5))
    monkeypatch.setattr(tokens, "_CURVE", {8: (0.5, 1), 16: (0.5,)})
    ablation = {"as it ships": Variant(16, 0.5), tokens.WHOLE: whole}
    monkeypatch.setattr(tokens, "_ABLATION", ablation)
    out, work = tmp_path / "out", tmp_path / "work"
    folders = (bundle.parent, tmp_path / "data", work, out)
    tokens.main(*folders)
    kept = {file: file.stat().st_mtime_ns for file in work.iterdir()}
    written = {file.name: file.read_bytes() for file in out.iterdir()}
    tokens.main(*folders)
    assert {file: file.stat().st_mtime_ns for file in work.iterdir()} == kept
    assert {file.name: file.read_bytes() for file in out.iterdir()} == written
    rows = json.loads(written["rows.json"])
    assert [row["label"] for row in rows[:4]] == [
        "first stage", "8 bits, 1", "8 bits, 0.5", "16 bits, 0.5",
    ]  # fmt: skip
    assert rows[0]["part"] == "first stage"
    by_label = {row["label"]: row for row in rows}
    assert by_label["as it ships"]["quality"] == by_label["16 bits, 0.5"]["quality"]
    assert {row["part"] for row in rows} == {"first stage", "curve", "ablation", "mixing"}
    assert "| as it ships |" in written["table.md"].decode()
    assert set(written) == {"rows.json", "table.md", "plot.svg"}


def test_the_table_is_of_the_shipped_sizes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(absorbed, "_LENGTHS", (8,))
    monkeypatch.setattr(absorbed, "_CODES", (64,))
    absorbed.main(runs=1)
    shown = capsys.readouterr().out
    assert "100 candidates, 64 wide, 4 heads, 160 bits" in shown
    assert "141 and 98" in shown
    assert "64 codes: absorbed multiplies less for fewer than 11.8 query tokens." in shown


def test_t5_states_are_compared_on_a_t5_trained_for_a_moment(tmp_path: Path) -> None:
    found = compare(tmp_path, steps=3, queries=4, candidates=5)
    assert list(found) == ["float32", "float16", "1-bit"]
    assert all(1 / 5 <= quality <= 1 for quality in found.values())
    # One pair may change places.
    assert found["float16"] == pytest.approx(found["float32"], abs=0.26)


def test_a_row_of_each_set_says_what_presets_add(
    bundle: Path,
    write_jsonl: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "tiny"
    (folder / "qrels").mkdir(parents=True)
    texts = [{"_id": str(i), "text": f"wind turbine {i}"} for i in range(6)]
    write_jsonl(folder / "queries.jsonl", texts)
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{i}\tp{i}\t1\n" for i in range(6))
    )
    generality.main([f"{folder}={bundle}"], "test", "odd", 10)
    head, _, row = capsys.readouterr().out.splitlines()
    assert head == "| | queries | dense | prose | code | decoder |"
    name, queries, dense, prose, code, _ = (cell.strip() for cell in row.strip("|").split("|"))
    assert (name, queries) == ("tiny", "3")
    for cell, added in ((dense, True), (prose, False), (code, True)):
        assert cell.count("[") == 1 + added
        assert 0 <= float(cell.split()[0]) <= 1
