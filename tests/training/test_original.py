"""What an export reads from the model it starts from, and what it refuses to read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("optimum.exporters.onnx", reason="the [train] extra is not installed")

import torch

from lurcher.errors import FieldError, ModelError, ModelNotFound
from lurcher.models.encoders.encoder import Encoder
from lurcher.training.export import export_encoder

Checkpoint = Callable[..., Path]
States = Callable[..., npt.NDArray[np.float32]]


@pytest.mark.parametrize(
    "config", [{"pooling_mode_cls_token": True}, {"pooling_mode": "cls", "include_prompt": True}]
)
def test_cls_pooling_is_read_from_either_form(
    config: dict[str, Any],
    checkpoint: Checkpoint,
    tmp_path: Path,
    states: States,
    corpus: list[str],
) -> None:
    files = {"1_Pooling/config.json": config}
    folder = checkpoint("bert", ["Transformer", "Pooling", "Normalize"], **files)
    assert export_encoder(folder, tmp_path / "out", int8=False).pooling == "cls"
    (found,) = Encoder.load(tmp_path / "out", side="query", threads=1).encode(corpus[:1])
    wanted = states(folder, corpus[0])[0]
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), atol=1e-5)


def test_prompts_lengths_and_similarity_are_read_from_the_folder(
    checkpoint: Checkpoint, tmp_path: Path, states: States, corpus: list[str]
) -> None:
    settings = {"prompts": {"query": "q: ", "document": "d: "}, "similarity_fn_name": "dot"}
    files = {
        "config_sentence_transformers.json": settings,
        "sentence_bert_config.json": {"max_seq_length": 24, "do_lower_case": False},
    }
    folder = checkpoint("bert", ["Transformer", "Pooling"], **files)
    config = export_encoder(folder, tmp_path / "out", int8=False)
    assert (config.query_prompt, config.passage_prompt) == ("q: ", "d: ")
    assert (config.max_tokens, config.similarity) == (24, "dot")
    text = " ".join(corpus)
    (found,) = Encoder.load(tmp_path / "out", side="passage", threads=1).encode([text])
    wanted = states(folder, "d: " + text, max_tokens=24).mean(axis=0)
    assert abs(np.linalg.norm(wanted) - 1) > 0.1  # or it would not show whether it is normalised
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_arguments_go_before_what_the_folder_says(checkpoint: Checkpoint, tmp_path: Path) -> None:
    settings = {"prompts": {"query": "q: "}, "similarity_fn_name": "euclidean"}
    files = {
        "config_sentence_transformers.json": settings,
        "1_Pooling/config.json": {"pooling_mode_max_tokens": True},
    }
    config = export_encoder(
        checkpoint("bert", ["Transformer", "Pooling"], **files),
        tmp_path / "out",
        name="mine",
        pooling="cls",
        similarity="dot",
        query_prompt="ask: ",
        passage_prompt="told: ",
        max_tokens=40,
    )
    assert (config.name, config.pooling, config.similarity) == ("mine", "cls", "dot")
    assert (config.query_prompt, config.passage_prompt) == ("ask: ", "told: ")
    assert config.max_tokens == 40


def test_a_normalize_module_makes_dot_vectors_unit_norm(
    checkpoint: Checkpoint, tmp_path: Path, corpus: list[str]
) -> None:
    folder = checkpoint("bert", ["Transformer", "Pooling", "Normalize"])
    config = export_encoder(folder, tmp_path / "out", int8=False, similarity="dot")
    assert config.similarity == "dot"
    found = Encoder.load(tmp_path / "out", side="passage", threads=1).encode(corpus)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(("architecture", "limit"), [("bert", 80), ("mpnet", 78)])
def test_a_plain_folder_reads_as_far_as_its_positions_go(
    architecture: str, limit: int, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = checkpoint(architecture)  # MPNet leaves two positions unused
    assert export_encoder(folder, tmp_path / "out", int8=False).max_tokens == limit
    for wrong in (2, limit + 1):
        with pytest.raises(FieldError, match=f"max_tokens: {wrong} is not between 3 and {limit}"):
            export_encoder(folder, tmp_path / "other", max_tokens=wrong)


@pytest.mark.parametrize(
    "modules", [["Dense"], ["Pooling", "Dense", "Normalize"], ["Pooling", "LSTM"]]
)
def test_other_modules_are_named_and_refused(
    modules: list[str], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=", ".join(["Transformer", *modules])):
        export_encoder(checkpoint("bert", ["Transformer", *modules]), tmp_path / "out")


@pytest.mark.parametrize(
    ("pooling", "named"),
    [
        ({"pooling_mode_max_tokens": True}, "pooling_mode_max_tokens"),
        ({"pooling_mode_weightedmean_tokens": True}, "pooling_mode_weightedmean_tokens"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "cls, mean"),
        ({"pooling_mode": "lasttoken"}, "lasttoken"),
        ({"pooling_mode": "mean", "include_prompt": False}, "include_prompt"),
    ],
)
def test_other_poolings_are_named_and_refused(
    pooling: dict[str, Any], named: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    files = {"1_Pooling/config.json": pooling}
    with pytest.raises(ModelError, match=named):
        export_encoder(checkpoint("bert", ["Transformer", "Pooling"], **files), tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("config_sentence_transformers.json", {"similarity_fn_name": "euclidean"}, "euclidean"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "do_lower_case"),
    ],
)
def test_settings_that_would_change_a_vector_are_refused(
    file: str, content: dict[str, Any], named: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = checkpoint("bert", ["Transformer", "Pooling"], **{file: content})
    with pytest.raises(ModelError, match=named):
        export_encoder(folder, tmp_path / "out")


def test_code_in_a_model_folder_is_not_run(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = checkpoint("bert")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ModelError, match="transformers cannot load it"):
        export_encoder(folder, tmp_path / "out")
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_pickled_code_are_not_run(checkpoint: Checkpoint, tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    folder = checkpoint("bert")
    (folder / "model.safetensors").unlink()
    torch.save({"embeddings.word_embeddings.weight": Code()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="transformers cannot load it"):
        export_encoder(folder, tmp_path / "out")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["nobody/no-such-model", "/no/such/folder"])
def test_without_a_network_the_error_says_what_to_do(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        export_encoder(name, tmp_path / "out")
    message = str(caught.value)
    assert f"folder {name} does not exist" in message
    assert f"hub name {name}: " in message
    assert f"huggingface-cli download {name} --local-dir DIR" in message
    assert list(tmp_path.iterdir()) == []
