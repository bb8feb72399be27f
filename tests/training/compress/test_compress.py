"""``lurcher compress`` from end to end: what it writes, what it keeps, and when it refuses."""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("optimum.exporters.onnx", reason="the [train] extra is not installed")

import onnx
import torch

import lurcher.training.alignment.make_student
from lurcher.bundle.bundle import Bundle
from lurcher.errors import ModelError
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.models.encoders.config import load_config
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.merge import merge
from lurcher.models.encoders.student import Figure, StudentConfig, load_student
from lurcher.models.engines.ort import OnnxRuntimeEngine
from lurcher.training.alignment.make_student import MIX
from lurcher.training.alignment.targets import Targets
from lurcher.training.compress import Judged
from tests.killed import KilledError, kill_at
from tests.training.compress.making import PLAN, Make

INT8 = replace(PLAN, int8=True)
SPARSE = replace(PLAN, layers=None, sparsity=0.75)


def merged(teacher: Path, student: Path) -> Encoder:
    """What reads queries once the student is beside its teacher."""
    merge(teacher, student, student.with_name("merged"))
    return Encoder.load(student.with_name("merged"), "query", 1)


def matrices(teacher: Path, student: Path) -> list[npt.NDArray[Any]]:
    """What the graph's products multiply by, (in, out) each, as an engine has it when it runs."""
    folder = student.with_name("matrices")
    merge(teacher, student, folder)
    graph = onnx.load(folder / "query.onnx", load_external_data=False)
    made = {i.name for i in graph.graph.initializer} | {n.output[0] for n in graph.graph.node}
    products = [n for n in graph.graph.node if n.op_type in ("MatMul", "MatMulIntegerToFloat")]
    names = [n.input[1] for n in products if n.input[1] in made]
    graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names))
    (folder / "query.onnx").write_bytes(graph.SerializeToString())
    inputs = {name: np.ones((1, 3), np.int64) for name in ("input_ids", "attention_mask")}
    found = OnnxRuntimeEngine(folder / "query.onnx", 1).run(names, inputs)
    # Attention multiplies by what is not constant; the first corrects the vocabulary, the last is the
    # head, and neither is pruned.
    return [matrix for matrix in found if matrix.ndim == 2][1:-1]


def test_a_student_of_an_encoders_folder(
    make: Make, teacher: Path, out: Path, questions: list[str]
) -> None:
    told: list[str] = []
    config = make(teacher, INT8, report=told.append)
    assert sorted(file.name for file in out.iterdir()) == ["query.onnx", "student.json"]
    assert load_student(out) == config
    assert config.activations in ("static", "dynamic")
    assert config.model_dump(exclude={"activations", "figures"}) == {
        "name": "student",
        "teacher": load_config(teacher).fingerprint,
        "dimension": 32,
        "layers": [0],
        "sparsity": 0.0,
        "pattern": "unstructured",
        "rank": 32,
        "precision": "int8",
        "losses": dict(MIX),
        "queries": len(questions) - len(questions) // 10,
        "seed": 0,
    }
    (figure,) = config.figures
    assert (figure.data, figure.measure, figure.teacher) == ("held-out queries", "nDCG@10", 1.0)
    assert not out.with_name("student.partial").exists()
    assert told[0] == "teacher: 90 of 90 queries"
    steps = [line for line in told if line.startswith("step ")]
    assert re.fullmatch(r"step 22 of 22: loss 0\.\d+, development quality kept \d\.\d+", steps[-1])
    assert [line.split()[0] for line in told[-2:]] == ["static", "dynamic"]
    encoder = merged(teacher, out)
    wanted = Encoder.load(teacher, "query", 1).encode(questions)
    found, states = encoder.encode_states(encoder.tokenise(questions))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    # Of all queries as the teacher reads them each is nearest to itself; by chance one in a hundred would
    # be. How many are after so few steps depends on the order in which threads add up: .78 to 1 were seen.
    nearest = (found @ wanted.T).argmax(axis=1)
    assert (nearest == np.arange(len(questions))).mean() > 0.5
    assert {len(s) for s in states} == {len(t.ids) for t in encoder.tokenise(questions)}
    assert {s.shape[1] for s in states} == {32}


def test_the_figure_is_of_the_graph_that_was_written(
    make: Make, teacher: Path, bundle: Path, out: Path, judged: Judged, questions: list[str]
) -> None:
    config = make(bundle, judged=judged)
    assert config.losses == MIX
    assert config.queries == len(questions)  # the text without judgements too
    (figure,) = config.figures
    assert (figure.data, figure.measure) == ("dev", "nDCG@10")
    with closing(Bundle.open(bundle)) as opened:
        passages = opened.passages.get(range(opened.passages.count))
        vectors = opened.vectors.stored()[0 : len(passages)]
    encoders = {"teacher": Encoder.load(teacher, "query", 1), "student": merged(teacher, out)}
    for side, encoder in encoders.items():
        gains = []
        for query, grades in judged.qrels.items():
            (vector,) = encoder.encode([judged.queries[query]])
            order = np.argsort(-(vectors @ vector), kind="stable")[:10]
            hits = [grades.get(passages[row].id, 0) for row in order]
            gains.append(sum(h / np.log2(i + 2) for i, h in enumerate(hits)) / (1 + 1 / np.log2(3)))
        assert getattr(figure, side) == pytest.approx(np.mean(gains), abs=1e-6)


def test_a_student_of_a_bundle_reads_its_queries(
    make: Make, bundle: Path, out: Path, tmp_path: Path
) -> None:
    config = make(
        bundle, replace(PLAN, layers=None, depth=1, losses={"scores": 1.0, "cosine": 1.0})
    )
    assert config.layers == [0]
    assert config.losses == {"scores": 1.0, "cosine": 1.0}
    (figure,) = config.figures
    assert figure.teacher == 1
    assert figure.student > 0.5
    _, manifest = swap_encoder(bundle, out, tmp_path / "swapped.lurcher")
    assert manifest.encoder.student == config


@pytest.mark.parametrize("pattern", ["unstructured", "4-block"])
@pytest.mark.parametrize("int8", [True, False])
def test_zeros_are_in_the_graph_that_was_written(
    make: Make, teacher: Path, out: Path, pattern: Any, int8: bool
) -> None:
    config = make(teacher, replace(SPARSE, pattern=pattern, int8=int8, epochs=0.5))
    assert (config.layers, config.sparsity, config.pattern) == ([0, 1], 0.75, pattern)
    assert config.precision == ("int8" if int8 else "fp32")
    found = matrices(teacher, out)
    assert len(found) == 12
    for matrix in found:  # (in, out): a product wants the columns to be the outputs
        assert matrix.dtype == (np.int8 if int8 else np.float32)
        # Rounding to a byte may make a few more.
        share = (matrix == 0).mean()
        assert 0.75 <= share < (0.78 if int8 else 0.7501)
        if pattern == "4-block":
            blocks = matrix.T.reshape(matrix.shape[1], -1, 4)
            assert (blocks == 0).all(axis=2).mean() == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize(
    ("static", "dynamic", "kept"),
    [(0.8, 0.9, "dynamic"), (0.9, 0.8, "static"), (0.8, 0.8, "static")],
)
def test_of_two_ways_to_int8_the_better_is_kept(
    make: Make, teacher: Path, out: Path, monkeypatch: pytest.MonkeyPatch, static: float,
    dynamic: float, kept: str,
) -> None:  # fmt: skip
    """And of equal ones the faster, with ranges fixed beforehand."""
    measured = {"static": static, "dynamic": dynamic}

    def export(*given: Any) -> None:
        given[3].write_bytes(b"graph")

    def measure(_: Path, config: StudentConfig, __: Any) -> list[Figure]:
        found = measured[config.activations]
        return [Figure(data="dev", measure="nDCG@10", teacher=0.9, student=found)]

    monkeypatch.setattr(lurcher.training.alignment.make_student, "export_student", export)
    monkeypatch.setattr(lurcher.training.alignment.make_student, "_measured", measure)
    config = make(teacher, replace(INT8, epochs=0.1))
    assert config.activations == kept
    assert config.figures[0].student == measured[kept]
    assert load_student(out) == config


def test_a_table_has_weights_of_its_own_and_its_graph_computes_what_torch_does(
    make: Make, teacher: Path, out: Path, questions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []
    export = lurcher.training.alignment.make_student.export_student

    def keep(student: Any, *rest: Any, **given: Any) -> None:
        kept.append(student)
        export(student, *rest, **given)

    monkeypatch.setattr(lurcher.training.alignment.make_student, "export_student", keep)
    config = make(teacher, replace(PLAN, layers=(), learning_rate=1e-2))
    assert config.layers == []
    (student,) = kept
    assert (student.token_weights != 0).any()
    encoder = merged(teacher, out)
    tokens = encoder.tokenise([*questions[:5], "", "数据库 unknown"])
    vectors, states = encoder.encode_states(tokens)
    for text, vector, found in zip(tokens, vectors, states, strict=True):
        ids = torch.tensor([list(text.ids)])
        with torch.inference_mode():
            wanted, wanted_states = student(ids, torch.ones(ids.shape))
        np.testing.assert_allclose(vector, wanted[0], atol=1e-5)
        np.testing.assert_allclose(found, wanted_states[0], atol=1e-4)


def test_a_student_shares_its_teachers_vocabulary_and_carries_no_copy(
    make: Make, teacher: Path, out: Path
) -> None:
    make(teacher, INT8)
    graph = onnx.load(out / "query.onnx", load_external_data=False).graph
    outside = [t for t in graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    assert {e.value for t in outside for e in t.external_data if e.key == "location"} == {
        "vocabulary.bin"
    }
    with pytest.raises(ModelError, match=r"vocabulary\.bin"):
        OnnxRuntimeEngine(out / "query.onnx", 1)


def test_a_run_that_was_killed_goes_on(
    make: Make, bundle: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make(bundle, SPARSE, out=tmp_path / "whole" / "student")
    with pytest.raises(KilledError):
        make(bundle, SPARSE, report=kill_at("step 22 of"))
    assert not out.exists()
    assert (out.with_name("student.partial") / "checkpoint.pt").exists()
    monkeypatch.setattr(Targets, "make", None)  # the teacher is not asked again
    told: list[str] = []
    assert make(bundle, SPARSE, report=told.append) == whole
    assert [line.split(":")[0] for line in told if line.startswith("step")] == ["step 22 of 22"]
    wanted = (tmp_path / "whole" / "student" / "query.onnx").read_bytes()
    assert (out / "query.onnx").read_bytes() == wanted


@pytest.fixture
def begun(make: Make, bundle: Path, out: Path) -> Path:
    """The folder of a run of ``PLAN`` on ``bundle`` that was killed after its first check."""
    with pytest.raises(KilledError):
        make(bundle, report=kill_at("step 22 of"))
    return out.with_name("student.partial")


@pytest.mark.parametrize("change", ["plan", "queries", "judged", "encoder", "bundle"])
def test_what_was_begun_for_something_else_starts_afresh(
    make: Make, bundle: Path, teacher: Path, begun: Path, change: str, judged: Judged,
    questions: list[str], tmp_path: Path,
) -> None:  # fmt: skip
    from lurcher.index_builder.build import BuildOptions, build

    plan, target, given = PLAN, bundle, dict[str, Any]()
    match change:
        case "plan":
            plan = replace(PLAN, learning_rate=1e-3)
        case "queries":
            given["queries"] = [*questions, "one more"]
        case "judged":
            given["judged"] = judged
        case "encoder":  # the same encoder, but no passages any more
            target = teacher
        case "bundle":  # the same encoder, other passages
            records = [{"id": f"p{i}", "text": question} for i, question in enumerate(questions)]
            corpus = tmp_path / "other.jsonl"
            corpus.write_text("".join(json.dumps(record) + "\n" for record in records))
            target = tmp_path / "other.lurcher"
            build(corpus, target, BuildOptions(teacher))
    assert (begun / "checkpoint.pt").exists()
    with pytest.raises(KilledError):
        make(target, plan, report=kill_at("teacher: "), **given)
    assert not (begun / "checkpoint.pt").exists()
