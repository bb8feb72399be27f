"""What ``compress`` refuses, and what a full disk or a dead process leaves."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("optimum.exporters.onnx", reason="the [train] extra is not installed")

import torch

import lurcher.training.alignment.make_student
from lurcher.errors import FieldError, ModelError, ModelNotFound
from lurcher.training.compress import Judged
from lurcher.training.original import hash_weights
from tests.killed import KilledError, kill_at
from tests.training.compress.making import PLAN, Make


def test_an_existing_folder_is_left_alone(make: Make, teacher: Path, out: Path) -> None:
    out.mkdir()
    (out / "mine").write_text("mine")
    with pytest.raises(FieldError, match=r"out: .*student exists already"):
        make(teacher)
    assert (out / "mine").read_text() == "mine"
    assert sorted(out.parent.iterdir()) == [out]


@pytest.mark.parametrize(
    ("queries", "counted"),
    [
        ([], 0),
        (["one line"], 1),
        (["the same"] * 1000, 1),
        (["", "  ", "\t"] * 20, 0),
        ([f"query {i}" for i in range(31)], 31),
    ],
)
def test_too_few_queries_are_refused(
    make: Make, teacher: Path, out: Path, queries: list[str], counted: int
) -> None:
    with pytest.raises(FieldError, match=rf"queries: {counted} different ones.*; 32 at least"):
        make(teacher, queries=queries)
    assert list(out.parent.iterdir()) == []


def test_texts_of_a_bundle_are_trained_on_beside_queries_or_alone(
    make: Make, bundle: Path, out: Path, judged: Judged, questions: list[str]
) -> None:
    more = len(questions) + 30
    with pytest.raises(KilledError, match=f"teacher: {more} of {more} queries"):
        make(bundle, judged=judged, corpus_texts=30, report=kill_at("teacher: "))
    with pytest.raises(KilledError, match="teacher: 36 of 36 queries"):  # a tenth is held out
        make(
            bundle,
            queries=[],
            corpus_texts=40,
            out=out.with_name("alone"),
            report=kill_at("teacher: "),
        )


def test_an_encoder_has_no_texts_of_its_own(make: Make, teacher: Path) -> None:
    with pytest.raises(FieldError, match="queries: 0 different ones"):
        make(teacher, queries=[], corpus_texts=40)


def test_queries_that_are_judged_are_not_trained_on_and_those_beside_them_are(
    make: Make, bundle: Path, judged: Judged, questions: list[str]
) -> None:
    asked = [judged.queries[query] for query in judged.qrels]
    with pytest.raises(KilledError, match=f"teacher: {len(questions)} of {len(questions)} queries"):
        make(bundle, queries=[*questions, *asked], judged=judged, report=kill_at("teacher: "))
    with pytest.raises(FieldError, match="queries: 0 different ones, blank and judged ones left"):
        make(bundle, queries=asked * 10, judged=judged, out=Path("elsewhere"))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"losses": {"scores": 1.0}}, "losses: scores needs passages"),
        ({"layers": (0, 2)}, "layers: there is no layer 2: the teacher has 0 to 1"),
        ({"layers": (-1,)}, "layers: there is no layer -1"),
        ({"layers": (1, 0)}, "layers: 1,0: each once"),
        ({"layers": None, "depth": 3}, "depth: 3 is not between 0 and the teacher's 2"),
        ({"layers": None, "depth": 0, "sparsity": 0.5}, "sparsity: a token table has no layers"),
        ({"layers": (), "sparsity": 0.5}, "sparsity: a token table has no layers"),
    ],
)
def test_what_cannot_be_made_of_the_teacher_is_refused_before_it_reads_a_query(
    make: Make, teacher: Path, out: Path, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(FieldError, match=field):
        make(teacher, replace(PLAN, **changes))
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sparsity": 1.0}, "sparsity: 1.0 is not at least 0 and below 1"),
        ({"sparsity": -0.1}, "sparsity: -0.1"),
        ({"sparsity": float("nan")}, "sparsity: nan"),
        ({"depth": 1}, "depth: goes without layers"),
        ({"losses": {"hinge": 1.0}}, "losses: no loss 'hinge'; there are: kl, l2"),
        ({"losses": {}}, "losses: none; there are: kl, l2"),
        ({"losses": {"l2": -1.0}}, "losses: must be above 0 and finite, not -1.0"),
        ({"losses": {"l2": float("inf")}}, "losses: must be above 0"),
        ({"epochs": 0}, "epochs: must be above 0"),
        ({"epochs": float("inf")}, "epochs: must be above 0 and finite"),
        ({"learning_rate": float("nan")}, "learning_rate: must be above 0"),
        ({"queries_a_batch": 0}, "batch: must be above 0"),
        ({"checks": -1}, "checks: must be above 0"),
        ({"seed": -1}, "seed: must not be below 0"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError, match=field):
        replace(PLAN, **changes)


def test_a_gpu_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(FieldError, match="device: torch sees no GPU here"):
        replace(PLAN, device="cuda")


def test_weights_that_are_not_the_teachers_are_refused_with_both_hashes(
    make: Make, teacher: Path, original: Path, out: Path, checkpoint: Callable[..., Path]
) -> None:
    other = checkpoint("distilbert")
    with pytest.raises(ModelError, match="pass the right folder with --original") as caught:
        make(teacher, original=other)
    assert hash_weights(other) in str(caught.value)
    assert hash_weights(original) in str(caught.value)
    assert not out.with_name("student.partial").exists()


def test_a_teacher_of_unknown_architecture_is_refused(
    make: Make, teacher: Path, out: Path, tmp_path: Path, transformers: Any, original: Path
) -> None:
    """ALBERT has one layer that it runs again and again, so none can be left out."""
    small = {"vocab_size": 300, "embedding_size": 16, "hidden_size": 32, "num_hidden_layers": 2}
    sizes = small | {"num_attention_heads": 4, "intermediate_size": 64}
    folder = tmp_path / "albert"
    shutil.copytree(original, folder)
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model("albert", **sizes))
    model.save_pretrained(folder)
    shutil.copytree(teacher, tmp_path / "teacher")
    config = json.loads((teacher / "config.json").read_text())
    config |= {"source": hash_weights(folder), "architecture": "albert"}
    (tmp_path / "teacher" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="unknown architecture albert"):
        make(tmp_path / "teacher", original=folder)
    assert not out.with_name("student.partial").exists()


def test_a_target_that_is_nothing_is_named(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="nothing: not an encoder: no such folder"):
        make(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFound, match="empty: not an encoder: it has no config"):
        make(tmp_path / "empty")


def test_judgements_that_do_not_fit_are_refused(
    make: Make, bundle: Path, teacher: Path, judged: Judged, out: Path
) -> None:
    with pytest.raises(FieldError, match="dev_qrels: judge a bundle's passages"):
        make(teacher, judged=judged)
    with pytest.raises(FieldError, match="dev_qrels: none of the judged queries is in dev_queries"):
        make(bundle, judged=replace(judged, queries={"another": "query"}))
    elsewhere = {query: {"in another bundle": 1} for query in judged.qrels}
    with pytest.raises(FieldError, match=r"dev_qrels: none of the relevant passages is in .*tiny"):
        make(bundle, judged=replace(judged, qrels=elsewhere))
    assert list(out.parent.iterdir()) == []


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """A limit on the size of any one file: it fails a write as a full disk does, and needs no disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_error_each_time_and_what_is_done_is_kept(
    make: Make, teacher: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = out.with_name("student.partial")

    def fill(size: int) -> None:
        wanted = rf"student: cannot be made: .*[Ff]ile too large.*; what is done is kept in {work}"
        with files_up_to(size), pytest.raises(ModelError, match=wanted):
            make(teacher)
        assert not out.exists()

    fill(20_000)  # the teacher's states
    assert not (work / "targets" / "starts.npy").exists()
    fill(200_000)  # the checkpoint
    assert (work / "targets" / "starts.npy").exists()
    assert not (work / "checkpoint.pt").exists()
    monkeypatch.setattr(lurcher.training.alignment.make_student, "export_student", kill)
    with pytest.raises(KilledError):
        make(teacher)
    monkeypatch.undo()
    trained = (work / "checkpoint.pt").read_bytes()
    fill(40_000)  # the weights on their way to a graph
    assert (work / "checkpoint.pt").read_bytes() == trained
    told: list[str] = []
    make(teacher, report=told.append)
    assert [line.split()[0] for line in told] == ["fp32"]  # nothing was left to do but the export
    assert sorted(file.name for file in out.iterdir()) == ["query.onnx", "student.json"]
    assert not work.exists()


def kill(*_: Any, **__: Any) -> None:
    raise KilledError


def test_what_torch_cannot_do_is_one_error(
    make: Make, teacher: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch, "save", refuse)
    with pytest.raises(ModelError, match=r"student: cannot be made: .*can't allocate memory; what"):
        make(teacher)
    assert not out.exists()
