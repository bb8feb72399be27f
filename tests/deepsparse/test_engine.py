"""DeepSparse where it is installed: what it computes, what it leaves alone, and what it refuses."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.errors import ModelError
from lurcher.models.engines import open_engine
from lurcher.models.pretrained import DEFAULT_ENCODER

if importlib.util.find_spec("deepsparse") is None:
    pytest.skip(
        "deepsparse is not installed; `make test-deepsparse` tests it in an environment of its own",
        allow_module_level=True,
    )

import onnx
from onnx import helper, numpy_helper

VOCABULARY, WIDTH = 100, 64


def student(head: Sequence[onnx.NodeProto], weight: np.ndarray[Any, Any]) -> onnx.ModelProto:
    """A graph like a student's; ``head`` makes token_states of the tokens' vectors, ``embedded``."""
    rng = np.random.default_rng(0)
    constants = {
        "table": rng.normal(size=(VOCABULARY, len(weight))).astype(np.float32),
        "weight": weight,
        "bias": rng.normal(size=weight.shape[1]).astype(np.float32),
        "axis_1": np.array([1]),
        "axis_2": np.array([2]),
        "zero": np.int8(0),
        "scale": np.float32(0.01),
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["embedded"]),
        *head,
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "axis_2"], ["column"]),
        helper.make_node("Mul", ["token_states", "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axis_1"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["column", "axis_1"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["vector"]),
    ]
    int64, float32 = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    names = ("input_ids", "attention_mask")
    inputs = [helper.make_tensor_value_info(n, int64, ["batch", "tokens"]) for n in names]
    outputs = [
        helper.make_tensor_value_info("vector", float32, ["batch", None]),
        helper.make_tensor_value_info("token_states", float32, ["batch", "tokens", None]),
    ]
    kept = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "student", inputs, outputs, kept)
    opset = helper.make_opsetid("", 14)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def linear() -> list[onnx.NodeProto]:
    return [
        helper.make_node("MatMul", ["embedded", "weight"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["biased"]),
        helper.make_node("Tanh", ["biased"], ["token_states"]),
    ]


def dynamic_int8() -> list[onnx.NodeProto]:
    return [
        helper.make_node("DynamicQuantizeLinear", ["embedded"], ["int8", "step", "offset"]),
        helper.make_node("MatMulInteger", ["int8", "weight", "offset", "zero"], ["total"]),
        helper.make_node("Cast", ["total"], ["float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["step", "scale"], ["rescale"]),
        helper.make_node("Mul", ["float", "rescale"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["token_states"]),
    ]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student whose tensors are kept in a file beside it, as the vocabulary is."""
    folder = tmp_path_factory.mktemp("student")
    weight = np.random.default_rng(1).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    onnx.save(
        student(linear(), weight), str(folder / "query.onnx"),
        save_as_external_data=True, location="vocabulary.bin", size_threshold=1024,
    )  # fmt: skip
    return folder / "query.onnx"


def texts(count: int, tokens: int) -> dict[str, np.ndarray[Any, Any]]:
    """Inputs of ``count`` texts padded to ``tokens``, the first of full length, the others shorter."""
    ids = np.random.default_rng(tokens).integers(1, VOCABULARY, (count, tokens))
    mask = (np.arange(tokens) < np.maximum(1, tokens - np.arange(count))[:, None]).astype(np.int64)
    return {"input_ids": ids * mask, "attention_mask": mask}


@pytest.mark.parametrize(
    ("count", "tokens"), [(1, 1), (1, 16), (3, 17), (2, 48), (1, 130), (1, 513)]
)
def test_engine_computes_what_onnxruntime_does(graph: Path, count: int, tokens: int) -> None:
    inputs, outputs = texts(count, tokens), ["token_states", "vector"]
    states, vector = open_engine("deepsparse", graph, 1).run(outputs, inputs)
    expected = open_engine("onnxruntime", graph, 1).run(outputs, inputs)
    assert states.shape == (count, tokens, WIDTH)
    assert vector.shape == (count, WIDTH)
    np.testing.assert_allclose(states, expected[0], atol=1e-5)
    np.testing.assert_allclose(vector, expected[1], atol=1e-5)


def test_engine_leaves_the_folder_as_it_was(graph: Path) -> None:
    before = {file.name: file.read_bytes() for file in graph.parent.iterdir()}
    assert set(before) == {"query.onnx", "vocabulary.bin"}
    open_engine("deepsparse", graph, 1).run(["vector"], texts(1, 5))
    assert {file.name: file.read_bytes() for file in graph.parent.iterdir()} == before


def test_threads_get_their_own_answers(graph: Path) -> None:
    engine = open_engine("deepsparse", graph, 1)
    # Lengths on both sides of several of the engine's own, so that threads compile and run at once.
    asked = [texts(2, tokens) for tokens in (3, 9, 20, 50) * 5]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda inputs: engine.run(["vector"], inputs)[0], asked))
    reference = open_engine("onnxruntime", graph, 1)
    for inputs, vectors in zip(asked, found, strict=True):
        np.testing.assert_allclose(vectors, reference.run(["vector"], inputs)[0], atol=1e-5)


@pytest.mark.parametrize(("zeros", "sparse"), [(0.9, True), (0.0, False)])
def test_its_own_analysis_shows_sparse_kernels(tmp_path: Path, zeros: float, sparse: bool) -> None:
    rng = np.random.default_rng(2)
    weight = rng.normal(size=(384, 1536)).astype(np.float32)
    weight[rng.random(weight.shape) < zeros] = 0
    onnx.save(student(linear(), weight), tmp_path / "query.onnx")
    open_engine("deepsparse", tmp_path / "query.onnx", 1)  # imports it, and shows that it takes it
    from deepsparse import model_debug_analysis

    analysis = model_debug_analysis(
        str(tmp_path / "query.onnx"), list(texts(1, 8).values()), 1, 1, num_iterations=2,
        num_warmup_iterations=1, input_shapes=[[1, 8]],
    )  # fmt: skip
    ran = [layer for layer in analysis["layer_info"] if layer["name"].startswith("ks_")]
    assert bool(ran) == sparse
    assert all(abs(layer["kernel_sparsity"] - zeros) < 0.01 for layer in ran)


def test_graph_that_ends_the_process_is_refused(tmp_path: Path) -> None:
    weight = np.ones((WIDTH, WIDTH), np.int8)
    onnx.save(student(dynamic_int8(), weight), tmp_path / "query.onnx")
    with pytest.raises(ModelError, match=r"query\.onnx: .*ends the process .*Assertion"):
        open_engine("deepsparse", tmp_path / "query.onnx", 1)


def test_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "query.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"query\.onnx: DeepSparse cannot run it"):
        open_engine("deepsparse", tmp_path / "query.onnx", 1)


def test_missing_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"query\.onnx: cannot be read"):
        open_engine("deepsparse", tmp_path / "query.onnx", 1)


def test_graph_that_it_has_few_kernels_for_is_refused() -> None:
    with pytest.raises(ModelError, match=r"kernels for 4\d% of its operators .*'onnxruntime'"):
        open_engine("deepsparse", DEFAULT_ENCODER / "encoder.onnx", 1)


def child(code: str, **environment: str) -> str:
    """What a fresh Python prints that notes each name looked up and refuses to look it up."""
    noting = (
        "import socket, warnings; warnings.simplefilter('ignore'); asked = []\n"
        "def note(*args, **kwargs): asked.append(args[0]); raise OSError\n"
        "socket.getaddrinfo = note\n"
    )
    inherited = {k: v for k, v in os.environ.items() if k != "NM_DISABLE_ANALYTICS"}
    return subprocess.run(
        [sys.executable, "-c", noting + code],
        env=inherited | environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_nothing_is_reported_home(graph: Path) -> None:
    # Left to itself it asks: otherwise this test would show nothing.
    assert "ident.me" in child("import deepsparse; print(asked)")
    opened = (
        "from pathlib import Path; from models.engines import open_engine\n"
        f"open_engine('deepsparse', Path({str(graph)!r}), 1); print(asked)"
    )
    assert child(opened).strip() == "[]"


def test_processor_that_it_does_not_know_is_refused(graph: Path) -> None:
    opened = (
        "from pathlib import Path; from models.engines import open_engine\n"
        f"try: open_engine('deepsparse', Path({str(graph)!r}), 1)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    # What it finds on a processor without AVX2, said by hand.
    assert "ModelError engine 'deepsparse' cannot be used on this machine" in child(
        opened, NM_ARCH="unknown"
    )
