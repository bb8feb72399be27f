"""Engines by name, and what is said where the optional one cannot be had."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from lurcher.errors import ModelError
from lurcher.models.engines import open_engine
from lurcher.models.engines.ort import OnnxRuntimeEngine
from lurcher.models.pretrained import DEFAULT_ENCODER

GRAPH = DEFAULT_ENCODER / "encoder.onnx"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if deepsparse were installed, where it could be."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "version_info", (3, 11, 7))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(np, "__version__", "1.26.4")


def test_onnxruntime_opens_the_graph_that_ships() -> None:
    engine = open_engine("onnxruntime", GRAPH, 1)
    assert isinstance(engine, OnnxRuntimeEngine)
    ids = np.array([[101, 2040, 102]])
    (vector,) = engine.run(["vector"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.usefixtures("installed")
def test_deepsparse_that_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"not installed; pip install 'lurcher\[deepsparse\]'"):
        open_engine("deepsparse", GRAPH, 1)


@pytest.mark.usefixtures("installed")
def test_deepsparse_on_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ModelError, match=r"for Linux and Python 3\.11; leave .* 'auto'"):
        open_engine("deepsparse", GRAPH, 1)


@pytest.mark.usefixtures("installed")
def test_deepsparse_on_a_newer_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))
    with pytest.raises(ModelError, match=r"for Linux and Python 3\.11"):
        open_engine("deepsparse", GRAPH, 1)


@pytest.mark.usefixtures("installed")
def test_deepsparse_with_numpy_2_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "__version__", "2.4.6")
    with pytest.raises(ModelError, match=r"NumPy 2\.4\.6: it would compute wrong numbers"):
        open_engine("deepsparse", GRAPH, 1)


@pytest.mark.usefixtures("installed")
def test_deepsparse_that_does_not_import_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "deepsparse", None)  # so that importing it fails
    monkeypatch.delenv("NM_DISABLE_ANALYTICS", raising=False)
    with pytest.raises(ModelError, match="'deepsparse' cannot be used on this machine"):
        open_engine("deepsparse", GRAPH, 1)


def test_opening_onnxruntime_does_not_ask_for_deepsparse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lurcher.models.engines.deepsparse", None)
    assert isinstance(open_engine("onnxruntime", GRAPH, 1), OnnxRuntimeEngine)


def test_missing_graph_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"query\.onnx: no ONNX graph that can be read"):
        open_engine("onnxruntime", tmp_path / "query.onnx", 1)
