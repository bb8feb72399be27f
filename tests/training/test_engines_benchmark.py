"""``lurcher bench engines`` times ways to compute the same thing."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from lurcher.benchmarks import engines
from lurcher.models.engines.native import library
from lurcher.models.engines.native.recognition import describe
from tests.tiny import TINY

GRAPH = TINY / "encoder.onnx"


@pytest.mark.skipif(library.loaded() is None, reason="no native library was built")
def test_every_way_is_in_the_tables() -> None:
    tool = typer.Typer()
    tool.command()(engines.main)
    words = ["--graph", str(GRAPH), "--lengths", "4", "--batches", "1", "--runs", "1"]
    shown = CliRunner().invoke(tool, words, env={"COLUMNS": "250"}).output
    for name in ("NumPy", "plain", "ONNX Runtime INT8", "dense", "80% zeros", "90% zeros"):
        assert name in shown


def test_thinned_matrices_lose_whole_blocks() -> None:
    matrix = engines.thinned(describe(GRAPH), 0.75).layers[0].up
    blocks = (matrix.weights.reshape(-1, 4, matrix.weights.shape[1]) != 0).any(axis=1)
    assert blocks.mean() == pytest.approx(0.25, abs=0.03)
