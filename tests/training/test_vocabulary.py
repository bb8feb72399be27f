"""Token tables in a file of their own: which, where, and when two graphs share them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("onnx", reason="the [train] extra is not installed")

import onnx
from google.protobuf.message import EncodeError
from onnx import helper, numpy_helper

from lurcher.errors import ModelError
from lurcher.models.engines.ort import OnnxRuntimeEngine
from lurcher.training.compression.int8 import quantize_int8
from lurcher.training.vocabulary import write_graph, write_sharing

Array = npt.NDArray[np.float32]
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
ROWS, WIDTH = 500, 24


def normal(*shape: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def embed(table_seed: int = 0, weight_seed: int = 1) -> onnx.ModelProto:
    """Token embeddings, plus positions', times a matrix; weights by token beside them."""
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["word"]),
        helper.make_node("Gather", ["positions", "position_ids"], ["position"]),
        helper.make_node("Add", ["word", "position"], ["sum"]),
        helper.make_node("MatMul", ["sum", "matrix"], ["product"]),
        helper.make_node("Gather", ["token_weights", "input_ids"], ["weights"]),
    ]
    constants = {
        "matrix": normal(WIDTH, WIDTH, seed=weight_seed),
        "positions": normal(ROWS, WIDTH, seed=2),
        "token_weights": normal(ROWS, seed=3),
        "words": normal(ROWS, WIDTH, seed=table_seed),
    }
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(n, INT64, [None]) for n in ("input_ids", "position_ids")],
        [
            helper.make_tensor_value_info("product", FLOAT, [None, WIDTH]),
            helper.make_tensor_value_info("weights", FLOAT, [None]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def places(file: Path) -> dict[str, dict[str, str]]:
    """Where in another file each initializer of the graph in ``file`` is, if it is."""
    graph = onnx.load(file, load_external_data=False).graph
    outside = [t for t in graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    return {t.name: {e.key: e.value for e in t.external_data} for t in outside}


def run(file: Path) -> list[Array]:
    ids = np.array([3, 499, 0, 77])
    inputs = {"input_ids": ids, "position_ids": np.arange(4)}
    return OnnxRuntimeEngine(file, 1).run(["product", "weights"], inputs)


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    (tmp_path / "teacher").mkdir()
    write_graph(quantize_int8(embed()), tmp_path / "teacher" / "encoder.onnx")
    return tmp_path / "teacher"


def test_the_token_table_is_moved_out_and_nothing_else(tmp_path: Path) -> None:
    write_graph(embed(), tmp_path / "encoder.onnx")
    table = normal(ROWS, WIDTH, seed=0)
    assert (tmp_path / "vocabulary.bin").read_bytes() == table.tobytes()
    wanted = {"location": "vocabulary.bin", "offset": "0", "length": str(table.nbytes)}
    assert places(tmp_path / "encoder.onnx") == {"words": wanted}


def test_an_int8_table_takes_its_scales_along_each_on_a_page_of_its_own(teacher: Path) -> None:
    found = places(teacher / "encoder.onnx")
    assert set(found) == {"words_int8", "words_scale"}
    assert (found["words_int8"]["offset"], found["words_int8"]["length"]) == ("0", "12000")
    assert (found["words_scale"]["offset"], found["words_scale"]["length"]) == ("12288", "2000")
    assert (teacher / "vocabulary.bin").stat().st_size == 12288 + 2000


@pytest.mark.parametrize("quantize", [quantize_int8, lambda graph: graph])
def test_the_graph_computes_what_it_did(tmp_path: Path, quantize: Callable[..., Any]) -> None:
    graph = quantize(embed())
    before = graph.SerializeToString()
    write_graph(graph, tmp_path / "encoder.onnx")
    assert graph.SerializeToString() == before
    (tmp_path / "whole.onnx").write_bytes(before)
    wanted = run(tmp_path / "whole.onnx")
    for found, value in zip(run(tmp_path / "encoder.onnx"), wanted, strict=True):
        np.testing.assert_array_equal(found, value)


def test_a_graph_without_a_token_table_has_no_second_file(tmp_path: Path) -> None:
    graph = embed()
    graph.graph.input[0].name = "token_ids"
    for node in graph.graph.node:
        node.input[:] = ["token_ids" if name == "input_ids" else name for name in node.input]
    write_graph(graph, tmp_path / "encoder.onnx")
    assert [f.name for f in tmp_path.iterdir()] == ["encoder.onnx"]


def test_a_student_with_its_teachers_vocabulary_shares_it(teacher: Path, tmp_path: Path) -> None:
    student = quantize_int8(embed(weight_seed=9))
    (tmp_path / "student").mkdir()
    file = tmp_path / "student" / "query.onnx"
    assert write_sharing(student, file, teacher / "vocabulary.bin")
    assert [f.name for f in file.parent.iterdir()] == ["query.onnx"]
    assert file.stat().st_size < len(student.SerializeToString()) - ROWS * WIDTH
    with pytest.raises(ModelError, match=r"vocabulary\.bin"):
        run(file)
    (tmp_path / "whole.onnx").write_bytes(student.SerializeToString())
    wanted = run(tmp_path / "whole.onnx")
    for found, value in zip(run(file.rename(teacher / "query.onnx")), wanted, strict=True):
        np.testing.assert_array_equal(found, value)


def test_a_table_that_only_the_student_has_stays_in_its_graph(
    teacher: Path, tmp_path: Path
) -> None:
    graph = embed()
    graph.graph.node.append(helper.make_node("Gather", ["codes", "input_ids"], ["code"]))
    graph.graph.initializer.append(numpy_helper.from_array(normal(ROWS, 4, seed=7), "codes"))
    assert write_sharing(quantize_int8(graph), tmp_path / "query.onnx", teacher / "vocabulary.bin")
    assert places(tmp_path / "query.onnx") == places(teacher / "encoder.onnx")


@pytest.mark.parametrize("vocabulary", ["another", "other numbers", "none"])
def test_a_student_with_another_vocabulary_keeps_its_own(
    teacher: Path, tmp_path: Path, vocabulary: str
) -> None:
    student = embed() if vocabulary == "other numbers" else quantize_int8(embed(table_seed=5))
    if vocabulary == "none":
        (teacher / "vocabulary.bin").unlink()
    file = tmp_path / "query.onnx"
    assert not write_sharing(student, file, teacher / "vocabulary.bin")
    assert places(file) == {}
    assert file.read_bytes() == student.SerializeToString()


def test_a_graph_too_large_for_one_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(_: onnx.ModelProto) -> bytes:
        """What protobuf does above 2 GB, without the gigabytes."""
        raise EncodeError("Failed to serialize proto")

    graph = embed()
    monkeypatch.setattr(onnx.ModelProto, "SerializeToString", too_large)
    with pytest.raises(ModelError, match=r"encoder\.onnx: the graph is above 2 GB.*; INT8 takes"):
        write_graph(graph, tmp_path / "encoder.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["../vocabulary.bin", "{}/vocabulary.bin"])
def test_a_graph_that_names_a_file_elsewhere_does_not_load(
    teacher: Path, tmp_path: Path, place: str
) -> None:
    """Bundles come from strangers, and ONNX Runtime is what opens the file."""
    graph = onnx.load(teacher / "encoder.onnx", load_external_data=False)
    for table in graph.graph.initializer:
        for entry in table.external_data:
            if entry.key == "location":
                entry.value = place.format(tmp_path)
    (teacher / "vocabulary.bin").rename(tmp_path / "vocabulary.bin")
    (teacher / "encoder.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(ModelError, match="which is not beside it"):
        run(teacher / "encoder.onnx")
