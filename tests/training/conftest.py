"""Small random checkpoints, and what torch computes with them.

torch and transformers are imported where they are used: without them only the tests that need
them are skipped.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from lurcher.bundle.bundle import Bundle
from lurcher.index_builder.build import BuildOptions, build

if TYPE_CHECKING:
    from lurcher.training.reader.batches import Library

Array = npt.NDArray[np.float32]

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
DISTILBERT = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
# ERNIE is known to transformers, not to optimum.
ARCHITECTURES = {"bert": BERT, "mpnet": BERT, "distilbert": DISTILBERT, "ernie": BERT}


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    return [
        "A lurcher is the offspring of a sighthound crossed with a working dog.",
        "Lithium batteries age with heat, with time and with every cycle of charge.",
        "The wind turbine stands still; where does the water go?",
    ]


@pytest.fixture(scope="session")
def transformers() -> Any:
    """The library, without its types: most of its functions have none."""
    return pytest.importorskip("transformers", reason="the [train] extra is not installed")


@pytest.fixture(scope="session")
def tokenizer(transformers: Any, corpus: list[str]) -> Any:
    """WordPiece as BERT's, learned from three sentences; it pads and cuts, as checkpoints' do."""
    backend = Tokenizer(models.WordPiece(unk_token=SPECIAL["unk_token"]))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.train_from_iterator(
        corpus,
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


@pytest.fixture(scope="session")
def write_checkpoint(transformers: Any, tokenizer: Any) -> Callable[..., Path]:
    """Writes a random checkpoint into a folder, in sentence-transformers' layout if given modules."""
    import torch

    def write(
        folder: Path, architecture: str = "bert", modules: list[str] | None = None, **files: Any
    ) -> Path:
        torch.manual_seed(0)
        network = transformers.AutoModel.from_config(
            transformers.AutoConfig.for_model(architecture, **SIZES, **ARCHITECTURES[architecture])
        )
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


@pytest.fixture
def checkpoint(tmp_path: Path, write_checkpoint: Callable[..., Path]) -> Callable[..., Path]:
    """``write_checkpoint``, below the test's own folder."""

    def write(architecture: str = "bert", modules: list[str] | None = None, **files: Any) -> Path:
        return write_checkpoint(tmp_path / f"tiny-{architecture}", architecture, modules, **files)

    return write


@pytest.fixture(scope="session")
def original(
    write_checkpoint: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The checkpoint that ``teacher`` was exported from."""
    return write_checkpoint(tmp_path_factory.mktemp("original") / "tiny-bert")


@pytest.fixture(scope="session")
def teacher(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported encoder's folder: two layers, 32 dimensions."""
    pytest.importorskip("optimum.exporters.onnx", reason="the [train] extra is not installed")
    from lurcher.training.export import export_encoder

    folder = tmp_path_factory.mktemp("teacher") / "encoder"
    export_encoder(original, folder)
    return folder


@pytest.fixture(scope="session")
def questions(corpus: list[str]) -> list[str]:
    """A hundred texts of three to nine words that the tokeniser knows, no two the same."""
    words = re.findall(r"\w+", " ".join(corpus))
    generator = random.Random(0)
    found = {" ".join(generator.choices(words, k=generator.randint(3, 9))) for _ in range(100)}
    return sorted(found)


@pytest.fixture(scope="session")
def bundle(
    teacher: Path,
    corpus: list[str],
    write_jsonl: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Eighty short passages encoded by ``teacher``."""
    words = re.findall(r"\w+", " ".join(corpus))
    generator = random.Random(1)
    texts = [" ".join(generator.choices(words, k=generator.randint(4, 12))) for _ in range(80)]
    folder = tmp_path_factory.mktemp("bundle")
    records = [{"id": f"p{i}", "text": text} for i, text in enumerate(texts)]
    corpus_file = write_jsonl(folder / "tiny.jsonl", records)
    build(corpus_file, folder / "tiny.lurcher", BuildOptions(teacher))
    return folder / "tiny.lurcher"


@pytest.fixture(scope="module")
def opened(bundle: Path) -> Iterator[Bundle]:
    with closing(Bundle.open(bundle)) as found:
        yield found


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch on one thread."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def states(transformers: Any) -> Callable[..., Array]:
    """Computes by torch the last layer's states (L, d) of a text, given a folder and the text."""
    import torch

    def compute(folder: Path, text: str, max_tokens: int = 80) -> Array:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        network = transformers.AutoModel.from_pretrained(folder).eval()
        tokens = tokenizer(text, truncation=True, max_length=max_tokens, return_tensors="pt")
        with torch.inference_mode():
            found: Array = network(tokens.input_ids).last_hidden_state[0].numpy()
        return found

    return compute


@pytest.fixture(scope="session")
def answering_path(
    teacher: Path, corpus: list[str], write_jsonl: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:  # fmt: skip
    """A tiny bundle to train readers on, which nobody may change."""
    from tests.training.reading import answering_bundle  # which needs torch

    return answering_bundle(tmp_path_factory.mktemp("reading"), teacher, corpus, write_jsonl)


@pytest.fixture(scope="session")
def answering(answering_path: Path) -> Iterator[Bundle]:
    """It, opened."""
    with closing(Bundle.open(answering_path)) as found:
        yield found


@pytest.fixture(scope="session")
def library(answering: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """What batches of its questions are made of."""
    from tests.training.reading import library_of

    return library_of(answering, tmp_path_factory.mktemp("mined") / "q")
